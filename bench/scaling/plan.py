"""A plan says what a rate needs, from a study: machines as that of the study, and what is on them.

Latency follows from the queue that explains the study's rates (`bench.stats.queueing`), CPU and
memory from what a request and a part took at the highest rate. A machine that is set up otherwise
than the study's base takes what the study's axes say of each setting by itself. What can't be known
from a study is an assumption, and is said.

The machine's speed changes meanwhile. Where all takes `slower` times as long, a queue is the same
one at a rate `slower` times as high, with latencies by so much shorter: so each rate is put beside
the speed that the base had right before it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, isfinite
from statistics import median
from typing import NamedTuple

from bench.errors import BenchError
from bench.records.run_record import GROUPS
from bench.scaling.axes import RATE
from bench.scaling.figures import SYSTEM
from bench.scaling.set_up import SetUp, set_up_of
from bench.scaling.study import told_of
from bench.scaling.study_record import Point, Study
from bench.stats.queueing import (
    RATES_MIN,
    UTILISATION_MAX,
    Held,
    Observation,
    factor_of,
    hold_against,
)

ERROR_MIN = 0.05
"""A plan's error is at least this, whatever the halves of the study say: two runs of one thing
differ by as much."""
FAR_ERROR_MIN = 0.2
"""The error of a capacity is at least this where no rate near it was measured: what is seen up to
80 % tells it within 20 %, see `tests/unit/bench/stats/test_queueing.py`."""
NEAR = 0.9
"""A rate of this share of what the base takes at most, and of the queue's capacity, or more, is
near the capacity: users who send again cost more to play than a schedule does, so both are asked.
"""


@dataclass(frozen=True)
class Range:
    """A figure is most likely `expected`, and between `low` and `high` by the study's errors."""

    low: float
    expected: float
    high: float | None
    """There is no bound that is known where this is None."""


class Highest(NamedTuple):
    """The highest rate that was measured, at the study's usual speed."""

    share: float
    """The rate is this share of what the base takes at most."""
    rate_per_s: float
    cpu_us: dict[str, float]
    rss_mib: dict[str, float]


@dataclass(frozen=True)
class Plan:
    rate_per_s: float
    p99_ms: float
    machine: dict[str, float]
    """A machine has these settings, by axis, and else those of the study's base."""
    per_machine_per_s: Range
    """One machine as the study's holds the level up to this rate."""
    p99_at_that_ms: Range
    """The p99 is within this at the expected rate of a machine: near its capacity a little less of
    that is a far longer queue, and where it may be too little there is no bound."""
    machines: Range
    partitions: Range
    gateways: Range
    memory_mib: Range
    """The memory is that of all machines together."""
    capacity_per_s: float
    """The study's machine, with the generator on it, serves at most so much."""
    utilisation: float
    """A machine at its rate is so near its capacity."""
    p50_error: float
    """The queue that was fitted on every second rate predicted the p50 of the others so badly."""
    p99_error: float
    """It predicted their p99 so badly."""
    capacity_error: float
    """Its capacity was off by this share from that of all rates."""
    capacity_ratio: float
    """A machine takes at most so many times what the study's base does, by its settings."""
    measured_ratio: Range | None
    """So many times it was, where `bench scaling` measured this very machine."""
    assumptions: list[str]


def held_of(study: Study) -> Held:
    """`held_of` fits the study's rates. It raises `BenchError` where too few are sound."""
    rates = study.of(RATE)
    needed = 2 * RATES_MIN
    if len(rates) < needed:
        raise BenchError(
            f"the study has {len(rates)} sound rates, a plan needs {needed}: measure the rest with "
            "`python -m bench scaling`, on a quiet machine"
        )
    return hold_against([_observed(study, each) for each in rates])


def plan(
    study: Study, rate_per_s: float, p99_ms: float, machine: Mapping[str, float] | None = None
) -> Plan:
    """`plan` raises `BenchError` where the study is not enough, or no rate has such a p99.

    `machine` sets a machine up otherwise than the study's base: values of the axes in
    `bench.scaling.axes.MACHINE`.
    """
    held, set_up = held_of(study), set_up_of(study, machine or {})
    return planned(_highest(study), held, study.environment.cores, rate_per_s, p99_ms, set_up)


