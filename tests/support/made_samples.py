"""Made-up samples of a phase, for made_run.py."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import orjson
from numpy.typing import NDArray

from bench.records.samples import DROPPED_LATE, TIMEOUT
from bench.workload.arrivals import Schedule, Stage

BEGIN_NS = 5_000_000_000_000
TIMEOUT_NS = 2_000_000_000
STALL_NS = 2_600_000_000
SECOND_NS = 1_000_000_000

OPERATIONS = {"find_user": (0.5, 3.0), "add_credit": (0.3, 4.0), "checkout": (0.2, 19.0)}
"""The share of each, and its median latency in ms."""
NOT_SENT = "(not sent)"
OUTCOMES = ("200", "409 out_of_stock", "503 overloaded", TIMEOUT, DROPPED_LATE)


class PhaseSpec(NamedTuple):
    name: str
    users: int | None = None
    """None: an open loop."""
    rate_per_s: float = 400.0
    warmup_s: float = 4.0
    duration_s: float = 20.0
    slower: float = 1.0
    """A factor of all latencies."""
    generators: int = 1

    @property
    def schedule(self) -> Schedule | None:
        """Warm-up included, as that of a run."""
        lengths_s = (self.warmup_s, self.duration_s)
        stages = tuple(Stage(self.rate_per_s, self.rate_per_s, s) for s in lengths_s if s)
        return Schedule(stages) if self.users is None else None


def made_samples(
    spec: PhaseSpec,
    begin_ns: int,
    random: np.random.Generator,
    operations: dict[str, tuple[float, float]],
) -> NDArray[np.int64]:
    """Columns of the file: label, intended, sent, done."""
    length_s = spec.warmup_s + spec.duration_s
    count = int(spec.rate_per_s * length_s / spec.generators)
    intended = np.sort(random.integers(0, int(length_s * SECOND_NS), count))
    shares = [share for share, _ in operations.values()]
    operation = random.choice(len(operations), count, p=np.divide(shares, sum(shares)))
    median_ms = np.array([median for _, median in operations.values()])[operation]
    cold = 1 + 5 * np.exp(-intended / SECOND_NS / (spec.warmup_s / 3))
    service = (median_ms * spec.slower * cold * random.lognormal(0, 0.45, count) * 1e6).astype(int)
    lag = np.zeros(count, dtype=np.int64)
    outcome = np.where((operation == len(operations) - 1) & (random.random(count) < 0.03), 1, 0)
    if spec.users is None:
        lag = (random.exponential(0.08, count) * 1e6).astype(int)
        stalled_from = int((spec.warmup_s + spec.duration_s * 3 / 5) * SECOND_NS)
        stalled = (intended >= stalled_from) & (intended < stalled_from + STALL_NS)
        service = np.where(stalled, stalled_from + STALL_NS - intended + service, service)
        after = intended - stalled_from - STALL_NS
        outcome = np.where(
            (after > 0) & (after < SECOND_NS) & (random.random(count) < 0.08), 2, outcome
        )
        outcome = np.where(service >= TIMEOUT_NS, 3, outcome)
        outcome = np.where(random.random(count) < 0.0002, 4, outcome)
    service = np.minimum(service, TIMEOUT_NS)
    service = np.where(outcome == 2, 900_000, np.where(outcome == 4, 0, service))
    operation = np.where(outcome == 4, len(operations), operation)
    intended += begin_ns
    sent = intended + lag
    return np.column_stack([operation << 16 | outcome, intended, sent, sent + service])


def write_marks(path: Path, operations: Sequence[str], table: NDArray[np.int64]) -> None:
    dropped = int(((table[:, 0] & 0xFFFF) == OUTCOMES.index(DROPPED_LATE)).sum())
    marks = [
        {"schema_version": 1, "monotonic_ns": BEGIN_NS, "wall_ns": 1_767_323_045 * SECOND_NS},
        *({"operation": name} for name in operations),
        *({"outcome": name} for name in OUTCOMES),
        {"scheduled": len(table), "sent": len(table) - dropped},
    ]
    lines = (orjson.dumps(mark, option=orjson.OPT_APPEND_NEWLINE) for mark in marks)
    path.with_suffix(".jsonl").write_bytes(b"".join(lines))
