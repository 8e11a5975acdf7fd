"""What all probes judge, and how they are run, without a system."""

import asyncio
from itertools import islice
from math import ceil
from time import monotonic_ns

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_answers import MS, TARGET, answer, counted, rows

from bench.errors import BenchError
from bench.probes import overload, registry
from bench.probes.echo_requests import echoes, silences
from bench.probes.probe import Found, Result, crossed, latencies, unlike
from bench.probes.registry import PROBES, choose, run_probe, run_probes
from bench.probes.sender import Answer, Sender, clock
from bench.probes.target import LAGS_MAX, Control, Options, Target
from bench.records.run_record import Latency, ProbeRecord
from bench.stats.quantiles import percentile_ms
from system.gateway.limits import Limits
from system.router import Router
from system.routes import ROUTES

BUSY_NS = [MS] * 98 + [50 * MS] * 2

# ---- what is common to all


def test_how_requests_ended() -> None:
    answers = rows(*(answer() for _ in range(997)), answer(504), answer(504), answer(503))
    assert unlike(answers, 200) == [
        "2 of 1,000 requests ended with 504 timeout, not 200",
        "1 of 1,000 requests ended with 503 overloaded, not 200",
    ]
    assert unlike(answers, 200, 503, 504) == []
    assert unlike(rows(answer(0)), 504) == ["1 of 1 requests ended with connection, not 504"]


def test_replies_of_others() -> None:
    good = [answer(echo_id=f"e{number}") for number in range(998)]
    assert crossed(rows(*good)) == []
    swapped = [answer(echo_id="a", got="b"), answer(echo_id="b", got="a")]
    assert crossed(rows(*good, *swapped)) == [
        "2 of 1,000 requests got another request's answer: asked for echo_id a, got b"
    ]


def test_one_request_id_for_two_requests() -> None:
    twins = [answer(echo_id="a", request_id="x"), answer(echo_id="b", request_id="x")]
    assert crossed(rows(*twins)) == [
        "1 of 2 requests got another request's answer: 2 answers are for request x"
    ]


def test_a_status_that_is_not_its_codes() -> None:
    (reason,) = crossed(rows(answer(503, code="timeout")))
    assert reason.startswith("1 of 1 requests broke final_state")


def test_each_call_has_an_id_of_its_own() -> None:
    paths = [call.path for calls in (echoes(), echoes(), silences()) for call in islice(calls, 9)]
    assert len({path.rpartition("/")[2] for path in paths}) == 27


@given(st.lists(st.integers(1, 10**12), min_size=1), st.integers(1, 100))
def test_percentiles_are_nearest_ranks(values: list[int], percent: int) -> None:
    rank = ceil(len(values) * percent / 100)
    assert percentile_ms(values, percent) == round(sorted(values)[rank - 1] / 1e6, 3)


def test_what_is_not_answered_is_only_known_to_be_longer() -> None:
    found = latencies([("200", MS), ("503 overloaded", 9 * MS), ("504 timeout", 5 * MS)])
    assert found is not None
    assert (found.p50, found.max) == (1.0, 5.0)
    assert found.at_least == ["p90", "p99", "p99.9", "max"]
    assert latencies([]) is None


def test_what_a_busy_machine_may_have_caused_is_unknown() -> None:
    for lag_ns, excused in (([], False), ([MS] * 99 + [50 * MS], False), (BUSY_NS, True)):
        control, found = Control(), Found([], [])
        control.lag_ns = list(lag_ns)
        found.timed(["504s came late"], control, late_ms=77.0)
        result = found.result("timeout", control, 10, None)
        assert result.state == ("unknown" if excused else "broken")
    assert result.record().reasons == [
        "504s came late",
        "the probe itself was 50.0 ms late at p99: this machine is busy",
    ]


def test_a_busy_machine_excuses_no_more_than_it_can_cause() -> None:
    control, found = Control(), Found([], [])
    control.lag_ns = BUSY_NS
    found.timed(["within"], control, late_ms=LAGS_MAX * 50)
    found.timed(["beyond"], control, late_ms=LAGS_MAX * 50 + 0.1)
    result = found.result("timeout", control, 10, None)
    assert (result.reasons, result.unknown[0]) == (["beyond"], "within")
    assert result.state == "broken"


async def test_the_control_sees_a_late_clock() -> None:
    looked = asyncio.Event()

    class Lags(list[int]):
        def append(self, lag_ns: int) -> None:
            super().append(lag_ns)
            looked.set()

    control = Control()
    control.lag_ns = Lags()
    watching = asyncio.create_task(control.watch())
    await looked.wait()
    watching.cancel()
    assert control.lag_ms >= 0


def test_results_read_well() -> None:
    passed = Result("echo", [], 1234, Latency(1.5, 2.0, 9.0, 9.5, 9.9, at_least=[]), {"x": 1})
    assert str(passed) == "echo      passed: 1,234 requests, p50 1.5 ms, p99 9.0 ms"
    failed = passed._replace(reasons=["one thing", "another"])
    assert str(failed) == "echo      FAILED: one thing; another"
    unknown = passed._replace(unknown=["the machine was busy"])
    assert str(unknown) == "echo      can't tell: the machine was busy"
    states = [result.record().state for result in (passed, failed, unknown)]
    assert states == ["holds", "broken", "unknown"]
    assert failed.record().figures == {"x": 1}


