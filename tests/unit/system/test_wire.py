"""The wire format, at its limits."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.wire import ID_PATTERN, Request, WireError, decode_request, encode_request

ids = st.from_regex(ID_PATTERN, fullmatch=True)


@given(ids, st.from_regex(r"[a-z._]{1,249}", fullmatch=True), st.text(max_size=20), ids,
       st.none() | st.integers(0, 2**63 - 1))  # fmt: skip
def test_a_request_comes_back_as_it_was(request_id, sink, method, user_id, at_ms):
    request = Request(request_id, sink, method, {"user_id": user_id}, None, at_ms)
    assert decode_request(encode_request(request)) == request


@given(st.integers(-(2**63), 2**63 - 1))
def test_an_integer_id_counts_as_its_decimal_text(number):
    record = {"request_id": "r", "sink": "s", "method": "m"}
    params = {"user_id": number, "item_id": True, "amount": number}
    decoded = decode_request(orjson.dumps({**record, "params": params}))
    assert decoded.params == {"user_id": str(number), "item_id": True, "amount": number}


@pytest.mark.parametrize("at", [-1, 1.5, True, "1", [1]])
def test_a_time_of_another_form_is_refused(at):
    record = {"request_id": "r", "sink": "s", "method": "m", "params": {}, "at": at}
    with pytest.raises(WireError, match="at is not a time"):
        decode_request(orjson.dumps(record))
