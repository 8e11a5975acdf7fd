"""A run is compared in these metrics, taken from its run.json: the least noisy first.

A metric's kind is the key of its rule in budgets.toml: ``cpu_ratio.gateway``, ``failed``,
``latency.p99``. Kafka records and bytes, and allocations, are in the record of a run as
window.per_request where they were counted, and then are metrics ``per_request.<name>``.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from bench.compare.metric import LATENCIES, Metric
from bench.records.run_record import (
    Figures,
    GroupCpu,
    PhaseRecord,
    QuantileName,
    RunRecord,
    WindowFigures,
)
from bench.stats.window import failed_share

GENERATOR = "generator"
"""The group is not part of the system under test, and no change of it can touch that."""
QUEUEING = "queueing.p99"
"""A closed loop's p99 is of this kind: its users wait for each other."""
SYSTEM = "system"
"""This is the name of all groups of the system together, where all are known."""
SYSTEM_GROUPS = frozenset({"gateway", "kafka", "flink"})
JVM_GROUPS = frozenset({"kafka", "flink"})
"""These groups' processes compile while they run."""
STATE = "flink"
"""This group keeps the services' state, in RocksDB."""
COMPACTING_GROUPS = frozenset({STATE, SYSTEM})
"""The CPU time of these groups has RocksDB's compactions in it."""


class Reading(NamedTuple):
    """A reading is a metric's value in one run."""

    value: float | None
    """The value is None where the run has the place for it, and nothing in it."""
    at_least: bool = False
    """The flag says that only a lower bound is known: requests had no answer."""


Readings = dict[Metric, Reading]


def readings(run: RunRecord, operations: Collection[tuple[str, str]] = ()) -> Readings:
    """`readings` returns all that is gated; `operations` are (operation, kind) that are looked at
    by themselves.

    A value that its scale has no place for, as a ratio of 0, is None.
    """
    found: Readings = {}
    for phase in run.fixed_phases:
        if phase.window is not None:
            for metric, reading in _of_phase(phase, phase.window, operations):
                found[metric._replace(loop=phase.loop)] = reading
    if run.capacity is not None:
        knee = Metric("capacity", "capacity", "requests/s", False)
        found[knee] = Reading(run.capacity.knee_per_s)
    return {metric: _in_scale(metric, reading) for metric, reading in found.items()}


def imported(tool: str, figures: Mapping[str, float]) -> Readings:
    """`imported` returns the figures of another tool's file, which are named as in
    `bench.imports.formats.Summary`."""
    forms = {
        "failed": Metric(f"{tool} failed", "failed", "of requests", scale="difference"),
        "p50": Metric(f"{tool} p50", "latency.p50", "ms"),
        "p99": Metric(f"{tool} p99", "latency.p99", "ms"),
        "requests/s": Metric(f"{tool} rate", "throughput", "requests/s", is_lower_better=False),
    }
    found = {metric: Reading(figures.get(name)) for name, metric in forms.items()}
    return {metric: _in_scale(metric, reading) for metric, reading in found.items()}


def _in_scale(metric: Metric, reading: Reading) -> Reading:
    if metric.scale == "ratio" and reading.value is not None and reading.value <= 0:
        return reading._replace(value=None)
    return reading


def _of_phase(
    phase: PhaseRecord, window: WindowFigures, operations: Collection[tuple[str, str]]
) -> Iterator[tuple[Metric, Reading]]:
    name = phase.name
    groups = {group: cpu for group, cpu in window.cpu.items() if group != GENERATOR}
    if groups.keys() == SYSTEM_GROUPS:
        groups[SYSTEM] = _together(groups.values())
    yield from _cpu_ratios(name, groups, window.cpu.get(GENERATOR))
    if groups.keys() >= JVM_GROUPS:
        compiled_s = sum(groups[group].compiling_s for group in JVM_GROUPS)
        metric = Metric(f"{name} compiling", "compiling", "cores", scale="difference")
        yield metric, Reading(compiled_s / window.length_s)
    for what, amount in window.per_request.items():
        metric = Metric(f"{name} {what} per request", f"per_request.{what}", "per request")
        yield metric, Reading(amount)
    kinds = ("failed", *(LATENCIES if phase.is_open else ("throughput", QUEUEING)))
    yield from (_figure(name, window, kind) for kind in kinds)
    for operation, kind in operations:
        if operation in window.operations and (kind == "failed" or phase.is_open):
            figures = window.operations[operation]
            metric, reading = _figure(f"{name} {operation}", figures, kind)
            yield metric._replace(operation=operation), reading
    for group, cpu in (window.cpu | groups).items():
        metric = Metric(f"{name} {group} CPU", f"cpu.{group}", "µs/request")
        yield metric, Reading(cpu.us_per_request)


def _together(groups: Collection[GroupCpu]) -> GroupCpu:
    per_request = [cpu.us_per_request for cpu in groups if cpu.us_per_request is not None]
    return GroupCpu(
        sum(cpu.cpu_s for cpu in groups),
        sum(per_request) if len(per_request) == len(groups) else None,
        sum(cpu.compiling_s for cpu in groups),
        None
        if any(cpu.compacting_s is None for cpu in groups)
        else sum(cpu.compacting_s or 0.0 for cpu in groups),
    )


def _cpu_ratios(
    name: str, groups: Mapping[str, GroupCpu], generator: GroupCpu | None
) -> Iterator[tuple[Metric, Reading]]:
    """What a group took, as a ratio to what the generator took for the same requests.

    A machine that slows down slows both, so the ratio scatters less than either. What JVMs compile
    and RocksDB compacts is left out; `compiling` and `compacting` tell of that.
    """
    if generator is None or not generator.cpu_s:
        return
    unit = "of the generator's"
    for group, cpu in groups.items():
        metric = Metric(f"{name} {group} CPU ratio", f"cpu_ratio.{group}", unit)
        is_known = cpu.compacting_s is not None or group not in COMPACTING_GROUPS
        yield metric, Reading(cpu.worked_s / generator.cpu_s if is_known else None)
    if STATE in groups:
        metric = Metric(f"{name} compacting", "compacting", unit, scale="difference")
        took_s = groups[STATE].compacting_s
        yield metric, Reading(None if took_s is None else took_s / generator.cpu_s)


def _figure(name: str, figures: Figures, kind: str) -> tuple[Metric, Reading]:
    if kind == "failed":
        metric = Metric(f"{name} failed", kind, "of requests", scale="difference")
        return metric, Reading(failed_share(figures))
    if kind == "throughput":
        metric = Metric(f"{name} throughput", kind, "requests/s", is_lower_better=False)
        return metric, Reading(figures.throughput_per_s)
    quantile: QuantileName = "p50" if kind == "latency.p50" else "p99"
    metric = Metric(f"{name} {quantile}", kind, "ms")
    latency = figures.latency_ms
    if latency is None:
        return metric, Reading(None)
    return metric, Reading(latency.of(quantile), quantile in latency.at_least)
