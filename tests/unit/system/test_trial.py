"""A trial shows a service as its clients see it, and what it asks of others."""

from datetime import datetime
from typing import Any

import pytest

from system.service import Call, Entity, Outcome, Refused, Reply, Service
from system.services.echo import ECHO
from system.services.order import ORDER
from system.services.user import USER
from system.trial import Trial


def test_a_reply_has_no_request_id_and_the_entity_stays():
    user = Trial(USER)
    assert user.ask("create_user", "u") == {"user_id": "u", "credit": 0}
    assert user.ask("add_credit", "u", amount=3) == {"user_id": "u", "credit": 3}
    assert user.entities["u"]["credit"] == 3
    assert user.ask("remove_user", "v") == {"error": {"code": "not_found", "message": "no user v"}}


def test_a_request_that_is_sent_again_has_its_reply_again():
    user = Trial(USER)
    user.ask("create_user", "u")
    assert [user.ask("add_credit", "u", "r", amount=3) for _ in range(2)] == [
        {"user_id": "u", "credit": 3}
    ] * 2


def test_what_goes_to_others_is_no_reply():
    order = Trial(ORDER)
    assert order.ask("create_order", "o", user_id="u") is None
    assert [record.topic for record in order.sent] == ["user_in"]


def test_parameters_may_have_any_name():
    """A route may have {key} or {method} in its path."""
    store = Service("store", key="key")

    @store.method
    def put(entity: Entity | None, call: Call) -> Outcome:
        return Outcome(dict(call.params), (Reply(dict(call.params)),))

    assert Trial(store).ask("put", "k", method="m", request_id="r") == {"key": "k", "method": "m"}


def test_silence_is_none():
    assert Trial(ECHO).ask("silence", "e") is None


@pytest.mark.parametrize(
    "entity",
    [{"lines": (("a", 1),)}, {"at": datetime(2026, 1, 2)}, {1: 2}, {"of": {1}}, {"n": 2**70}],
    ids=repr,
)
def test_an_entity_that_would_not_come_back_fails_its_trial(entity: dict[str, Any]) -> None:
    """The Flink job keeps it as JSON, and reads that after a crash."""
    service = Service("counter", key="counter_id")

    @service.method
    def count(_: Entity | None, call: Call) -> Outcome:
        return Outcome(entity if call.request_id == "odd" else {"lines": [["a", 1]]})

    trial = Trial(service)
    with pytest.raises(ValueError, match="the entity"):
        trial.ask("count", "c", "odd")
    assert trial.entities == {}
    trial.ask("count", "c", "even")
    assert trial.entities == {"c": {"lines": [["a", 1]]}}


def test_a_refusal_has_a_code_that_gateways_know() -> None:
    with pytest.raises(ValueError, match="sold_out"):
        Refused("sold_out", "none is left")