def test_the_defaults_are_the_gateways() -> None:
    limits = Limits()
    assert (Options().timeout_s, Options().in_flight_max) == (
        limits.timeout_s,
        limits.in_flight_max,
    )


def test_calls_go_to_routes_that_exist() -> None:
    for call in (next(echoes()), next(silences())):
        assert Router(ROUTES).match(call.verb, call.path).route.method == call.operation


# ---- the sender


def sender_of(*answers: Answer) -> Sender:
    sender = Sender(TARGET)
    sender.answers.extend(answers)
    sender.scheduled = len(answers)
    return sender


def test_the_books_balance() -> None:
    sender = sender_of(answer(), answer(504), answer(503), answer(0))
    assert sender.faults(counted(3, timeouts=1, matched=1)) == []


def test_a_missing_row_is_seen_twice() -> None:
    sender = sender_of(answer(), answer(), answer())
    sender.answers.pop()
    assert sender.faults(counted(3, matched=3)) == [
        "scheduled requests: 3 in all, 1 unaccounted for",
        "responses of the gateway: 3 in all, 1 unaccounted for",
    ]


def test_what_was_not_sent_is_told() -> None:
    sender = sender_of(answer())
    sender.scheduled, sender.dropped = 3, 2
    assert sender.faults(counted(1, matched=1)) == []
    assert sender.unsent == ["2 requests were not sent: 512 were under way"]


async def test_the_clock_gives_each_time_when_it_has_come() -> None:
    now_ns = monotonic_ns()
    due_ns = now_ns + np.array([-MS, 0, MS, MS, 3 * MS])
    given_ns = [(at_ns, monotonic_ns()) async for at_ns in clock(due_ns)]
    assert [at_ns for at_ns, _ in given_ns] == due_ns.tolist()
    assert all(at_ns <= came_ns for at_ns, came_ns in given_ns)


async def test_the_clock_lets_others_run_when_it_is_late() -> None:
    others: list[int] = []

    async def other() -> None:
        for number in range(5):
            others.append(number)
            await asyncio.sleep(0)

    running = asyncio.create_task(other())
    seen = [len(others) async for _ in clock(np.zeros(5, np.int64))]
    await running
    assert seen == [1, 2, 3, 4, 5]


# ---- all of them


def test_an_unknown_probe() -> None:
    with pytest.raises(BenchError, match="no probe nonsense; there are http, gateway, kafka, echo"):
        run_probes(["echo", "nonsense"], "http://here:1", None)


def test_what_a_target_does_not_allow() -> None:
    slow = TARGET._replace(options=Options(timeout_s=6.0, in_flight_max=4096))
    lines: list[str] = []
    assert choose([], slow, lines.append) == ["http", "gateway", "kafka", "echo", "replies"]
    assert [line.split()[0] for line in lines] == ["timeout", "overload"]
    with pytest.raises(BenchError, match=r"probe timeout: .* a timeout of at most 5 s"):
        choose(["timeout"], slow, lines.append)
    with pytest.raises(BenchError, match=r"probe overload: .* --in-flight-max 150 or less"):
        choose(["overload"], slow, lines.append)
    fitting = slow._replace(options=slow.options._replace(in_flight_max=150))
    assert overload.lacks(fitting) is None


def test_a_probe_has_a_text() -> None:
    assert all(probe.text for probe in PROBES.values())


async def endless(_target: Target) -> Result:
    await asyncio.Event().wait()
    raise AssertionError


async def lost(_target: Target) -> Result:
    async with asyncio.TaskGroup() as group:
        group.create_task(unreachable())
    raise AssertionError


async def unreachable() -> None:
    raise BenchError("Kafka is gone")


@pytest.mark.parametrize(
    ("run", "reason", "state"),
    [
        (endless, "it did not end within 0 s", "unknown"),
        (lost, "Kafka is gone", "broken"),
        (lambda _target: unreachable(), "Kafka is gone", "broken"),
    ],
)
async def test_what_ends_a_probe_early(
    monkeypatch: pytest.MonkeyPatch, run: object, reason: str, state: str
) -> None:
    monkeypatch.setattr(registry, "PROBE_S_MAX", 0.0 if run is endless else 60.0)
    monkeypatch.setitem(PROBES, "echo", PROBES["echo"]._replace(run=run))
    result = await run_probe("echo", TARGET)
    assert [*result.reasons, *result.unknown] == [reason]
    assert result.state == state


@pytest.mark.parametrize("address", ["127.0.0.1:9", "127.0.0.1:99999", "here:not-a-port"])
async def test_kafka_is_not_there(address: str) -> None:
    result = await run_probe("kafka", TARGET._replace(kafka=address))
    assert f"Kafka at {address} does not answer" in [*result.reasons, *result.unknown]


def test_results_come_as_the_record_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    async def good(target: Target) -> Result:
        assert target.url == "http://here:1"
        return Result("echo", [], 3)

    monkeypatch.setitem(PROBES, "echo", PROBES["echo"]._replace(run=good))
    lines: list[str] = []
    (result,) = run_probes(["echo"], "http://here:1/", None, Options(), lines.append)
    assert lines == ["echo      passed: 3 requests"]
    assert result == ProbeRecord("echo", "holds", [], 3, None, {})
