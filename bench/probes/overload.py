"""The probe of overload sends ten times as many requests as the service can answer.

The probe is the service: it reads the requests and answers them at a capacity that it chose. So the
capacity is known, and small enough that ten times as much can be offered by a process that shares
the machine with what it loads.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from time import monotonic_ns
from typing import NamedTuple

import numpy as np

from bench.kafka.link import KafkaLink, Record
from bench.probes.echo_requests import ECHO_TOPIC, reply, silences
from bench.probes.probe import PROBE_S_MAX, Found, Result, crossed, latencies, unlike
from bench.probes.sender import Answer, Sender, clock
from bench.probes.target import Control, Options, Target
from bench.records.gateway_counts import Metrics
from bench.stats.quantiles import percentile_ms
from bench.workload.journey import Call
from system.wire import Request, WireError, decode_request

OVERLOAD = 10
"""The probe offers so many times the capacity."""
OFFERED_PER_S_MAX = 1_500.0
"""The probe offers at most this rate: it is more than one process can send beside a system on the
same two cores, in time."""
OFFERED_SHARE_MIN = 0.9
"""The probe must offer this share of what it should; with less, it was itself too slow to judge."""
FULL_WAIT_S_MAX = 1.0
"""The last request waits at most this long when the gateway's table of requests in flight is
full."""
SETTLE_S = 0.25
"""The goodput counts from this time after the begin of a part."""
PAIRS = 2
"""So many parts without overload, and as many with it, come in turn."""
GOODPUT_SHARE_MIN = 0.9
"""The goodput must be this share of that without overload."""


class Plan(NamedTuple):
    in_flight_max: int
    """The limit is of all workers."""
    full_wait_s: float
    part_s: float
    refusal_share_max: float

    @property
    def capacity_per_s(self) -> float:
        return self.in_flight_max / self.full_wait_s

    @property
    def offered_per_s(self) -> float:
        return OVERLOAD * self.capacity_per_s


def plan_of(options: Options) -> Plan:
    full_wait_s = min(FULL_WAIT_S_MAX, options.timeout_s / 2)
    part_s = SETTLE_S + options.duration_s / (2 * PAIRS)
    in_flight_max = options.in_flight_max * options.workers
    return Plan(in_flight_max, full_wait_s, part_s, options.refusal_share_max)


class Service:
    """This service answers requests one after the other, at a rate."""

    def __init__(self, link: KafkaLink, capacity_per_s: float) -> None:
        self._link = link
        self._capacity_per_s = capacity_per_s
        self._waiting: deque[Request] = deque()

    def take(self, record: Record) -> None:
        try:
            request = decode_request(record.value)
        except WireError:
            return
        if request.method == "silence":
            self._waiting.append(request)

    async def serve(self) -> None:
        ticks = np.arange(self._capacity_per_s * PROBE_S_MAX) * (1e9 / self._capacity_per_s)
        async with asyncio.TaskGroup() as group:
            async for _ in clock(monotonic_ns() + ticks.astype(np.int64)):
                if self._waiting:
                    request = self._waiting.popleft()
                    record = reply(request.request_id, request.params["echo_id"])
                    group.create_task(self._link.produce(request.sink, record))


class Part(NamedTuple):
    answers: list[Answer]
    opened_ns: int
    """The goodput counts from then until `closed_ns`."""
    closed_ns: int

    @property
    def done(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 200]

    @property
    def goodput_per_s(self) -> float:
        return self._rate_per_s(answer.row.done_ns for answer in self.done)

    @property
    def offered_per_s(self) -> float:
        return self._rate_per_s(answer.row.sent_ns for answer in self.answers)

    def _rate_per_s(self, times_ns: Iterator[int]) -> float:
        inside = sum(self.opened_ns <= at_ns < self.closed_ns for at_ns in times_ns)
        return inside / (self.closed_ns - self.opened_ns) * 1e9


async def overload(target: Target) -> Result:
    assert target.kafka is not None
    plan, calls = plan_of(target.options), silences()
    alone: list[Part] = []
    crowded: list[Part] = []
    async with Sender(target) as sender, KafkaLink(target.kafka) as link:
        service = Service(link, plan.capacity_per_s)
        async with link.following(ECHO_TOPIC, service.take), asyncio.TaskGroup() as group:
            serving = group.create_task(service.serve())
            for _ in range(PAIRS):
                window = _window(plan)
                alone.append(Part(await _closed(sender, calls, plan), *window))
                window = _window(plan)
                open_ = sender.pace(calls, plan.offered_per_s, plan.part_s)
                crowded.append(Part(await open_, *window))
            serving.cancel()
        risen = await sender.settled()
    found = Found([*crossed(sender.rows), *sender.faults(risen)], sender.unsent)
    return judge(plan, alone, crowded, risen, target.control, found)


def _window(plan: Plan) -> tuple[int, int]:
    begin_ns = monotonic_ns()
    return begin_ns + int(SETTLE_S * 1e9), begin_ns + int(plan.part_s * 1e9)


async def _closed(sender: Sender, calls: Iterator[Call], plan: Plan) -> list[Answer]:
    """Half as many users as the gateway takes requests: the service is busy, nobody is refused."""
    answers: list[Answer] = []
    end_ns = monotonic_ns() + int(plan.part_s * 1e9)

    async def use() -> None:
        while monotonic_ns() < end_ns:
            answers.append(await sender.ask(next(calls)))

    await asyncio.gather(*(use() for _ in range(max(1, plan.in_flight_max // 2))))
    return answers


def judge(
    plan: Plan,
    alone: Sequence[Part],
    crowded: Sequence[Part],
    risen: Metrics | None,
    control: Control,
    found: Found,
) -> Result:
    """`judge` adds to `found` what the two kinds of parts show; the parts without overload are the
    system's own measure, and where the probe could not offer enough nothing is known."""
    before = [answer for part in alone for answer in part.answers]
    during = [answer for part in crowded for answer in part.answers]
    done = [answer for answer in during if answer.status == 200]
    refused = [answer for answer in during if answer.status == 503]
    goodput = [sum(part.goodput_per_s for part in parts) / PAIRS for parts in (alone, crowded)]
    offered_per_s = sum(part.offered_per_s for part in crowded) / PAIRS
    share = goodput[1] / goodput[0] if goodput[0] else 0.0
    timed_out = unlike([answer.row for answer in before], 200)
    timed_out += unlike([answer.row for answer in during], 200, 503)
    found.timed(timed_out, control)
    is_offered = offered_per_s >= OFFERED_SHARE_MIN * plan.offered_per_s
    if not is_offered:
        found.unknown.append(
            f"{offered_per_s:,.0f} requests/s were offered, not {plan.offered_per_s:,.0f}: "
            "the probe itself was too slow"
        )
    if share < GOODPUT_SHARE_MIN:
        line = (
            f"{goodput[1]:,.0f} requests/s were answered under overload, "
            f"{goodput[0]:,.0f} without: below {GOODPUT_SHARE_MIN:.0%}"
        )
        if is_offered:
            found.timed([line], control)
        else:
            found.unknown.append(line)
    if refused:
        found.reasons.extend(_mute(refused))
        slow, slow_ms = _slow(refused, done, plan.refusal_share_max)
        if is_offered:
            found.timed(slow, control, slow_ms)
        else:
            found.unknown.extend(slow)
    elif is_offered:
        found.reasons.append(f"nothing was refused at {OVERLOAD} times the capacity")
    if risen is not None and risen.in_flight:
        found.reasons.append(f"{risen.in_flight} requests are still in flight after the load")
    figures = {
        "capacity_per_s": round(plan.capacity_per_s, 1),
        "offered_per_s": round(offered_per_s, 1),
        "goodput_alone_per_s": round(goodput[0], 1),
        "goodput_overload_per_s": round(goodput[1], 1),
        "goodput_share": round(share, 4),
        "refused": len(refused),
    }
    if refused:
        refused_ns = [answer.service_ns for answer in refused]
        figures |= {f"refused_p{p}_ms": percentile_ms(refused_ns, p) for p in (50, 99)}
    timed = latencies(answer.timed for answer in during)
    return found.result("overload", control, len(before) + len(during), timed, figures)


