"""Studies as a known queue would make them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bench.records.run_record import CommitRecord, Environment, QuantileName, RunRecord
from bench.run.settings import Settings
from bench.scaling.axes import AXES, RATE
from bench.scaling.study_record import SCHEMA_VERSION, Figures, Pair, Point, Study, Windows
from bench.stats.queueing import Queue
from support.made_samples import PhaseSpec

QUEUE = Queue(capacity_per_s=2000.0, servers=1, cv2=2.0, base_p50_ms=3.0, base_p99_ms=9.0)
CPU_US = {"gateway": 100.0, "kafka": 100.0, "flink": 250.0, "generator": 90.0}
ENVIRONMENT = Environment("cpu", 2, 2**34, "Linux", "3.11", {}, "4.1.2", "2.3.0")
COMMIT = CommitRecord("0123456789", dirty=False)
SETTINGS = Settings()
PAIRS = 3
WINDOWS = Windows(SETTINGS.duration_s, SETTINGS.warmup_s, SETTINGS.first_warmup_s, PAIRS, 1)
PHASES = (
    PhaseSpec("open", rate_per_s=100, duration_s=5),
    PhaseSpec("users-256", users=256, rate_per_s=900, duration_s=5),
)
SLOWER = (1.0, 3.0, 1.0)
"""The machine is so many times slower in each pair than as a rule: the median is 1."""


def at_least(run: RunRecord, names: list[QuantileName]) -> RunRecord:
    """The run with quantiles of these names of which only a lower bound is known."""
    phases = []
    for phase in run.phases:
        window = phase.window
        assert window is not None
        assert window.latency_ms is not None
        latency = replace(window.latency_ms, at_least=names)
        phases.append(replace(phase, window=replace(window, latency_ms=latency)))
    return replace(run, phases=phases)


def figures(rate_per_s: float = 100.0, slower: float = 1.0, **changed: Any) -> Figures:
    """A run at a rate of the usual machine, by one that is slower."""
    fields: dict[str, Any] = {
        "run_id": f"run-{rate_per_s:g}",
        "verdict": "valid",
        "rate_per_s": rate_per_s / slower,
        "answered_per_s": rate_per_s / slower,
        "p50_ms": QUEUE.latency_ms(rate_per_s, 0.5) * slower,
        "p99_ms": QUEUE.latency_ms(rate_per_s, 0.99) * slower,
        "is_bound": False,
        "cpu_us": {group: us * slower for group, us in CPU_US.items()},
        "rss_mib": {"gateway": 100.0, "kafka": 500.0, "flink": 1000.0, "generator": 60.0},
        "beside_share": 0.02,
        "saturated_per_s": QUEUE.capacity_per_s / slower,
        "saturated_cpu_us": {group: us * slower for group, us in CPU_US.items()},
    }
    return Figures(**fields | changed)


def point(axis: str, value: float, slower: Sequence[float] = SLOWER, **changed: Any) -> Point:
    """A point is as the base but for what is changed; of the rates, at its share."""
    rate = 100.0
    if axis == RATE:
        rate = value * QUEUE.capacity_per_s
        changed = {"saturated_per_s": None, "saturated_cpu_us": {}} | changed
    pairs = [Pair(figures(rate, by, **changed), figures(slower=by)) for by in slower]
    return Point(axis, value, pairs)


def study(*points: Point) -> Study:
    return Study(SCHEMA_VERSION, COMMIT, ENVIRONMENT, WINDOWS, [*points], [])


def whole() -> Study:
    """With all rates."""
    return study(*(point(RATE, share) for share in AXES[RATE].values))
