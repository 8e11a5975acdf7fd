"""What the probes of timeouts, of replies and of Kafka judge, without any of them."""

from math import ceil
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_answers import MS, answer, counted, request

from bench.kafka.link import Record
from bench.probes.echo_requests import Seen, miscounted
from bench.probes.kafka import SERVICE, TOPIC, Trips
from bench.probes.stray_replies import strays
from bench.probes.target import Control
from bench.probes.timeout import accepted, belated, misnamed, refused, untimely
from system.wire import Request, decode, encode, encode_request

# ---- timeouts


@given(st.lists(st.floats(-40, 200), min_size=1), st.floats(0, 150))
def test_504s_are_judged_by_their_p99(late_ms: list[float], late_ms_max: float) -> None:
    answers = [answer(504, after_ms=1000 + late) for late in late_ms]
    p99_ms = round(sorted(late_ms)[ceil(len(late_ms) * 0.99) - 1] * MS) / MS
    reasons, told_ms = belated(answers, 1.0, late_ms_max, " under load")
    assert told_ms == pytest.approx(p99_ms, abs=0.001)
    assert len(reasons) == (round(p99_ms, 3) > late_ms_max)
    assert all("504s under load came" in reason for reason in reasons)


def test_504s_that_come_too_early() -> None:
    answers = [answer(504, after_ms=1010)] * 9 + [answer(504, after_ms=500)]
    assert untimely(answers, 1.0) == ["1 of 10 504s came before their deadline"]


def test_refusals_are_no_504s_and_few() -> None:
    answers = [answer(504), answer(503, code="overloaded")]
    assert accepted(answers) == answers[:1]
    assert refused(answers) == []
    assert refused([*answers, answers[1]]) == ["2 of 3 requests were refused as too many"]
    assert accepted([answer(503, code="unavailable")]), "that is another thing"


def test_no_504_at_all() -> None:
    assert untimely([answer(200), answer(0)], 1.0) == ["there was no 504"]


def seen_of(*requests: Request) -> Seen:
    seen = Seen()
    for one in requests:
        seen.take(Record(encode_request(one), 0, 0))
    return seen


def test_504s_that_name_another_request() -> None:
    seen = seen_of(request("a"), request("b"))
    right = [answer(504, "a"), answer(504, "b"), answer(504, "never-seen")]
    assert misnamed(right, seen) == []
    wrong = [answer(504, "a", request_id="id-b"), answer(504, "b")]
    assert misnamed(wrong, seen) == ["1 of 2 504s name another request"]


# ---- replies


async def test_requests_are_known_by_what_they_ask_for() -> None:
    seen = seen_of(request("a"), request("b"))
    seen.take(Record(b"no request", 0, 0))
    assert await seen.missing(["a", "b"]) == []
    assert [found.request_id for found in seen.of(["/silence/b", "/silence/c"])] == ["id-b"]


async def test_a_request_that_never_reaches_its_topic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.probes.echo_requests.SEEN_WAIT_S", 0.0)
    reasons = await seen_of(request("a")).missing(["a", "b", "c"])
    assert reasons == ["2 of 3 requests did not come to echo_in"]


@given(st.integers(0, 20), st.integers(1, 20), st.integers())
def test_strays_go_where_their_requests_came_from(late: int, twice: int, seed: int) -> None:
    requests = [request(f"e{n}", f"gateway_out_{n % 2}") for n in range(late + twice)]
    made = strays(requests[:late], requests[late:], Random(seed))
    records = [(topic, decode(record)) for topic, record in made]
    assert all(record["echo_id"] == "stray" for _, record in records)
    sinks = {one.request_id: one.sink for one in requests}
    known = {r["request_id"]: topic for topic, r in records if r["request_id"] in sinks}
    assert known == sinks
    assert len({record["request_id"] for _, record in records}) == late + twice + 11


def test_replies_are_counted_exactly() -> None:
    sent = {"matched": 5, "late": 3, "duplicate": 2}
    assert miscounted(counted(matched=5, late=3, duplicate=2), sent) == []
    assert miscounted(counted(matched=5, late=2, duplicate=2, malformed=1), sent) == [
        "late replies: 3 were sent, 2 counted",
        "malformed replies: 0 were sent, 1 counted",
    ]
    (lost,) = miscounted(None, sent)
    assert "started anew" in lost


# ---- Kafka alone


def back(request_id: str, at_ns: int, **fields: str) -> Record:
    return Record(encode({"request_id": request_id, "echo_id": request_id, **fields}), at_ns, 0)


async def test_trips_through_kafka() -> None:
    trips = Trips()
    for number, kind in enumerate((TOPIC, SERVICE, TOPIC, SERVICE)):
        trips.begin(f"r{number}", kind, at_ns=number * 10**9)
    for number, after_ms in enumerate((9, 9, 1, 3)):
        trips.take(back(f"r{number}", number * 10**9 + after_ms * MS))
    await trips.back()
    result = trips.result(Control())
    assert (result.state, result.requests) == ("holds", 4)
    assert result.figures["topic_p50_ms"] == 1.0, "the first is for warming up"
    assert result.figures["service_p50_ms"] == 3.0, "the lower one of two"
    assert result.figures["service_beyond_topic_p50_ms"] == 2.0
    assert result.latency_ms is not None
    assert result.latency_ms.max == 9.0


async def test_a_service_that_loses_what_kafka_keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.probes.kafka.REPLY_WAIT_S", 0.0)
    trips = Trips()
    for request_id, kind in (("t", TOPIC), ("s", SERVICE)):
        trips.begin(request_id, kind, 0)
    trips.take(back("t", 1))
    await trips.back()
    result = trips.result(Control())
    assert (result.state, result.reasons) == ("broken", ["1 of 1 requests had no reply in 0 s"])


async def test_records_that_are_lost_doubled_or_mixed_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.probes.kafka.REPLY_WAIT_S", 0.0)
    trips = Trips()
    for number in range(4):
        trips.begin(f"t{number}", TOPIC, 0)
        trips.begin(f"s{number}", SERVICE, 0)
    for request_id in ("t0", "t1", "s0", "s1", "s2", "s2", "stranger"):
        trips.take(back(request_id, 1))
    trips.take(back("t2", 1, echo_id="t3"))
    await trips.back()
    result = trips.result(Control())
    assert result.unknown == [
        "1 of 4 records did not come back in 0 s",
        "1 of 4 requests had no reply in 0 s",
    ]
    assert sorted(result.reasons) == [
        "1 records are not the reply to their request",
        "1 records came twice",
        "1 records were never asked for",
    ]
