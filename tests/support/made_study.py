"""Studies as a known queue would make them."""

from typing import Any

from bench.records.run_record import CommitRecord, Environment
from bench.run.settings import Settings
from bench.scaling.axes import AXES, BASE, RATE
from bench.scaling.study_record import SCHEMA_VERSION, Point, Study, Windows
from bench.stats.queueing import Queue

QUEUE = Queue(capacity_per_s=2000.0, servers=1, cv2=2.0, base_p50_ms=3.0, base_p99_ms=9.0)
CPU_US = {"gateway": 100.0, "kafka": 100.0, "flink": 250.0, "generator": 90.0}
ENVIRONMENT = Environment("cpu", 2, 2**34, "Linux", "3.11", {}, "4.1.2", "2.3.0")
COMMIT = CommitRecord("0123456789", dirty=False)
SETTINGS = Settings()
WINDOWS = Windows(SETTINGS.duration_s, SETTINGS.warmup_s, SETTINGS.first_warmup_s)


def point(axis: str, value: float, **changed: Any) -> Point:
    rate = value * QUEUE.capacity_per_s if axis == RATE else 100.0
    fields: dict[str, Any] = {
        "axis": axis,
        "value": value,
        "run_id": f"{axis}-{value:g}",
        "verdict": "valid",
        "rate_per_s": rate,
        "answered_per_s": rate,
        "p50_ms": QUEUE.latency_ms(rate, 0.5),
        "p99_ms": QUEUE.latency_ms(rate, 0.99),
        "is_bound": False,
        "cpu_us": CPU_US,
        "rss_mib": {"gateway": 100.0, "kafka": 500.0, "flink": 1000.0, "generator": 60.0},
        "saturated_per_s": None if axis == RATE else QUEUE.capacity_per_s,
        "saturated_cpu_us": {} if axis == RATE else CPU_US,
    }
    return Point(**fields | changed)


def study(*points: Point) -> Study:
    return Study(SCHEMA_VERSION, COMMIT, ENVIRONMENT, WINDOWS, QUEUE.capacity_per_s, [*points])


def whole() -> Study:
    """With all rates and the base."""
    return study(point(BASE, 1.0), *(point(RATE, share) for share in AXES[RATE].values))
