"""Load: one phase of a run, made by headless Locust processes that record what they send.

The measured window opens when every simulated user is ready and the warm-up is over. Whatever the
processes send before and after is in their history too, and judged, but not measured.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.cpu import CpuMeter, Pids, spent
from bench.errors import BenchError
from bench.history import Row, Tail
from bench.stats import Tally, Window
from system.runtime.errors import StackError
from system.runtime.process import Child, Supervisor, telling_line

PROJECT_DIR = Path(__file__).resolve().parents[1]
READY_TIMEOUT_S = 120.0
"""All users of a phase must have created what they need by then."""
STOP_TIMEOUT_S = 10
"""Journeys under way may end in this time; Locust's --stop-timeout."""
KILL_TIMEOUT_S = STOP_TIMEOUT_S + 10.0
BACKSTOP_S = 60.0
"""A generator ends by itself so long after it should have been ended."""
POLL_S = 0.05
PROGRESS_INTERVAL_S = 1.0


class Phase(NamedTuple):
    """A number of users for a time."""

    name: str
    users: int
    warmup_s: float
    duration_s: float
    """0: a phase that only warms up."""


class System(NamedTuple):
    """What is under load."""

    url: str
    pids: Pids
    """The processes of its parts, as far as they are known."""
    check: Callable[[], None]
    """Raises `BenchError` when a part of it has ended."""


class Load(NamedTuple):
    """What stays the same in all phases of a run."""

    scenario: str
    """A file in locustfiles/, without its suffix."""
    zipf: float
    generators: int
    """Locust processes; never more than users."""


class Measured(NamedTuple):
    phase: Phase
    generators: int
    histories: list[Path]
    window: Window | None
    """None when it was interrupted before the window opened, and where nothing is measured."""
    cpu_s: dict[str, float]
    interrupted: bool


class Generators:
    """The Locust processes of one phase. They die with this process, however it ends."""

    def __init__(self, url: str, load: Load, phase: Phase, seed: int, folder: Path) -> None:
        self._supervisor = Supervisor()
        self._children: list[Child] = []
        self.histories: list[Path] = []
        count = min(load.generators, phase.users)
        try:
            for index in range(count):
                users = phase.users // count + (index < phase.users % count)
                history = folder / f"history-{phase.name}-{index}.jsonl"
                self.histories.append(history)
                command = _command(url, load, phase, users, seed + index, history)
                log = folder / f"generator-{phase.name}-{index}.log"
                name = f"generator {index}"
                child = self._supervisor.start(name, command, log=log, cwd=PROJECT_DIR)
                self._children.append(child)
        except StackError as cause:
            self.close()
            raise BenchError(str(cause)) from None
        self.tails = [Tail(path) for path in self.histories]

    def check(self) -> None:
        """Raises `BenchError` when one has ended by itself."""
        try:
            self._supervisor.check()
        except StackError as cause:
            raise BenchError(str(cause)) from None

    def pids(self) -> list[int]:
        return [process.pid for child in self._children for process in child.tree()]

    def ready(self) -> int:
        return sum(tail.ready for tail in self.tails)

    def written(self) -> list[Path]:
        """A generator that was ended while it started has no history."""
        return [path for path in self.histories if path.exists()]

    def last_words(self) -> str:
        return telling_line(self._children[0].log)

    def stop(self) -> None:
        """Lets the journeys under way end."""
        names = [child.name for child in self._children]
        self._supervisor.stop(names, KILL_TIMEOUT_S)

    def close(self) -> None:
        self._supervisor.close()


def _command(url: str, load: Load, phase: Phase, users: int, seed: int, history: Path) -> list[str]:
    run_time_s = READY_TIMEOUT_S + phase.warmup_s + phase.duration_s + BACKSTOP_S
    return [
        *(sys.executable, "-m", "locust", "--headless", "--only-summary"),
        *("--locustfile", f"locustfiles/{load.scenario}.py", "--host", url),
        *("--users", str(users), "--spawn-rate", str(users)),
        *("--run-time", f"{run_time_s:.0f}s", "--stop-timeout", str(STOP_TIMEOUT_S)),
        *("--loglevel", "WARNING", "--history", str(history.resolve())),
        *("--seed", str(seed), "--zipf", str(load.zipf)),
    ]


