"""The machine under a run: whether what it did besides leaves the figures worth anything.

CPU times are means over a second, in cores: 0.5 is half a core's time, whatever the number of
cores. Source: proc(5); Documentation/accounting/psi.rst of Linux.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import NamedTuple, TypeVar

from bench.cpu import BESIDE, GROUPS
from bench.series import Series

STEAL_SHARE_MAX = 0.05
"""Of all cores' time. The hypervisor takes it in slices of milliseconds, and it looks like latency
of the system: from a few per cent on, the tail is the neighbours'."""
FOREIGN_SHARE_MAX = 0.1
"""Of all cores' time, used by processes that are no part of the run: their bursts take the CPU away
for as long as a request takes. An idle machine's own work is far less."""
RUNNABLE_PER_CORE_MAX = 8.0
"""Processes that wait for a CPU, in the mean. Each of them may run for about 3 ms before the next:
behind eight, no figure of milliseconds means anything, not even when a request was sent. The stack
by itself, loaded to its limit, was measured to make less than three."""
SAMPLES_MIN = 3
"""Less than three seconds say nothing: the clock of steal ticks each 10 ms."""

TICK_HZ = os.sysconf("SC_CLK_TCK")
T = TypeVar("T")


class Times(NamedTuple):
    """Since the machine started, over all cores."""

    busy_s: float
    steal_s: float


def parse_stat(text: str) -> Times:
    """/proc/stat. Raises `ValueError`."""
    name, *fields = text.partition("\n")[0].split()
    if name != "cpu" or len(fields) < 8:
        raise ValueError("no times of the cpu")
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return Times((user + nice + system + irq + softirq) / TICK_HZ, steal / TICK_HZ)


def parse_pressure(text: str) -> float:
    """/proc/pressure/cpu: seconds in which at least one process waited. Raises `ValueError`."""
    for line in text.splitlines():
        kind, *fields = line.split()
        if kind == "some":
            return int(dict(field.split("=") for field in fields)["total"]) / 1e6
    raise ValueError("no line 'some'")


def parse_runnable(text: str) -> int:
    """/proc/loadavg: processes that run or wait for a cpu right now. Raises `ValueError`."""
    return int(text.split()[3].partition("/")[0])


class HostMeter:
    """Reads below `proc`; what the kernel does not tell is left out."""

    def __init__(self, proc: Path = Path("/proc"), cores: int | None = None) -> None:
        self._proc = proc
        self._cores = cores or os.cpu_count() or 1
        self._waiting: list[int] = []
        self._before: tuple[int, Times | None, float | None] | None = None

    def tick(self) -> None:
        """Counts who waits; to be called several times between two reads."""
        runnable = self._parse("loadavg", parse_runnable)
        if runnable is not None:
            # Without the reader itself, every core can run one of them.
            self._waiting.append(max(0, runnable - 1 - self._cores))

    def read(self) -> dict[str, float]:
        """Means since the last call: busy, steal in cores; runnable; pressure, a share of time."""
        now_ns = time.monotonic_ns()
        times = self._parse("stat", parse_stat)
        pressure_s = self._parse("pressure/cpu", parse_pressure)
        found: dict[str, float] = {}
        if self._before is not None:
            before_ns, times_before, pressure_before_s = self._before
            elapsed_s = (now_ns - before_ns) / 1e9
            if times is not None and times_before is not None:
                busy_s, steal_s = (b - a for a, b in zip(times_before, times, strict=True))
                found |= {"busy": busy_s / elapsed_s, "steal": steal_s / elapsed_s}
            if pressure_s is not None and pressure_before_s is not None:
                found["pressure"] = (pressure_s - pressure_before_s) / elapsed_s
        if self._waiting:
            found["runnable"] = sum(self._waiting) / len(self._waiting)
            self._waiting.clear()
        self._before = (now_ns, times, pressure_s)
        return found

    def _parse(self, name: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse((self._proc / name).read_text())
        except (OSError, ValueError, IndexError, KeyError):
            return None


class Host(NamedTuple):
    """Means over a window; None where too little is known."""

    cores: int
    busy: float | None
    steal: float | None
    runnable: float | None
    own: float | None
    """Cores used by all processes of the run."""


def of_window(series: Series, opened_ns: int, closed_ns: int, cores: int) -> Host:
    """`cores` of the machine on which the series was sampled."""

    def mean(name: str) -> float | None:
        known = series.known(name, opened_ns, closed_ns)
        return fmean(known) if len(known) >= SAMPLES_MIN else None

    groups = set(GROUPS.values())
    means = {group: mean(f"cpu.{group}") for group in groups}
    used = [each for each in means.values() if each is not None]
    needed = groups if means[BESIDE] is not None else groups - {BESIDE}
    return Host(
        cores,
        busy=mean("host.busy"),
        steal=mean("host.steal"),
        runnable=mean("host.runnable"),
        own=sum(used) if len(used) == len(needed) else None,
    )


def reasons(host: Host) -> list[str]:
    """Why a run on this host is VOID, a line each."""
    found = []
    if host.steal is not None and host.steal > STEAL_SHARE_MAX * host.cores:
        found.append(
            f"the hypervisor took {host.steal / host.cores:.0%} of the machine's time, at most "
            f"{STEAL_SHARE_MAX:.0%} is allowed: other guests were the bottleneck"
        )
    if host.busy is not None and host.own is not None:
        foreign = host.busy - host.own
        if foreign > FOREIGN_SHARE_MAX * host.cores:
            found.append(
                f"other processes used {foreign / host.cores:.0%} of the machine's time, at most "
                f"{FOREIGN_SHARE_MAX:.0%} is allowed: end them, or measure elsewhere"
            )
    if host.runnable is not None and host.runnable > RUNNABLE_PER_CORE_MAX * host.cores:
        found.append(
            f"{host.runnable:.0f} processes waited for {host.cores} cores in the mean, at most "
            f"{RUNNABLE_PER_CORE_MAX * host.cores:.0f} may: the machine is too busy"
        )
    return found
