"""A regression job makes its runs here, and describes each in a line."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from bench.records.run_record import RunRecord
from bench.run.model import Subject
from bench.run.settings import Settings
from bench.workload.arrivals import rate_of
from system.runtime.settings import CHECKPOINT_INTERVAL_S

RATE_PER_S = 200.0
"""The `--rate` defaults to about half of what two cores answer, next to everything else on them."""
USERS = 64
"""So many users by default load a side to saturation: with twice as many it answers no more, they
only wait longer."""
USERS_MAX = 1000
"""More `--users` of a regression job are refused: saturation is reached by far fewer."""
DURATION_S = CHECKPOINT_INTERVAL_S
"""Each run of a regression job is measured for this long at the fixed rate, and again at
saturation: many short runs tell more than few long ones, and in each of them Flink makes one
checkpoint. In windows of 3 s there was one, or none: a tenth of what Flink takes."""
WARMUP_S = 1.0
"""Each window has this warm-up: connections open, and caches hold this run's entities."""
FIRST_WARMUP_S = 30.0
"""A stack that was just started is warmed up this long at most: until it is steady."""
BUDGET_S = 1500.0
"""A whole job has this budget, all included: enough for a finding that is repeated."""
RATE_PER_S_MAX = 10_000.0
"""A higher `--rate` of a regression job is refused."""
DURATION_S_MAX = 60.0
"""A longer run of a regression job is refused."""

Measure = Callable[[Settings, Path, Subject], RunRecord]
"""A measure measures a system that is up, and records the run in a folder of its own in the one
given."""


class Options(NamedTuple):
    rate_per_s: float = RATE_PER_S
    users: int = USERS
    duration_s: float = DURATION_S
    warmup_s: float = WARMUP_S
    first_warmup_s: float = FIRST_WARMUP_S
    budget_s: float = BUDGET_S
    seed: int = 1
    generators: int = 1
    """So many load one side at a time: one sends some thousand requests a second."""
    workload: str | None = None
    """The path is that of a workload file, where what is measured is not the shop."""

    def settings(self, number: int) -> Settings:
        """`settings` returns those of all runs of a round: a fixed rate, and then saturation."""
        return Settings(
            rate=rate_of(self.rate_per_s),
            saturation_users=self.users,
            first_warmup_s=0.0,
            warmup_s=self.warmup_s,
            duration_s=self.duration_s,
            seed=self.seed + number,
            generators=self.generators,
            workload=self.workload,
        )


def described(run: RunRecord) -> str:
    """`described` returns a run in a line."""
    parts = []
    for phase, window in run.windows:
        latency = window.latency_ms
        if latency and phase.is_open:
            parts.append(f"p50 {latency.p50:.1f} ms, p99 {latency.p99:.1f} ms")
        elif latency:
            parts.append(f"{window.throughput_per_s:,.0f} requests/s")
    for _, window in list(run.windows)[-1:]:
        parts += [
            f"{group} {cpu.us_per_request:,.0f} µs"
            for group, cpu in window.cpu.items()
            if cpu.us_per_request is not None
        ]
    why = f": {'; '.join(run.reasons)}" if run.reasons else ""
    return f"{', '.join(parts) or 'nothing was measured'} - {run.verdict.upper()}{why}"
