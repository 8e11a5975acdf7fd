"""The window of a request_id, by HTTP: known within it, refused after it."""

import json
import time
import uuid
from typing import Any
from urllib.error import HTTPError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from system import request_id as ids
from system.runtime.stack import Stack

TIMEOUT_S = 30
MINUTE_S = 60


def ask(stack: Stack, verb: str, path: str, key: str | None = None) -> tuple[int, dict[str, Any]]:
    headers = {} if key is None else {"Idempotency-Key": key}
    request = Request(stack.url + path, method=verb, headers=headers)
    try:
        with build_opener(ProxyHandler({})).open(request, timeout=TIMEOUT_S) as response:
            return response.status, json.load(response)
    except HTTPError as refusal:
        return refusal.code, json.load(refusal)


def made_ago(minutes: int, service: str, method: str, **params: object) -> str:
    """An id as a gateway made it so long ago."""
    mint = ids.Mint(lambda: time.time() - minutes * MINUTE_S)
    return mint(ids.fingerprint(service, method, params))


@pytest.fixture
def user_id(stack: Stack) -> str:
    _, user = ask(stack, "POST", "/users/create")
    return str(user["user_id"])


@pytest.mark.parametrize("minutes", [0, 14])
def test_a_request_of_the_window_is_done_once(stack: Stack, user_id: str, minutes: int) -> None:
    key = made_ago(minutes, "user", "add_credit", user_id=user_id, amount=5)
    first = ask(stack, "POST", f"/users/credit/add/{user_id}/5", key)
    assert first == (200, {"request_id": key, "user_id": user_id, "credit": 5})
    assert ask(stack, "POST", f"/users/credit/add/{user_id}/7")[1]["credit"] == 12
    assert ask(stack, "POST", f"/users/credit/add/{user_id}/5", key) == first


@pytest.mark.parametrize("minutes", [18, 10_000, -5])
def test_an_id_of_another_time_is_refused_and_never_applied(
    stack: Stack, user_id: str, minutes: int
) -> None:
    key = made_ago(minutes, "user", "add_credit", user_id=user_id, amount=5)
    status, body = ask(stack, "POST", f"/users/credit/add/{user_id}/5", key)
    assert (status, body["error"]["code"]) == (409, "idempotency_key_expired")
    assert body["request_id"] == key
    assert ask(stack, "GET", f"/users/credit/{user_id}")[1]["credit"] == 0


def test_a_read_that_is_sent_again_reads_again(stack: Stack, user_id: str) -> None:
    for key in (made_ago(0, "user", "get_credit", user_id=user_id), uuid.uuid4().hex):
        before = ask(stack, "GET", f"/users/credit/{user_id}", key)[1]["credit"]
        ask(stack, "POST", f"/users/credit/add/{user_id}/1")
        after = ask(stack, "GET", f"/users/credit/{user_id}", key)[1]
        assert after == {"request_id": key, "user_id": user_id, "credit": before + 1}