class Live:
    """The progress line: what came in since the last one."""

    def __init__(self, phase: Phase, progress: Callable[[str], object]) -> None:
        self._phase = phase
        self._progress = progress
        self._tally = Tally()
        self._since_s = self._started_s = time.monotonic()

    def see(self, rows: Sequence[Row], stage: str) -> None:
        for row in rows:
            self._tally.add(row)
        now_s = time.monotonic()
        if now_s - self._since_s < PROGRESS_INTERVAL_S:
            return
        figures = self._tally.figures(now_s - self._since_s)
        latency = figures.latency_ms
        errors = sum(figures.failed.values())
        quantiles = f"p50 {latency.p50:.1f} ms  p99 {latency.p99:.1f} ms" if latency else "no reply"
        self._progress(
            f"{self._phase.name:>8} {now_s - self._started_s:4.0f} s  {stage:<8}"
            f"{figures.throughput_per_s:8,.0f}/s  {quantiles}  errors {errors}"
        )
        self._tally, self._since_s = Tally(), now_s


def run_phase(
    system: System,
    load: Load,
    phase: Phase,
    seed: int,
    folder: Path,
    progress: Callable[[str], object],
) -> Measured:
    """Ctrl-C ends the phase early, and keeps the window as far as it got.

    Each generator has a seed of its own, counted up from `seed`. Raises `BenchError` when a
    generator or the system ends, or when the users are not ready in time.
    """
    generators = Generators(system.url, load, phase, seed, folder)
    meter = CpuMeter(lambda: {**system.pids(), "generator": [os.getpid(), *generators.pids()]})
    watch = _Watch(system, generators, phase, meter, Live(phase, progress))
    interrupted = False
    try:
        try:
            watch.until_closed()
        except KeyboardInterrupt:
            interrupted = True
            watch.close()
        generators.stop()
    finally:
        generators.close()
    count, histories = len(generators.histories), generators.written()
    return Measured(phase, count, histories, watch.window, watch.cpu_s, interrupted)


class _Watch:
    """Follows the generators, and opens and closes the window."""

    def __init__(
        self, system: System, generators: Generators, phase: Phase, meter: CpuMeter, live: Live
    ) -> None:
        self._system = system
        self._generators = generators
        self._phase = phase
        self._meter = meter
        self._live = live
        self._opened: tuple[int, dict[str, dict[int, float]]] | None = None
        self.window: Window | None = None
        self.cpu_s: dict[str, float] = {}

    def until_closed(self) -> None:
        phase = self._phase
        self._follow("prepare", READY_TIMEOUT_S, until_ready=True)
        self._follow("warm up", phase.warmup_s)
        if phase.duration_s:
            self._opened = (time.monotonic_ns(), self._meter.read())
            self._follow("measure", phase.duration_s)
            self.close()

    def close(self) -> None:
        if self._opened is not None:
            opened_ns, cpu = self._opened
            self.window = Window(opened_ns, time.monotonic_ns())
            self.cpu_s = spent(cpu, self._meter.read())

    def _follow(self, stage: str, duration_s: float, until_ready: bool = False) -> None:
        generators, users = self._generators, self._phase.users
        deadline_s = time.monotonic() + duration_s
        while time.monotonic() < deadline_s:
            self._system.check()
            generators.check()
            self._live.see([row for tail in generators.tails for row in tail.rows()], stage)
            if until_ready and generators.ready() == users:
                return
            time.sleep(max(0.0, min(POLL_S, deadline_s - time.monotonic())))
        if until_ready:
            raise BenchError(
                f"{generators.ready()} of {users} users were ready after {duration_s:g} s: "
                f"{generators.last_words()}"
            )
