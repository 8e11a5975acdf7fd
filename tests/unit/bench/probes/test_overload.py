"""What the probe of overload judges, and the service that it plays."""

import asyncio
from collections.abc import Sequence
from time import monotonic_ns

import pytest
from support.made_answers import answer, counted, request

from bench.kafka.link import Record
from bench.probes.overload import Part, Service, judge, plan_of
from bench.probes.probe import Found, Result
from bench.probes.sender import Answer
from bench.probes.target import Control, Options
from system.wire import decode, encode_request

PLAN = plan_of(Options(timeout_s=2.0, in_flight_max=100, duration_s=7.0))
SECOND = 10**9


def part(answers: Sequence[Answer]) -> Part:
    return Part(list(answers), 0, SECOND)


def spread(number: int, **fields: object) -> list[Answer]:
    """So many answers, evenly over the second in which they count."""
    return [
        answer(sent_ns=SECOND // number * n, echo_id=f"{number}-{n}", **fields)
        for n in range(number)
    ]


def refusals(number: int = 901, **fields: object) -> list[Answer]:
    return spread(number, **{"status": 503, "after_ms": 0.1, "retry_after": "1", **fields})


ALONE = [part(spread(100))] * 2


def overloaded(*answers: Answer, in_flight: int = 0) -> Result:
    return judged(Control(), *answers, in_flight=in_flight)


def judged(control: Control, *answers: Answer, in_flight: int = 0) -> Result:
    crowded = [part(answers)] * 2
    return judge(PLAN, ALONE, crowded, counted(in_flight=in_flight), control, Found([], []))


def test_the_capacity_fills_the_table_for_a_second() -> None:
    assert (PLAN.capacity_per_s, PLAN.offered_per_s) == (100, 1000)
    short = plan_of(Options(timeout_s=1.0, in_flight_max=25, workers=2))
    assert (short.full_wait_s, short.capacity_per_s) == (0.5, 100)


def test_overload_as_it_should_be() -> None:
    result = overloaded(*spread(100), *refusals())
    assert result.reasons == []
    assert result.requests == 2 * (100 + 1001)
    assert result.figures["goodput_share"] == 1.0
    assert result.figures["offered_per_s"] == 1001
    assert result.figures["refused"] == 1802


@pytest.mark.parametrize(
    ("answers", "in_flight", "reason"),
    [
        ([*spread(89), *refusals(911)], 0, "89 requests/s were answered under overload, 100 with"),
        (spread(1000), 0, "nothing was refused at 10 times the capacity"),
        ([*spread(100), *refusals(after_ms=0.21)], 0, "a refusal took 0.2 ms at p99, more than 20"),
        ([*spread(100), *refusals(retry_after=None)], 0, "1,802 of 1,802 refusals have no Re"),
        ([*spread(100), *refusals(retry_after="soon")], 0, "1,802 of 1,802 refusals have no Re"),
        ([*spread(100), *refusals(code="unavailable")], 0, "1,802 of 1,802 refusals are not for"),
        ([*spread(100), *refusals()], 7, "7 requests are still in flight after the load"),
        ([*spread(100), *refusals(), answer(504)], 0, "2 of 2,004 requests ended with 504 timeout"),
    ],
)
def test_overload_that_fails(answers: list[Answer], in_flight: int, reason: str) -> None:
    (found,) = overloaded(*answers, in_flight=in_flight).reasons
    assert found.startswith(reason)


def test_a_probe_that_offers_too_little_cannot_tell() -> None:
    result = overloaded(*spread(100), *refusals(790))
    assert result.state == "unknown"
    assert result.unknown[0].startswith("890 requests/s were offered, not 1,000: the probe")
    assert overloaded(*spread(60), *refusals(790)).state == "unknown"
    assert overloaded(*spread(400)).state == "unknown"
    assert overloaded(*spread(100), *refusals(790, after_ms=5.0)).state == "unknown"


def test_what_a_busy_machine_may_have_caused_is_no_fault_of_the_systems() -> None:
    busy = Control()
    busy.lag_ns = [50_000_000] * 100
    for answers in (
        [*spread(89), *refusals(911)],
        [*spread(100), *refusals(after_ms=0.21)],
        [*spread(100), *refusals(), answer(504)],
    ):
        assert overloaded(*answers).state == "broken"
        assert judged(busy, *answers).state == "unknown"
    assert judged(busy, *spread(1000)).state == "broken"
    assert judged(busy, *spread(100), *refusals(), in_flight=7).state == "broken"
    assert judged(busy, *spread(100), *refusals(retry_after=None)).state == "broken"


async def test_the_service_answers_in_order_at_its_rate() -> None:
    sent: list[tuple[str, bytes]] = []
    all_sent = asyncio.Event()

    class Link:
        async def produce(self, topic: str, value: bytes) -> None:
            sent.append((topic, value))
            if len(sent) == 5:
                all_sent.set()

    service = Service(Link(), capacity_per_s=500.0)
    requests = [request(f"e{number}", f"gateway_out_{number}") for number in range(5)]
    for one in [*requests, request("other")._replace(method="echo")]:
        service.take(Record(encode_request(one), 0, 0))
    service.take(Record(b"no request", 0, 0))
    began_ns = monotonic_ns()
    serving = asyncio.create_task(service.serve())
    await all_sent.wait()
    took_ns = monotonic_ns() - began_ns
    serving.cancel()
    await asyncio.wait((serving,))
    assert [topic for topic, _ in sent] == [one.sink for one in requests]
    assert [decode(value)["request_id"] for _, value in sent] == [
        one.request_id for one in requests
    ]
    assert took_ns >= 4 * SECOND / 500
