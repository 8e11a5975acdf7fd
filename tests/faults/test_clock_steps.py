"""The wall clocks of a stack are set: what was answered before has no second effect."""

import uuid

import orjson
import pytest
from support.running_up import Adding, get

from bench.faults.clock import until_ahead
from bench.faults.up import Up
from machine.http import call

AHEAD_S = 3600
SEEN_S = 120.0
"""Gateway, services and broker have the clock that was set by then, on a busy machine too."""


@pytest.fixture(scope="module")
def up():
    with Up(print, needs="own clock") as up:
        yield up


@pytest.mark.parametrize("ahead_s", [AHEAD_S, -AHEAD_S])
def test_a_resend_has_no_second_effect_while_and_after_clocks_are_wrong(up: Up, ahead_s: int):
    """Nor has another request that is sent meanwhile and afterwards."""
    user_id = str(orjson.loads(call("POST", f"{up.url}/users/create", 30))["user_id"])

    def add(key: str) -> bytes:
        headers = {"Idempotency-Key": key}
        return call("POST", f"{up.url}/users/credit/add/{user_id}/1", 30, headers=headers)

    def seen(ahead_s: int) -> str:
        return until_ahead(ahead_s, up.url, up.bootstrap_servers, SEEN_S)

    minted = str(
        orjson.loads(call("POST", f"{up.url}/users/credit/add/{user_id}/1", 30))["request_id"]
    )
    own = uuid.uuid4().hex
    before = [add(key) for key in (minted, own)]
    with Adding(up.url) as adding:
        assert seen(0)
        up.clock.set(ahead_s)
        try:
            assert seen(ahead_s)
            assert [add(key) for key in (minted, own)] == before
            meanwhile = uuid.uuid4().hex
            answer = add(meanwhile)
        finally:
            up.clock.set(0)
        assert seen(0)
        assert [add(key) for key in (minted, own, meanwhile)] == [*before, answer]
        adding.stop()
        assert get(f"{up.url}/users/find/{adding.user_id}")["credit"] == adding.answered
    assert get(f"{up.url}/users/find/{user_id}")["credit"] == 3