def _mute(refused: Sequence[Answer]) -> list[str]:
    """Reasons: refusals that do not say when to come again, or are for something else."""
    reasons = []
    mute = sum(not (answer.retry_after or "").isdecimal() for answer in refused)
    if mute:
        reasons.append(f"{mute:,} of {len(refused):,} refusals have no Retry-After")
    others = sum(answer.row.code != "overloaded" for answer in refused)
    if others:
        reasons.append(f"{others:,} of {len(refused):,} refusals are not for overload")
    return reasons


def _slow(
    refused: Sequence[Answer], done: Sequence[Answer], share_max: float
) -> tuple[list[str], float]:
    """A reason where refusals are slow, with the ms that they took since they were sent: to send
    ten times the capacity makes the probe itself late."""
    if not done:
        return [], 0.0
    slow_ms = percentile_ms((answer.service_ns for answer in refused), 99)
    median_ms = percentile_ms((answer.service_ns for answer in done), 50)
    if slow_ms <= share_max * median_ms:
        return [], 0.0
    line = (
        f"a refusal took {slow_ms:,.1f} ms at p99, more than {share_max:.0%} of "
        f"the {median_ms:,.1f} ms of an answer at p50"
    )
    return [line], slow_ms


def lacks(target: Target) -> str | None:
    plan = plan_of(target.options)
    if plan.offered_per_s > OFFERED_PER_S_MAX:
        fitting = int(OFFERED_PER_S_MAX / OVERLOAD * plan.full_wait_s / target.options.workers)
        return (
            f"it would have to send {plan.offered_per_s:,.0f} requests/s: it needs a gateway that "
            f"was started with --in-flight-max {fitting} or less"
        )
    return None
