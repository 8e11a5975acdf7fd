"""A trial shows a service as its clients see it, and what it asks of others."""

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


def test_silence_is_none():
    assert Trial(ECHO).ask("silence", "e") is None
