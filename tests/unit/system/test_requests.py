"""A request becomes the same record, whoever writes it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system import request_id as ids
from system.requests import outgoing
from system.router import Router
from system.routes import ROUTES
from system.wire import RefusedError, decode_request

ROUTER = Router(ROUTES)
ID = st.text("abcXYZ019_-", min_size=1, max_size=64)


@given(ID, st.integers(1, 2**53 - 1))
def test_a_record_says_what_the_path_said(user_id: str, amount: int) -> None:
    match = ROUTER.match("POST", f"/users/credit/add/{user_id}/{amount}")
    out = outgoing(match, (), ids.Mint())
    request = decode_request(out.encode("gateway_out_x"))
    assert (request.sink, request.method) == ("gateway_out_x", "add_credit")
    assert request.params == {"user_id": user_id, "amount": amount}
    assert (out.service, out.key) == ("user", user_id)
    assert request.request_id == out.request_id
    assert ids.certifies(out.request_id, out.fingerprint)


def test_what_is_created_has_an_id_of_its_request() -> None:
    match = ROUTER.match("POST", "/users/create")
    out = outgoing(match, (), ids.Mint())
    again = outgoing(ROUTER.match("POST", "/users/create"), (out.request_id,), ids.Mint())
    assert again == out
    assert out.params == {"user_id": ids.entity_id("user", out.request_id)}


def test_a_clients_own_key_is_claimed() -> None:
    out = outgoing(ROUTER.match("POST", "/users/credit/add/7f/20"), ("mine",), ids.Mint())
    assert (out.service, out.method, out.key, out.request_id) == ("claim", "claim", "mine", "mine")
    assert out.params["params"] == {"user_id": "7f", "amount": 20}


def test_a_read_claims_nothing() -> None:
    out = outgoing(ROUTER.match("GET", "/users/find/7f"), ("mine",), ids.Mint())
    assert (out.service, out.request_id) == ("user", "mine")


@pytest.mark.parametrize(
    ("keys", "code"),
    [(("a", "b"), "bad_request"), (("a b",), "bad_request"), (("",), "bad_request")],
)
def test_a_key_is_one_id(keys: tuple[str, ...], code: str) -> None:
    with pytest.raises(RefusedError) as refused:
        outgoing(ROUTER.match("GET", "/users/find/7f"), keys, ids.Mint())
    assert refused.value.code == code


def test_a_minted_key_belongs_to_its_request() -> None:
    mint = ids.Mint()
    out = outgoing(ROUTER.match("GET", "/users/find/7f"), (), mint)
    with pytest.raises(RefusedError) as refused:
        outgoing(ROUTER.match("GET", "/users/find/8f"), (out.request_id,), mint)
    assert (refused.value.code, refused.value.request_id) == (
        "idempotency_key_reused",
        out.request_id,
    )