def _observed(study: Study, point: Point) -> Observation:
    """A rate as it is at the study's usual speed."""
    usual = study.at_usual_speed(point)
    return Observation(
        median(own.rate_per_s * slower for slower, own in usual),
        median(own.p50_ms / slower for slower, own in usual),
        median(own.p99_ms / slower for slower, own in usual),
    )


def _highest(study: Study) -> Highest:
    point = study.of(RATE)[-1]
    return Highest(
        point.value,
        _observed(study, point).rate_per_s,
        cpu_at_usual_speed(study, point),
        _medians([own.rss_mib for _, own in study.at_usual_speed(point)]),
    )


def cpu_at_usual_speed(study: Study, point: Point) -> dict[str, float]:
    """`cpu_at_usual_speed` returns what a request of the open loop takes of each group, in µs."""
    return _medians(
        [
            {group: us / slower for group, us in own.cpu_us.items()}
            for slower, own in study.at_usual_speed(point)
        ]
    )


def _medians(told: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Of each group that all tell."""
    known = [group for group in GROUPS if all(group in each for each in told)]
    return {group: median(each[group] for each in told) for group in known}


def planned(
    busiest: Highest,
    held: Held,
    cores: int,
    rate_per_s: float,
    p99_ms: float,
    set_up: SetUp,
) -> Plan:
    """`planned` takes what a request and a part took at the highest rate, where the system works as
    it does under load. It raises `BenchError` where no rate has such a p99.

    No machine is expected to serve more than the highest rate that was measured; how far it may be
    off, the queue tells.
    """
    if not busiest.cpu_us.keys() >= {*SYSTEM}:
        raise BenchError("the study does not tell what each part of the system took")
    cpu_us = busiest.cpu_us | {group: busiest.cpu_us[group] * set_up.cpu[group] for group in SYSTEM}
    measured = set_up.measured
    queue, highest = held.queue.dearer(1 / set_up.capacity), busiest.rate_per_s * set_up.capacity
    reached = min(queue.rate_for(p99_ms), highest)
    if not reached:
        raise BenchError(
            f"no rate has a p99 of {p99_ms:g} ms: nearly unloaded it is "
            f"{queue.latency_ms(queue.capacity_per_s * 1e-6, 0.99):.1f} ms"
        )
    # A machine of a deployment does not send its own load.
    without = sum(cpu_us.values()) / sum(cpu_us[group] for group in SYSTEM)
    near = min(busiest.share, held.queue.utilisation(busiest.rate_per_s))
    error = max(ERROR_MIN if near >= NEAR else FAR_ERROR_MIN, factor_of(held.capacity_error) - 1)
    error = (1 + error) * (1 + set_up.error) - 1
    p99_error = max(ERROR_MIN, held.p99_error)
    # What is within the error of p99 is another rate: far away where the curve is flat.
    least = min(reached / (1 + error), queue.rate_for(p99_ms / (1 + p99_error)))
    most = max(reached * (1 + error), queue.rate_for(p99_ms * (1 + p99_error)))
    one = Range(least * without, reached * without, most * without)
    used, there_ms = queue.utilisation(reached), min(p99_ms, queue.latency_ms(reached, 0.99))
    faster, slower = (
        queue.dearer(times).latency_ms(reached, 0.99) for times in (1 / (1 + error), 1 + error)
    )
    machines = Range(
        _whole(rate_per_s / (most * without)),
        _whole(rate_per_s / one.expected),
        _whole(rate_per_s / one.low) if least else None,
    )
    # What runs on one core at a time is as busy as its machine: so many of them.
    busy = [queue.utilisation(rate) for rate in (min(most, UTILISATION_MAX * queue.capacity_per_s),
                                                 reached, least)]  # fmt: skip
    memory = sum(busiest.rss_mib.get(group, 0.0) * set_up.rss[group] for group in SYSTEM)
    return Plan(
        rate_per_s,
        p99_ms,
        set_up.settings,
        one,
        Range(
            min(faster, there_ms) / (1 + p99_error),
            there_ms,
            slower * (1 + p99_error) if isfinite(slower) else None,
        ),
        machines,
        _threads(rate_per_s * cpu_us["flink"] / 1e6, busy, set_up.cpu_error["flink"]),
        _threads(rate_per_s * cpu_us["gateway"] / 1e6, busy, set_up.cpu_error["gateway"]),
        Range(
            machines.low * memory,
            machines.expected * memory,
            None if machines.high is None else machines.high * memory,
        ),
        round(queue.capacity_per_s, 1),
        round(used, 3),
        round(held.p50_error, 3),
        round(held.p99_error, 3),
        round(held.capacity_error, 3),
        round(set_up.capacity, 3),
        Range(min(measured), median(measured), max(measured)) if measured else None,
        [
            f"machines as the study's, of {cores} cores, which send no load themselves",
            *_otherwise(set_up.settings),
            *_beyond(reached, highest, without),
            "the study's mix of requests, entities and checkpoints; entities spread evenly over "
            "partitions, and requests over gateways",
            "CPU a request stays what it is with one machine: the network between several is not "
            "in it",
            f"a partition's job and a gateway use one core each at most, {used:.0%} of it",
            "memory as at the end of the study's highest rate, and of each setting; state that "
            "grows with entities is not in it",
            "latencies as long as the machine is slow, of which the base's requests/s tell",
            set_up.how,
        ],
    )


def _otherwise(settings: Mapping[str, float]) -> list[str]:
    if not settings:
        return []
    return [
        f"each machine with {told_of(settings)}: each setting makes of CPU, memory and capacity "
        "what it does alone, and latencies grow as the capacity shrinks"
    ]


def _beyond(reached: float, highest: float, without: float) -> list[str]:
    if reached < highest:
        return []
    return [
        f"a machine is expected to serve {highest * without:,.0f} requests/s, as the study has no "
        "sound rate above that, though the level may hold there"
    ]


def _threads(cores: float, busy: Sequence[float], error: float) -> Range:
    """So many are needed for this work, which may be so much more or less, where each is busy by
    most, expected and least."""
    most, expected, least = busy
    high = _whole(cores * (1 + error) / least) if least else None
    return Range(_whole(cores / (1 + error) / most), _whole(cores / expected), high)


def _whole(needed: float) -> float:
    return float(ceil(needed))


def table(found: Plan) -> str:
    """`table` returns a plan as Markdown."""
    rows = [
        ("requests/s a machine", found.per_machine_per_s, 0),
        ("p99 at that rate, ms", found.p99_at_that_ms, 1),
        ("machines", found.machines, 0),
        ("partitions", found.partitions, 0),
        ("gateways", found.gateways, 0),
        ("memory, MiB in all", found.memory_mib, 0),
    ]
    lines = [
        f"# {found.rate_per_s:,.0f} requests/s with a p99 of {found.p99_ms:g} ms",
        "",
        "| what | at least | expected | at most |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name} | {each.low:,.{digits}f} | {each.expected:,.{digits}f} | "
          f"{'unknown' if each.high is None else format(each.high, f',.{digits}f')} |"
          for name, each, digits in rows),
        "",
        f"- at {found.utilisation:.0%} of a capacity of {found.capacity_per_s:,.0f} requests/s",
        f"- held against the study: p50 off by {found.p50_error:.0%} and p99 by "
        f"{found.p99_error:.0%} at most, capacity by {abs(found.capacity_error):.0%}",
        *_held_against_the_machine(found),
        *(f"- assumed: {each}" for each in found.assumptions),
    ]  # fmt: skip
    return "\n".join(lines)


def _held_against_the_machine(found: Plan) -> list[str]:
    """How far the plan is off from what that machine took, which the plan has not seen."""
    measured = found.measured_ratio
    if measured is None:
        return []
    off = found.capacity_ratio / measured.expected - 1
    return [
        f"- {told_of(found.machine)} takes at most {found.capacity_ratio:.2f} of what the base "
        f"does; measured: {measured.expected:.2f} ({measured.low:.2f} to {measured.high:.2f}), so "
        f"the plan is off by {off:+.0%}"
    ]
