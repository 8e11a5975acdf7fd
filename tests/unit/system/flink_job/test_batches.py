"""However records are batched, the same comes of them as one after the other."""

import gc
import json
import weakref
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.batched import Batched, timer
from support.hosted import NOW_MS, Hosted, frame
from support.shop import HOSTED, SINK

from system.flink_job.batches import Batches, batches, configured
from system.flink_job.clocks import Clocks
from system.flink_job.host import StateError
from system.flink_job.state_cache import KEYS_MAX
from system.service import Window
from system.wire import Request, encode_request, input_topic

REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("user", "create_user", {}),
    ("user", "add_credit", {"amount": 5}),
    ("user", "find_user", {}),
    ("user", "charge", {"order_id": "o", "amount": 2}),
    ("user", "remove_user", {}),
    ("stock", "create_item", {"price": 3, "stock": 2}),
    ("stock", "subtract_stock", {"quantity": 2}),
    ("order", "create_order", {"user_id": "e"}),
    ("order", "add_item", {"item_id": "e"}),
    ("order", "checkout", {}),
    ("echo", "echo", {}),
    ("user", "no_such_method", {}),
]


def record(number: int, asked: int, entity: str) -> tuple[str, bytes]:
    """Key and frame; a number that came before is a resend, or nonsense."""
    service, method, params = REQUESTS[asked]
    topic = input_topic(service)
    params = {**params, HOSTED[topic].key: entity}
    value = encode_request(Request(f"r{number}", SINK, method, params))
    return f"{topic}/{entity}", frame(topic, entity.encode(), value)


records = st.builds(
    record, st.integers(0, 30), st.integers(0, len(REQUESTS) - 1), st.sampled_from("ef")
)
broken = st.builds(
    lambda value: ("user_in/e", frame("user_in", b"e", value)),
    st.sampled_from([b"", b"[]", b'{"sink": "gateway_out_test"}']),
)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(st.lists(records | broken, max_size=12), st.booleans()), max_size=6),
    st.sampled_from((1, 2, KEYS_MAX)),
)
def test_a_batch_does_what_its_records_do_alone(
    taken: list[tuple[list[tuple[str, bytes]], bool]], keys_max: int
) -> None:
    """However many keys a task has at hand, too."""
    alone = Hosted()
    together = Batched(alone.clocks, keys_max)
    out: list[Any] = []
    for batch, restarts in taken:
        for key, each in batch:
            out += alone.take_frame(key, each)
        together.take(batch)
        if restarts:
            alone.restart()
            together.restart()
    assert together.sent == out
    assert together.dead == alone.dead
    assert (together.values, together.maps) == (alone.values, alone.maps)
    assert together.timers == alone.timers


def test_a_timer_is_one_of_a_batch() -> None:
    """A sweep of one key, between records of others."""
    now_ms = NOW_MS
    together = Batched(Clocks(lambda: now_ms, lambda: now_ms))
    together.take([record(1, 0, "e"), record(2, 1, "e"), record(3, 0, "f")])
    (at_ms,) = together.timers["user_in/e"]
    now_ms = at_ms + Window().kept_ms
    key, find = record(4, 2, "f")
    later = find.replace(NOW_MS.to_bytes(8), now_ms.to_bytes(8))
    together.take([(key, later), timer(at_ms, "user_in/e"), (key, later)])
    assert not together.maps["user_in/e"]
    assert together.maps["user_in/f"]
    assert orjson.loads(together.values["user_in/e"])[0]["credit"] == 5


def test_an_alarm_sends_what_it_sends_alone() -> None:
    alone = Hosted()
    together = Batched(alone.clocks)
    taken = [record(1, 7, "e"), record(2, 5, "e"), record(3, 8, "e"), record(4, 9, "e")]
    quoted = Request("r3", SINK, "quoted", {"order_id": "e", "item_id": "e", "price": 3})
    taken.insert(3, ("order_in/e", frame("order_in", b"e", encode_request(quoted))))
    for each in taken:
        alone.take_frame(*each)
    together.take(taken)
    alarm_ms = min(alone.timers["order_in/e"])
    together.sent.clear()
    together.take([timer(alarm_ms, "order_in/e")])
    assert together.sent == alone.pass_time(alarm_ms)
    assert together.sent


def test_a_task_that_has_ended_is_let_go_of() -> None:
    together = Batched(Clocks())
    together.take([record(1, 0, "e")])
    left = weakref.ref(together)
    ended = together.batches
    gc.disable()
    try:
        ended.end()
        del together
        assert left() is None
    finally:
        gc.enable()


def test_state_that_is_known_is_not_asked_for() -> None:
    together = Batched(Clocks())
    together.take([record(1, 0, "e"), record(2, 1, "e"), record(3, 2, "e"), record(4, 0, "f")])
    assert together.reads == 2
    together.take([record(5, 2, "e"), record(6, 2, "f")])
    assert together.reads == 2


def test_what_a_timer_changed_is_known_when_its_key_comes_back() -> None:
    """With one key at hand, what was packed before a sweep is not what is there after it."""
    now_ms = NOW_MS
    together = Batched(Clocks(lambda: now_ms, lambda: now_ms), keys_max=1)
    together.take([record(1, 0, "e"), record(2, 0, "f"), record(3, 2, "e"), record(4, 2, "f")])
    (at_ms,) = together.timers["user_in/e"]
    now_ms = at_ms + Window().kept_ms
    (key, add), (_, find) = record(5, 1, "e"), record(6, 2, "f")
    now, then = now_ms.to_bytes(8), NOW_MS.to_bytes(8)
    together.take([(key, find.replace(then, now)), timer(at_ms, "user_in/e")])
    swept = together.values["user_in/e"]
    assert not together.maps["user_in/e"]
    together.take([("user_in/f", find.replace(then, now)), (key, add.replace(then, now))])
    assert orjson.loads(swept)[-1] == []
    assert orjson.loads(together.values["user_in/e"])[-1] == ["r5:add_credit"]
    assert together.maps["user_in/e"].keys() == {"r5:add_credit"}
    assert together.reads == 2


def test_a_state_that_can_t_be_read_ends_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing was sent for the records before it."""
    together = Batched(Clocks())
    together.values["user_in/e"] = orjson.dumps([None, 0, 1, 0, 0, 1, 0, 0, []])

    def fails(done: bytes, number: int, name: str) -> bytes | None:
        together.apply(done)
        raise OSError(name)

    monkeypatch.setattr(together, "get", fails)
    with pytest.raises(StateError):
        together.take([record(1, 0, "f"), record(2, 0, "e")])
    assert together.values["user_in/f"]
    assert not together.sent


def test_java_hands_over_what_it_was_configured_with() -> None:
    told = configured(["user", "echo"], Window(61_000, 60_000), "mine.", 17)
    assert json.loads(told) == [["user", "echo"], [61_000, 60_000], "mine.", 17]
    made = batches(told, Batched(Clocks()))
    assert made._host._window == Window(61_000, 60_000)
    assert isinstance(made, Batches)
    out = made.take(b"".join(len(each).to_bytes(4) + each for _, each in [record(1, 5, "e")]))
    assert b"nobody hosts the service of stock_in" in out
