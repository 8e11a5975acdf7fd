"""The records of `--kafka` are a gateway's, of the size that was asked for."""

import orjson
import pytest

from bench.kafka import requests
from bench.kafka.requests import Requests
from bench.workload.journey import Call
from system.wire import RECORD_BYTES_MAX, decode_request

CALL = Call("find_user", "GET", "/users/find/u1")


@pytest.mark.parametrize("size", [200, 1000, RECORD_BYTES_MAX])
def test_a_record_is_filled_up(size: int) -> None:
    record = Requests("sink", size).encode(CALL)
    assert record is not None
    assert len(record.value) == size
    plain = Requests("sink").encode(CALL)
    assert plain is not None
    filled, bare = decode_request(record.value), decode_request(plain.value)
    assert (filled.method, filled.params, filled.sink) == (bare.method, bare.params, bare.sink)


@pytest.mark.parametrize("size", [0, 1, 100])
def test_a_record_that_is_larger_stays_as_it_is(size: int) -> None:
    record = Requests("sink", size).encode(CALL)
    assert record is not None
    assert orjson.loads(record.value).keys() == {"request_id", "sink", "method", "params"}


def test_a_key_belongs_to_the_request_that_came_with_it_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(requests, "KEYS_MAX", 2)
    made = Requests("sink")
    one, other = (Call("add_stock", "POST", f"/stock/add/i/{n}", key="k") for n in (2, 3))
    assert made.encode(one) == made.encode(one) is not None
    assert made.encode(other) is None
    for key in ("l", "m"):
        assert made.encode(one._replace(key=key)) is not None
    assert made.encode(other) is not None, "it is the oldest of three"
