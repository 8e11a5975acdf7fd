"""A plan says what a rate needs, from a study: machines as that of the study, and what is on them.

Latency follows from the queue that explains the study's rates (`bench.stats.queueing`), CPU and
memory from what a request and a part took at the highest rate. A machine that is set up otherwise
than the study's base takes what the study's axes say of each setting by itself. What can't be known
from a study is an assumption, and is said.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, exp, log, prod

import numpy as np

from bench.errors import BenchError
from bench.records.run_record import GROUPS
from bench.scaling.axes import BASE, MACHINE, RATE
from bench.scaling.study_record import Point, Study
from bench.stats.queueing import RATES_MIN, Held, Observation, hold_against

ERROR_MIN = 0.05
"""A plan's error is at least this, whatever the halves of the study say: two runs of one thing
differ by as much."""
SYSTEM = GROUPS[:-1]
GENERATOR = GROUPS[-1]


@dataclass(frozen=True)
class Range:
    """A figure is most likely `expected`, and between `low` and `high` by the study's errors."""

    low: float
    expected: float
    high: float | None
    """There is no bound that is known where this is None."""


@dataclass(frozen=True)
class Plan:
    rate_per_s: float
    p99_ms: float
    machine: dict[str, float]
    """A machine has these settings, by axis, and else those of the study's base."""
    per_machine_per_s: Range
    """One machine as the study's holds the level up to this rate."""
    p99_at_that_ms: Range
    """The p99 is within this at the expected rate of a machine."""
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
    return hold_against([Observation(each.rate_per_s, each.p50_ms, each.p99_ms) for each in rates])


def plan(
    study: Study, rate_per_s: float, p99_ms: float, machine: Mapping[str, float] | None = None
) -> Plan:
    """`plan` raises `BenchError` where the study is not enough, or no rate has such a p99.

    `machine` sets a machine up otherwise than the study's base: values of the axes in `MACHINE`.
    """
    held, machine = held_of(study), machine or {}
    cores = study.environment.cores
    dearer = dearer_by(study, machine)
    return planned(study.of(RATE)[-1], held, cores, rate_per_s, p99_ms, machine, dearer)


def dearer_by(study: Study, machine: Mapping[str, float]) -> dict[str, float]:
    """`dearer_by` returns how many times the CPU of the base a request takes of each group on such
    a machine: what each setting makes of it by itself, multiplied.

    All is as a ratio to what the generator took for the same requests, as the machine's speed
    changes between the points. It raises `BenchError` where the study does not have a setting.
    """
    settings = [_dearer(study, axis, value) for axis, value in machine.items()]
    return {group: prod(each[group] for each in settings) for group in SYSTEM}


def _dearer(study: Study, axis: str, value: float) -> dict[str, float]:
    points = [each for each in study.of(axis) if each.saturated_cpu_us.keys() >= {*GROUPS}]
    if not points or not points[0].value <= value <= points[-1].value:
        have = ", ".join(f"{each.value:g}" for each in points) or "none"
        raise BenchError(
            f"the study's sound values of {axis} are {have}: {value:g} is not among or between "
            f"them; measure them with `python -m bench scaling --axes {axis}`"
        )
    own = [each for each in points if each.value == MACHINE[axis]]
    base = [each for each in study.of(BASE) if each.saturated_cpu_us.keys() >= {*GROUPS}]
    if not own + base:
        raise BenchError("the study has no sound base: measure it with `python -m bench scaling`")
    reference = (own + base)[0]
    places = [log(each.value) for each in points]
    return {
        group: exp(
            float(np.interp(log(value), places, [log(_ratio(each, group)) for each in points]))
        )
        / _ratio(reference, group)
        for group in SYSTEM
    }


def _ratio(point: Point, group: str) -> float:
    return point.saturated_cpu_us[group] / point.saturated_cpu_us[GENERATOR]


