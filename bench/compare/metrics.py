"""What of a run is compared, taken from its run.json: the least noisy first.

A metric's kind is the key of its rule in budgets.toml: ``cpu_ratio.gateway``, ``failed``,
``latency.p99``. Kafka records and bytes, and allocations, are in the record of a run as
window.per_request where they were counted, and then are metrics ``per_request.<name>``.
"""

from collections.abc import Collection, Iterator
from math import exp, expm1, log
from typing import Any, Literal, NamedTuple

from bench.records.run_record import CONTROL

GENERATOR = "generator"
"""The group that is not part of the system under test, and no change of it can touch."""
LATENCIES = ("latency.p50", "latency.p99")
OPERATION_KINDS = ("failed", *LATENCIES)
"""What an operation can be looked at by itself for."""

Scale = Literal["ratio", "difference"]


class Metric(NamedTuple):
    name: str
    kind: str
    unit: str
    is_lower_better: bool = True
    scale: Scale = "ratio"
    """Shares of failed requests are mostly 0, which has no ratio."""
    operation: str | None = None
    """None: of all operations."""

    def worsening(self, base: float, head: float) -> float:
        """From base to head, positive where it got worse: log ratio, or difference."""
        change = head - base if self.scale == "difference" else log(head / base)
        return change if self.is_lower_better else -change

    def shown(self, worsening: float) -> float:
        """As people say it: +0.12 is 12 % more, whether that is good or bad."""
        change = worsening if self.is_lower_better else -worsening
        return change if self.scale == "difference" else expm1(change)

    def limit(self, threshold: float) -> float:
        """A threshold that people gave, 0.05 for 5 % more, in the scale of `worsening`."""
        return threshold if self.scale == "difference" else log(1 + threshold)

    def shown_limit(self, limit: float) -> float:
        return limit if self.scale == "difference" else exp(limit) - 1


class Reading(NamedTuple):
    """A metric's value in one run."""

    value: float | None
    """None: the run has the place for it, and nothing in it."""
    at_least: bool = False
    """Only a lower bound is known: requests had no answer."""


Readings = dict[Metric, Reading]


def readings(run: dict[str, Any], operations: Collection[tuple[str, str]] = ()) -> Readings:
    """All that is gated; `operations` are (operation, kind) that are looked at by themselves.

    A value that its scale has no place for, as a ratio of 0, is None.
    """
    found: Readings = {}
    for phase in fixed_phases(run):
        if phase["window"] is not None:
            for metric, reading in _of_phase(phase, operations):
                found[metric] = reading
    if run["capacity"] is not None:
        knee = run["capacity"]["knee_per_s"]
        found[Metric("capacity", "capacity", "requests/s", False)] = Reading(knee)
    return {metric: _in_scale(metric, reading) for metric, reading in found.items()}


def fixed_phases(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Those that every run of the same settings has: not the steps of a search for the capacity."""
    if run["capacity"] is None:
        return list(run["phases"])
    return [phase for phase in run["phases"] if not phase["name"].startswith("step-")]


def _in_scale(metric: Metric, reading: Reading) -> Reading:
    if metric.scale == "ratio" and reading.value is not None and reading.value <= 0:
        return reading._replace(value=None)
    return reading


def _of_phase(
    phase: dict[str, Any], operations: Collection[tuple[str, str]]
) -> Iterator[tuple[Metric, Reading]]:
    name, window = phase["name"], phase["window"]
    groups = {group: cpu for group, cpu in window["cpu"].items() if group != GENERATOR}
    yield from _cpu_ratios(name, groups, window["cpu"].get(GENERATOR))
    for what, amount in window.get("per_request", {}).items():
        metric = Metric(f"{name} {what} per request", f"per_request.{what}", "per request")
        yield metric, Reading(amount)
    kinds = ("failed", *(LATENCIES if phase["loop"] == "open" else ["throughput"]))
    yield from (_figure(name, window, kind) for kind in kinds)
    for operation, kind in operations:
        if operation in window["operations"] and (kind == "failed" or phase["loop"] == "open"):
            figures = window["operations"][operation]
            metric, reading = _figure(f"{name} {operation}", figures, kind)
            yield metric._replace(operation=operation), reading
    for group, cpu in groups.items():
        metric = Metric(f"{name} {group} CPU", f"cpu.{group}", "µs/request")
        yield metric, Reading(cpu["us_per_request"])


def _cpu_ratios(
    name: str, groups: dict[str, Any], generator: dict[str, Any] | None
) -> Iterator[tuple[Metric, Reading]]:
    """What a group took, as a ratio to what the generator took for the same requests.

    A machine that slows down slows both, so the ratio scatters less than either. What JVMs compile
    is left out: it wanes for minutes after a start.
    """
    if generator is None or not generator["cpu_s"]:
        return
    for group, cpu in groups.items():
        worked_s = cpu["cpu_s"] - cpu.get("compiling_s", 0.0)
        metric = Metric(f"{name} {group} CPU ratio", f"cpu_ratio.{group}", "of the generator's")
        yield metric, Reading(worked_s / generator["cpu_s"])


def _figure(name: str, figures: dict[str, Any], kind: str) -> tuple[Metric, Reading]:
    if kind == "failed":
        metric = Metric(f"{name} failed", kind, "of requests", scale="difference")
        return metric, Reading(failed_share(figures))
    if kind == "throughput":
        metric = Metric(f"{name} throughput", kind, "requests/s", is_lower_better=False)
        return metric, Reading(figures["throughput_per_s"])
    quantile = kind.removeprefix("latency.")
    return Metric(f"{name} {quantile}", kind, "ms"), latency(figures, quantile)


def latency(figures: dict[str, Any], quantile: str) -> Reading:
    found = figures["latency_ms"]
    if found is None:
        return Reading(None)
    return Reading(found[quantile], quantile in found["at_least"])


def failed_share(figures: dict[str, Any]) -> float | None:
    """None where nothing was asked."""
    if not figures["requests"]:
        return None
    return float(sum(figures["failed"].values()) / figures["requests"])


def controls(run: dict[str, Any]) -> dict[str, float]:
    """What moves with the machine alone: the figures of the probe `CONTROL`."""
    return {
        name: float(figure)
        for probe in run["probes"] or ()
        if probe["name"] == CONTROL
        for name, figure in probe["figures"].items()
        if figure is not None and figure > 0
    }
