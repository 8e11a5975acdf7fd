"""The trace of a record: a field that measures, and can do no harm."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.wire import (
    RECORD_BYTES_MAX,
    TRACE_HOPS_MAX,
    Request,
    decode,
    decode_request,
    decode_trace,
    encode,
    encode_request,
    with_trace,
)

REQUEST = Request("r1", "gateway_out_test", "find_user", {"user_id": "u"})
NS = st.integers(0, 2**63 - 1)
TRACES = st.lists(st.tuples(st.sampled_from(["user", "order"]), NS, NS), max_size=TRACE_HOPS_MAX)
HOP = ["user", 1, 2]


def test_a_record_without_a_trace_is_as_it_was() -> None:
    assert encode_request(REQUEST) == (
        b'{"request_id":"r1","sink":"gateway_out_test","method":"find_user",'
        b'"params":{"user_id":"u"}}'
    )
    assert decode_request(encode_request(REQUEST)).trace is None


@given(TRACES)
def test_a_trace_travels(trace: list[tuple[str, int, int]]) -> None:
    travelled = decode_request(encode_request(REQUEST._replace(trace=trace)))
    assert travelled._replace(trace=None) == REQUEST
    assert travelled.trace == [list(hop) for hop in trace]


@given(TRACES, st.dictionaries(st.text(max_size=5), st.text(max_size=5) | st.integers(0, 9)))
def test_a_record_with_a_trace_is_json(
    trace: list[tuple[str, int, int]], fields: dict[str, object]
) -> None:
    reply = {"request_id": "r1", **fields, "error": None}
    assert decode(with_trace(encode(reply), trace)) == reply | {"trace": [*map(list, trace)]}


@pytest.mark.parametrize(
    "trace",
    [
        None,
        1,
        "user",
        {},
        [1],
        [[]],
        [["user", 1]],
        [[*HOP, 3]],
        [["user", 1, 2.5]],
        [["user", 1, None]],
        [["user", True, 2]],
        [["user", 1, 2**64]],
        [[7, 1, 2]],
        [["a b", 1, 2]],
        [["u" * 65, 1, 2]],
        [{"user": 1}],
        [HOP, "user"],
        [HOP] * (TRACE_HOPS_MAX + 1),
    ],
)
def test_what_is_no_trace_is_ignored(trace: object) -> None:
    fields = orjson.loads(encode_request(REQUEST))
    record = b'%b,"trace":%b}' % (encode(fields)[:-1], _json(trace))
    assert decode_request(record) == REQUEST


def _json(value: object) -> bytes:
    """Also of integers that orjson does not write."""
    text = repr(value).replace("'", '"').replace("None", "null").replace("True", "true")
    return text.encode()


@given(st.recursive(st.none() | st.integers() | st.text(max_size=3), st.lists, max_leaves=9))
def test_whatever_is_a_trace_can_be_sent_on(value: object) -> None:
    trace = decode_trace(value)
    assert trace is None or orjson.dumps(trace)


def test_a_trace_that_is_too_long_ends() -> None:
    record = encode({"request_id": "r1"})
    full = [("user", 1, 2)] * TRACE_HOPS_MAX
    assert len(decode(with_trace(record, full))["trace"]) == TRACE_HOPS_MAX
    assert with_trace(record, [*full, ("user", 1, 2)]) == record


def test_a_trace_never_makes_a_record_too_large() -> None:
    trace = [("user", 1, 2)]
    added = len(with_trace(b'{"a":1}', trace)) - len(b'{"a":1}')
    empty = len(encode({"text": ""}))
    fits = encode({"text": "x" * (RECORD_BYTES_MAX - added - empty)})
    assert len(with_trace(fits, trace)) == RECORD_BYTES_MAX
    larger = encode({"text": "x" * (RECORD_BYTES_MAX - added - empty + 1)})
    assert with_trace(larger, trace) == larger
