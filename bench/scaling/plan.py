"""A plan says what a rate needs, from a study: machines as that of the study, and what is on them.

Latency follows from the queue that explains the study's rates (`bench.stats.queueing`), CPU and
memory from what a request and a part took at the highest rate. What can't be known from a
study is an assumption, and is said.
"""

from dataclasses import dataclass
from math import ceil

from bench.errors import BenchError
from bench.records.run_record import GROUPS
from bench.scaling.axes import RATE
from bench.scaling.study_record import Point, Study
from bench.stats.queueing import RATES_MIN, Held, Observation, hold_against

ERROR_MIN = 0.05
"""A plan's error is at least this, whatever the halves of the study say: two runs of one thing
differ by as much."""
SYSTEM = GROUPS[:-1]


@dataclass(frozen=True)
class Range:
    """A figure is most likely `expected`, and between `low` and `high` by the study's errors."""

    low: float
    expected: float
    high: float


@dataclass(frozen=True)
class Plan:
    rate_per_s: float
    p99_ms: float
    per_machine_per_s: Range
    """One machine as the study's holds the level up to this rate."""
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


def plan(study: Study, rate_per_s: float, p99_ms: float) -> Plan:
    """`plan` raises `BenchError` where the study is not enough, or no rate has such a p99."""
    held = held_of(study)
    return planned(study.of(RATE)[-1], held, study.environment.cores, rate_per_s, p99_ms)


def planned(busiest: Point, held: Held, cores: int, rate_per_s: float, p99_ms: float) -> Plan:
    """`planned` takes what a request and a part took at the highest rate, where the system works as
    it does under load. It raises `BenchError` where no rate has such a p99."""
    queue = held.queue
    reached = queue.rate_for(p99_ms)
    if not reached:
        raise BenchError(
            f"no rate has a p99 of {p99_ms:g} ms: nearly unloaded it is "
            f"{queue.latency_ms(queue.capacity_per_s * 1e-6, 0.99):.1f} ms"
        )
    cpu_us = busiest.cpu_us
    if not cpu_us.keys() >= {*SYSTEM}:
        raise BenchError("the study does not tell what each part of the system took")
    # A machine of a deployment does not send its own load.
    without = sum(cpu_us.values()) / sum(cpu_us[group] for group in SYSTEM)
    error = max(ERROR_MIN, abs(held.capacity_error), held.p50_error)
    one = _range(reached * without, error)
    used = queue.utilisation(reached)
    machines = _whole(rate_per_s / one.high, rate_per_s / one.expected, rate_per_s / one.low)
    rss_mib = sum(busiest.rss_mib.get(group, 0.0) for group in SYSTEM)
    return Plan(
        rate_per_s,
        p99_ms,
        one,
        machines,
        _threads(rate_per_s, cpu_us["flink"], used, error),
        _threads(rate_per_s, cpu_us["gateway"], used, error),
        Range(machines.low * rss_mib, machines.expected * rss_mib, machines.high * rss_mib),
        round(queue.capacity_per_s, 1),
        round(used, 3),
        round(held.p50_error, 3),
        round(held.capacity_error, 3),
        [
            f"machines as the study's, of {cores} cores, which send no load themselves",
            "the study's mix of requests, entities and checkpoints; entities spread evenly over "
            "partitions, and requests over gateways",
            "CPU a request stays what it is with one machine: the network between several is not "
            "in it",
            f"a partition's job and a gateway use one core each at most, {used:.0%} of it",
            "memory as at the end of the study's highest rate; state that grows with entities is "
            "not in it",
        ],
    )


def _threads(rate_per_s: float, cpu_us: float, used: float, error: float) -> Range:
    """What runs on one core at a time: so many of them."""
    needed = rate_per_s * cpu_us / 1e6 / used
    return _whole(needed / (1 + error), needed, needed * (1 + error))


def _range(expected: float, error: float) -> Range:
    return Range(expected / (1 + error), expected, expected * (1 + error))


def _whole(low: float, expected: float, high: float) -> Range:
    return Range(*(float(ceil(each)) for each in (low, expected, high)))


def table(found: Plan) -> str:
    """`table` returns a plan as Markdown."""
    rows = [
        ("requests/s a machine", found.per_machine_per_s),
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
        *(f"| {name} | {each.low:,.0f} | {each.expected:,.0f} | {each.high:,.0f} |"
          for name, each in rows),
        "",
        f"- at {found.utilisation:.0%} of a capacity of {found.capacity_per_s:,.0f} requests/s",
        f"- held against the study: p50 off by {found.p50_error:.0%} in the middle, capacity by "
        f"{abs(found.capacity_error):.0%}",
        *(f"- assumed: {each}" for each in found.assumptions),
    ]  # fmt: skip
    return "\n".join(lines)
