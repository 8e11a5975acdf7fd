"""Whatever the record: it is handled, or it is a dead letter, and the next one is handled."""

import asyncio
import math
from collections.abc import Callable
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.hosted import NOW_MS, Hosted, Sent, ask, code
from support.shop import HOSTED, SINK

from system.flink_job.host import (
    DEAD_BYTES_MAX,
    SENT_ON,
    StateError,
)
from system.service import (
    WAKE_AFTER_S_MAX,
    WINDOW_S_MIN,
    Call,
    Entity,
    Outcome,
    Reply,
    Service,
    Window,
)
from system.wire import RECORD_BYTES_MAX, Request, encode_request, with_trace

WINDOW = Window()
GOOD = Request("good", SINK, "create_user", {"user_id": "u"})


# ---- any record

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
methods = st.sampled_from([*{name for service in HOSTED.values() for name in service.methods}])
names = st.sampled_from(
    [
        *("user_id", "order_id", "item_id", "echo_id", "amount", "quantity", "participant"),
        *("undone", "refusal", "price", "stock", "service", "key", "method", "params"),
    ]
)
params = st.dictionaries(names, st.just("e") | st.integers(0, 9) | json_values, max_size=6)
requests = st.fixed_dictionaries(
    {},
    optional={
        "request_id": st.just("e") | json_values,
        "sink": st.sampled_from([SINK, "user_in", "x" * 249]) | json_values,
        "method": methods | json_values,
        "params": params | json_values,
        "at": st.integers(NOW_MS - 10**6, NOW_MS) | json_values,
        "trace": json_values,
    },
)
values = st.binary() | requests.map(
    lambda fields: orjson.dumps(fields, option=orjson.OPT_NON_STR_KEYS)
)
keys = st.none() | st.just(b"e") | st.binary(max_size=80)


@settings(max_examples=500, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([*HOSTED]), keys, values), max_size=20))
@example([("user_in", b"e", b'{"method":"charge"}')])
@example(
    [("user_in", b"e", orjson.dumps({"request_id": "e", "sink": SINK, "method": "charge",
                                     "params": {"user_id": "e", "order_id": "o", "amount": 1}}))]
)  # fmt: skip
def test_no_record_stops_the_host(records: list[tuple[str, bytes | None, bytes]]) -> None:
    host = Hosted()
    for topic, key, value in records:
        before, state = host.dead, (dict(host.values), {k: dict(m) for k, m in host.maps.items()})
        out = host.take(topic, key, value)
        letters = [each for each in out if each.topic == f"{topic}_dead"]
        assert len(letters) == host.dead - before <= 1
        if letters:
            (letter,) = letters
            assert letter.reason
            assert letter.value == value
            assert letter.key == key
            assert (host.values, host.maps) == state, "no effect"
            assert all(orjson.loads(each.value)["error"]["code"] == "bad_request"
                       for each in out if each is not letter)  # fmt: skip
        assert all(each.topic not in HOSTED or each.key for each in out), "nothing comes round"
    host.pass_time(NOW_MS + WINDOW.kept_ms)
    (reply,) = host.take("user_in", b"u", encode_request(GOOD))
    assert "error" not in orjson.loads(reply.value)


def dead(host: Hosted, key: bytes | None, value: bytes, topic: str = "user_in") -> list[Sent]:
    letter, *answers = host.take(topic, key, value)
    assert (letter.topic, letter.key, letter.value) == (f"{topic}_dead", key, value)
    return [letter, *answers]


def test_what_names_no_sink_is_answered_to_nobody() -> None:
    for value in (b"", b"\xff\x00", b"[]", b"7", b'{"sink": "a b"}', b'{"sink": ["x"]}'):
        (letter,) = dead(Hosted(), b"e", value)
        assert letter.reason


def test_a_record_without_a_request_id_is_answered_where_it_names_a_sink() -> None:
    _, answer = dead(Hosted(), b"e", orjson.dumps({"sink": SINK}))
    assert answer.topic == SINK
    fields = orjson.loads(answer.value)
    assert fields["request_id"] is None
    assert code(fields) == "bad_request"


def test_a_request_id_of_another_form_comes_back() -> None:
    _, answer = dead(Hosted(), b"e", orjson.dumps({"sink": SINK, "request_id": 17}))
    assert orjson.loads(answer.value)["request_id"] == 17