def planned(
    busiest: Point,
    held: Held,
    cores: int,
    rate_per_s: float,
    p99_ms: float,
    machine: Mapping[str, float] | None = None,
    dearer: Mapping[str, float] | None = None,
) -> Plan:
    """`planned` takes what a request and a part took at the highest rate, where the system works as
    it does under load, and so many times that of each group. It raises `BenchError` where no rate
    has such a p99."""
    if not busiest.cpu_us.keys() >= {*SYSTEM}:
        raise BenchError("the study does not tell what each part of the system took")
    cpu_us = {group: us * (dearer or {}).get(group, 1.0) for group, us in busiest.cpu_us.items()}
    queue = held.queue.dearer(sum(cpu_us.values()) / sum(busiest.cpu_us.values()))
    reached = queue.rate_for(p99_ms)
    if not reached:
        raise BenchError(
            f"no rate has a p99 of {p99_ms:g} ms: nearly unloaded it is "
            f"{queue.latency_ms(queue.capacity_per_s * 1e-6, 0.99):.1f} ms"
        )
    # A machine of a deployment does not send its own load.
    without = sum(cpu_us.values()) / sum(cpu_us[group] for group in SYSTEM)
    error = max(ERROR_MIN, abs(held.capacity_error))
    p99_error = max(ERROR_MIN, held.p99_error)
    # What is within the error of p99 is another rate: far away where the curve is flat.
    least = min(reached / (1 + error), queue.rate_for(p99_ms / (1 + p99_error))) * without
    most = max(reached * (1 + error), queue.rate_for(p99_ms * (1 + p99_error))) * without
    one = Range(least, reached * without, most)
    used, there_ms = queue.utilisation(reached), min(p99_ms, queue.latency_ms(reached, 0.99))
    machines = Range(
        _whole(rate_per_s / most),
        _whole(rate_per_s / one.expected),
        _whole(rate_per_s / least) if least else None,
    )
    rss_mib = sum(busiest.rss_mib.get(group, 0.0) for group in SYSTEM)
    return Plan(
        rate_per_s,
        p99_ms,
        dict(machine or {}),
        one,
        Range(there_ms / (1 + p99_error), there_ms, there_ms * (1 + p99_error)),
        machines,
        _threads(rate_per_s, cpu_us["flink"], used, error),
        _threads(rate_per_s, cpu_us["gateway"], used, error),
        Range(
            machines.low * rss_mib,
            machines.expected * rss_mib,
            None if machines.high is None else machines.high * rss_mib,
        ),
        round(queue.capacity_per_s, 1),
        round(used, 3),
        round(held.p50_error, 3),
        round(held.p99_error, 3),
        round(held.capacity_error, 3),
        [
            f"machines as the study's, of {cores} cores, which send no load themselves",
            *_set_up(machine or {}),
            "the study's mix of requests, entities and checkpoints; entities spread evenly over "
            "partitions, and requests over gateways",
            "CPU a request stays what it is with one machine: the network between several is not "
            "in it",
            f"a partition's job and a gateway use one core each at most, {used:.0%} of it",
            "memory as at the end of the study's highest rate; state that grows with entities is "
            "not in it",
        ],
    )


def _set_up(machine: Mapping[str, float]) -> list[str]:
    if not machine:
        return []
    told = ", ".join(f"{axis} {value:g}" for axis, value in machine.items())
    return [
        f"each machine with {told}: each setting makes a request so much dearer as it does alone, "
        "and latencies grow as its CPU does"
    ]


def _threads(rate_per_s: float, cpu_us: float, used: float, error: float) -> Range:
    """What runs on one core at a time: so many of them."""
    needed = rate_per_s * cpu_us / 1e6 / used
    return Range(_whole(needed / (1 + error)), _whole(needed), _whole(needed * (1 + error)))


def _whole(needed: float) -> float:
    return float(ceil(needed))


def table(found: Plan) -> str:
    """`table` returns a plan as Markdown."""
    rows = [
        ("requests/s a machine", found.per_machine_per_s),
        ("p99 at that rate, ms", found.p99_at_that_ms),
        ("machines", found.machines),
        ("partitions", found.partitions),
        ("gateways", found.gateways),
        ("memory, MiB in all", found.memory_mib),
    ]
    lines = [
        f"# {found.rate_per_s:,.0f} requests/s with a p99 of {found.p99_ms:g} ms",
        "",
        "| what | at least | expected | at most |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {name} | {each.low:,.0f} | {each.expected:,.0f} | "
          f"{'unknown' if each.high is None else format(each.high, ',.0f')} |"
          for name, each in rows),
        "",
        f"- at {found.utilisation:.0%} of a capacity of {found.capacity_per_s:,.0f} requests/s",
        f"- held against the study: p50 off by {found.p50_error:.0%} and p99 by "
        f"{found.p99_error:.0%} in the middle, capacity by {abs(found.capacity_error):.0%}",
        *(f"- assumed: {each}" for each in found.assumptions),
    ]  # fmt: skip
    return "\n".join(lines)
