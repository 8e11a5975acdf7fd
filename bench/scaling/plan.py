"""A plan says what a rate needs, from a study: machines as that of the study, and what is on them.

Latency follows from the queue that explains the study's rates (`bench.stats.queueing`), CPU and
memory from what a request and a part took at the highest rate. A machine that is set up otherwise
than the study's base takes what the study's axes say of each setting by itself. What can't be known
from a study is an assumption, and is said.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil, exp, log, prod

import numpy as np

from bench.errors import BenchError
from bench.records.run_record import GROUPS
from bench.scaling.axes import BASE, MACHINE, RATE
from bench.scaling.study_record import Point, Study
from bench.stats.queueing import (
    RATES_MIN,
    UTILISATION_MAX,
    Held,
    Observation,
    hold_against,
)

ERROR_MIN = 0.05
"""A plan's error is at least this, whatever the halves of the study say: two runs of one thing
differ by as much."""
FAR_ERROR_MIN = 0.2
"""The error of a capacity is at least this where no rate near it was measured: what is seen up to
80 % tells it within 20 %, see `tests/unit/bench/stats/test_queueing.py`."""
NEAR = 0.9
"""A rate of this share of what saturates the base, or more, is near the capacity."""
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
    busiest, cores = study.of(RATE)[-1], study.environment.cores
    cpu_us, rss_mib = (
        {group: base.get(group, 0.0) * by[group] for group in SYSTEM}
        for base, by in (
            (busiest.cpu_us, times(study, machine, _cpu_ratio)),
            (busiest.rss_mib, times(study, _with_memory(study, machine), _memory)),
        )
    )
    of_generator = {GENERATOR: busiest.cpu_us.get(GENERATOR, 0.0)}
    found = planned(
        busiest, held, cores, rate_per_s, p99_ms, machine, cpu_us | of_generator, rss_mib
    )
    window = f"windows of {study.windows.duration_s:g} s, one a point"
    return replace(found, assumptions=[*found.assumptions, window])


Figure = Callable[[Point, str], float | None]
"""`Figure` reads what a point tells of a group, None where it does not tell."""


def times(study: Study, machine: Mapping[str, float], figure: Figure) -> dict[str, float]:
    """`times` returns how many times that of the base a figure of each group is on such a machine:
    what each setting makes of it by itself, multiplied. It raises `BenchError` where the study does
    not have a setting."""
    settings = [_times(study, axis, value, figure) for axis, value in machine.items()]
    return {group: prod(each[group] for each in settings) for group in SYSTEM}


def _times(study: Study, axis: str, value: float, figure: Figure) -> dict[str, float]:
    def told(axis: str) -> list[Point]:
        return [each for each in study.of(axis) if all(figure(each, name) for name in SYSTEM)]

    def at(point: Point, group: str) -> float:
        found = figure(point, group)
        assert found
        return found

    points = told(axis)
    if not points or not points[0].value <= value <= points[-1].value:
        have = ", ".join(f"{each.value:g}" for each in points) or "none"
        raise BenchError(
            f"the study's sound values of {axis} are {have}: {value:g} is not among or between "
            f"them; measure them with `python -m bench scaling --axes {axis}`"
        )
    references = [*(each for each in points if each.value == MACHINE[axis]), *told(BASE)]
    if not references:
        raise BenchError("the study has no sound base: measure it with `python -m bench scaling`")
    places = [log(each.value) for each in points]
    found = {}
    for group in SYSTEM:
        logs = [log(at(each, group)) for each in points]
        found[group] = exp(float(np.interp(log(value), places, logs))) / at(references[0], group)
    return found


def _cpu_ratio(point: Point, group: str) -> float | None:
    """As a ratio to what the generator took for the same requests: the machine's speed changes
    between the points."""
    own, generator = (point.saturated_cpu_us.get(name) for name in (group, GENERATOR))
    return own / generator if own and generator else None


def _memory(point: Point, group: str) -> float | None:
    return point.rss_mib.get(group)


def _with_memory(study: Study, machine: Mapping[str, float]) -> dict[str, float]:
    """The settings of which each point tells it; the others are taken to change none."""
    return {
        axis: value
        for axis, value in machine.items()
        if all(_memory(each, group) for each in study.of(axis) for group in SYSTEM)
    }


def planned(
    busiest: Point,
    held: Held,
    cores: int,
    rate_per_s: float,
    p99_ms: float,
    machine: Mapping[str, float] | None = None,
    cpu_us: Mapping[str, float] | None = None,
    rss_mib: Mapping[str, float] | None = None,
) -> Plan:
    """`planned` takes what a request and a part took at the highest rate, where the system works as
    it does under load; `cpu_us` and `rss_mib` are those of a machine that is set up otherwise. It
    raises `BenchError` where no rate has such a p99.

    No machine is expected to serve more than the highest rate that was measured; how far it may be
    off, the queue tells.
    """
    if not busiest.cpu_us.keys() >= {*SYSTEM}:
        raise BenchError("the study does not tell what each part of the system took")
    cpu_us, rss_mib = cpu_us or busiest.cpu_us, rss_mib or busiest.rss_mib
    dearer = sum(cpu_us.values()) / sum(busiest.cpu_us.values())
    queue, highest = held.queue.dearer(dearer), busiest.rate_per_s / dearer
    reached = min(queue.rate_for(p99_ms), highest)
    if not reached:
        raise BenchError(
            f"no rate has a p99 of {p99_ms:g} ms: nearly unloaded it is "
            f"{queue.latency_ms(queue.capacity_per_s * 1e-6, 0.99):.1f} ms"
        )
    # A machine of a deployment does not send its own load.
    without = sum(cpu_us.values()) / sum(cpu_us[group] for group in SYSTEM)
    error = max(ERROR_MIN if busiest.value >= NEAR else FAR_ERROR_MIN, abs(held.capacity_error))
    p99_error = max(ERROR_MIN, held.p99_error)
    # What is within the error of p99 is another rate: far away where the curve is flat.
    least = min(reached / (1 + error), queue.rate_for(p99_ms / (1 + p99_error)))
    most = max(reached * (1 + error), queue.rate_for(p99_ms * (1 + p99_error)))
    one = Range(least * without, reached * without, most * without)
    used, there_ms = queue.utilisation(reached), min(p99_ms, queue.latency_ms(reached, 0.99))
    machines = Range(
        _whole(rate_per_s / (most * without)),
        _whole(rate_per_s / one.expected),
        _whole(rate_per_s / one.low) if least else None,
    )
    # What runs on one core at a time is as busy as its machine: so many of them.
    busy = [queue.utilisation(rate) for rate in (min(most, UTILISATION_MAX * queue.capacity_per_s),
                                                 reached, least)]  # fmt: skip
    memory = sum(rss_mib.get(group, 0.0) for group in SYSTEM)
    return Plan(
        rate_per_s,
        p99_ms,
        dict(machine or {}),
        one,
        Range(there_ms / (1 + p99_error), there_ms, there_ms * (1 + p99_error)),
        machines,
        _threads(rate_per_s * cpu_us["flink"] / 1e6, busy),
        _threads(rate_per_s * cpu_us["gateway"] / 1e6, busy),
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
        [
            f"machines as the study's, of {cores} cores, which send no load themselves",
            *_set_up(machine or {}),
            *_beyond(reached, highest, without),
            "the study's mix of requests, entities and checkpoints; entities spread evenly over "
            "partitions, and requests over gateways",
            "CPU a request stays what it is with one machine: the network between several is not "
            "in it",
            f"a partition's job and a gateway use one core each at most, {used:.0%} of it",
            "memory as at the end of the study's highest rate, and of each setting; state that "
            "grows with entities is not in it",
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


def _beyond(reached: float, highest: float, without: float) -> list[str]:
    if reached < highest:
        return []
    return [
        f"a machine is expected to serve {highest * without:,.0f} requests/s, as the study has no "
        "sound rate above that, though the level may hold there"
    ]


def _threads(cores: float, busy: Sequence[float]) -> Range:
    """So many are needed for this work, where each is busy by most, expected and least."""
    most, expected, least = busy
    high = _whole(cores / least) if least else None
    return Range(_whole(cores / most), _whole(cores / expected), high)


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
        f"{found.p99_error:.0%} at most, capacity by {abs(found.capacity_error):.0%}",
        *(f"- assumed: {each}" for each in found.assumptions),
    ]  # fmt: skip
    return "\n".join(lines)