def test_a_record_at_the_limit_is_handled_and_one_beyond_is_not() -> None:
    def padded(size: int) -> bytes:
        record = orjson.loads(encode_request(GOOD))
        bare = len(orjson.dumps({**record, "pad": ""}))
        return orjson.dumps({**record, "pad": "x" * (size - bare)})

    (reply,) = Hosted().take("user_in", b"u", padded(RECORD_BYTES_MAX))
    assert "error" not in orjson.loads(reply.value)
    letter, answer = Hosted().take("user_in", b"u", padded(RECORD_BYTES_MAX + 1))
    assert letter.topic == "user_in_dead"
    assert code(orjson.loads(answer.value)) == "bad_request"


def test_a_dead_letter_is_cut_at_its_limit() -> None:
    (letter,) = Hosted().take("user_in", None, b"x" * (DEAD_BYTES_MAX + 1))
    assert len(letter.value) == DEAD_BYTES_MAX


@pytest.mark.parametrize("sink", [*HOSTED, "user_in_dead", "mine.user_in", "mine.user_in_dead"])
def test_no_reply_goes_to_a_service(sink: str) -> None:
    hosted = Hosted(topic_prefix="mine.")
    (letter,) = dead(hosted, b"u", encode_request(GOOD._replace(sink=sink)))
    assert "sink" in letter.reason


@pytest.mark.parametrize("key", [b"other", b"no id\n", b"k" * 65])
def test_another_key_is_refused_and_has_no_effect(key: bytes) -> None:
    host = Hosted()
    letter, answer = dead(host, key, encode_request(GOOD))
    assert "key must be" in letter.reason
    assert code(orjson.loads(answer.value)) == "bad_request"
    assert not host.values


@pytest.mark.parametrize("key", [None, b""])
def test_a_record_without_a_key_is_sent_on_once_with_its_entity_s_id(key: bytes | None) -> None:
    value = orjson.dumps({"request_id": "r", "sink": SINK, "method": "create_user",
                          "params": {"user_id": 1}})  # fmt: skip
    host = Hosted()
    (again,) = host.take("user_in", key, value)
    assert again == Sent("user_in", b"1", f"{SENT_ON.decode()}{NOW_MS}", value)
    assert not host.writes
    (reply,) = host.take("user_in", b"1", value)
    assert orjson.loads(reply.value) == {"request_id": "r", "user_id": "1", "credit": 0}


def test_a_record_in_another_partition_than_its_key_s_is_sent_on_once() -> None:
    """It was handled there: after a crash before or after those of the key's own partition."""
    value = encode_request(GOOD)
    host = Hosted()
    (again,) = host.take("user_in", b"u", value, partition=~1)
    assert again == Sent("user_in", b"u", f"{SENT_ON.decode()}{NOW_MS}", value)
    assert not host.writes
    (letter, answer) = host.take("user_in", b"other", value, partition=~1)
    assert (letter.topic, letter.key) == ("user_in_dead", b"other")
    assert code(orjson.loads(answer.value)) == "bad_request"


def test_bad_parameters_are_a_dead_letter_and_are_not_remembered() -> None:
    host = Hosted()
    ask(host, "create_user", "c")
    writes = host.writes
    value = encode_request(Request("r", SINK, "add_credit", {"user_id": "e", "amount": 0}))
    letter, answer = dead(host, b"e", value)
    assert "amount" in letter.reason
    assert code(orjson.loads(answer.value)) == "bad_request"
    assert host.writes == writes
    assert ask(host, "add_credit", "r", amount=1)["credit"] == 1


def service_of(method: Callable[[Entity | None, Call], Outcome]) -> Service:
    service = Service("user", key="user_id")
    method.__name__ = "create_user"
    service.method(method)
    return service


class TextlessError(Exception):
    def __str__(self) -> str:
        return self.args[1]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "fault",
    [KeyError("participant"), RecursionError(), ZeroDivisionError("x\ny"), TextlessError(),
     ValueError("a lone \ud800"), SystemExit(1), GeneratorExit(), asyncio.CancelledError()],
    ids=repr,
)  # fmt: skip
def test_a_fault_of_a_service_is_a_dead_letter(fault: BaseException) -> None:
    def fails(entity: Entity | None, call: Call) -> Outcome:
        raise fault

    letter, answer = dead(Hosted([service_of(fails)]), b"u", encode_request(GOOD))
    assert type(fault).__name__ in letter.reason
    assert "\n" not in letter.reason
    assert code(orjson.loads(answer.value)) == "bad_request"


def test_an_entity_that_a_faulty_service_has_changed_is_read_again() -> None:
    def spoils(entity: Entity | None, call: Call) -> Outcome:
        if entity is None:
            return Outcome({"count": 1})
        entity["count"] += 1
        if entity["count"] == 2:
            raise KeyError
        return Outcome(dict(entity))

    host = Hosted([service_of(spoils)])
    for request_id in ("a", "b"):
        host.take("user_in", b"u", encode_request(GOOD._replace(request_id=request_id)))
    assert orjson.loads(host.values["user_in/u"])[0] == {"count": 1}


def test_a_state_that_can_t_be_read_is_no_fault_of_the_record(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = Hosted()
    host.values["user_in/u"] = orjson.dumps([None, 0, 1, 0, 0, 1, 0, []])

    def fails(name: str) -> bytes | None:
        raise OSError(name)

    monkeypatch.setattr(host, "get", fails)
    with pytest.raises(StateError) as raised:
        host.take("user_in", b"u", encode_request(GOOD))
    assert isinstance(raised.value.__cause__, OSError)
    assert not host.dead


def test_what_a_job_reads_on_of_a_service_that_was_removed_is_a_dead_letter() -> None:
    host = Hosted(services=[HOSTED["user_in"]])
    dead, answer = host.take("greeting_in", b"g", encode_request(GOOD))
    assert dead.topic == "greeting_in_dead"
    assert dead.reason == "nobody hosts the service of greeting_in any more"
    assert code(orjson.loads(answer.value)) == "bad_request"
    assert host.dead == 1


def test_a_trace_grows_by_the_service() -> None:
    value = with_trace(encode_request(GOOD), [("before", 1, 2)])
    (reply,) = Hosted().take("user_in", b"u", value)
    assert [hop[0] for hop in orjson.loads(reply.value)["trace"]] == ["before", "user"]


@pytest.mark.parametrize("what", [{1, 2}, 2**70, object()])
def test_an_entity_that_can_not_be_written_is_its_record_s_fault(what: object) -> None:
    """It failed outside what is a service's: the task was restored, and failed again for ever."""
    odd = Service("user", key="user_id")

    @odd.method
    def create_user(entity: Entity | None, call: Call) -> Outcome:
        found = {"what": what} if call.request_id == "odd" else {"what": 1}
        return Outcome(found, (Reply({}),))

    host = Hosted([odd])
    for request_id, letters in (("odd", 1), ("even", 0)):
        request = Request(request_id, SINK, "create_user", {"user_id": "e"})
        out = host.take("user_in", b"e", encode_request(request))
        assert len([each for each in out if each.topic == "user_in_dead"]) == letters
    assert orjson.loads(host.values["user_in/e"])[0] == {"what": 1}


@pytest.mark.parametrize(
    "after_s", [math.inf, math.nan, 1e300, -0.001, WAKE_AFTER_S_MAX + 0.001, "soon"], ids=repr
)
def test_an_alarm_that_nobody_can_set_is_its_record_s_fault(after_s: Any) -> None:
    """An infinite one failed in the task, which was restored, and met it again for ever."""
    asked = [after_s]
    sleepy = service_of(lambda entity, call: Outcome({}, (Reply({}),), wake_after_s=asked[0]))
    host = Hosted([sleepy])
    letter, answer = dead(host, b"u", encode_request(GOOD))
    assert letter.reason
    assert code(orjson.loads(answer.value)) == "bad_request"
    assert (host.values, host.timers) == ({}, {})
    for asked[0] in (0.001, WAKE_AFTER_S_MAX):
        request = GOOD._replace(request_id=f"in-{asked[0] * 1000:.0f}")
        (reply,) = host.take("user_in", b"u", encode_request(request))
        assert reply.topic == SINK
        assert NOW_MS + round(asked[0] * 1000) in host.timers["user_in/u"]


def test_no_alarm_is_so_far_away_that_it_counts_as_set_by_a_wrong_clock() -> None:
    """With the shortest window, of which nothing is kept for longer."""

    def sleeps(entity: Entity | None, call: Call) -> Outcome:
        return Outcome({}, wake_after_s=WAKE_AFTER_S_MAX if call.request_id == "good" else None)

    host = Hosted([service_of(sleeps)], Window(WINDOW_S_MIN * 1000))
    for request_id in ("good", "another"):
        host.take("user_in", b"u", encode_request(GOOD._replace(request_id=request_id)))
        wake_at_ms = orjson.loads(host.values["user_in/u"])[1]
        assert wake_at_ms == NOW_MS + WAKE_AFTER_S_MAX * 1000
