"""The kernel tells what the machine does besides: its figures of busy, steal, waiting and disks.

CPU times are means over a second, in cores: 0.5 is half a core's time, whatever the number of
cores. Source: proc(5) of Linux.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

TICK_HZ = os.sysconf("SC_CLK_TCK")
T = TypeVar("T")


class Times(NamedTuple):
    """The times count since the machine started, over all cores."""

    busy_s: float
    steal_s: float


def parse_stat(text: str) -> Times:
    """`parse_stat` reads /proc/stat. It raises `ValueError`."""
    name, *fields = text.partition("\n")[0].split()
    if name != "cpu" or len(fields) < 8:
        raise ValueError("no times of the cpu")
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
    return Times((user + nice + system + irq + softirq) / TICK_HZ, steal / TICK_HZ)


def parse_runnable(text: str) -> int:
    """`parse_runnable` reads of /proc/loadavg how many processes run or wait for a cpu right now.
    It raises `ValueError`."""
    return int(text.split()[3].partition("/")[0])


def parse_stalled(text: str) -> float:
    """`parse_stalled` reads of /proc/pressure/io for how many seconds so far everything that had
    work waited for a disk. It raises `ValueError`.

    Source: Documentation/accounting/psi.rst of Linux; a kernel without PSI has no such file.
    """
    for line in text.splitlines():
        kind, _, fields = line.partition(" ")
        if kind == "full":
            return int(fields.rpartition("total=")[2]) / 1e6
    raise ValueError("no full stalls")


class HostMeter:
    """The meter reads below `proc`; what the kernel does not tell is left out."""

    def __init__(self, proc: Path = Path("/proc"), cores: int | None = None) -> None:
        self._proc = proc
        self._cores = cores or os.cpu_count() or 1
        self._waiting: list[int] = []
        self._before: tuple[int, Times | None, float | None] | None = None

    def tick(self) -> None:
        """`tick` counts who waits; it is called several times between two reads."""
        runnable = self._parse("loadavg", parse_runnable)
        if runnable is not None:
            # Without the reader itself, every core can run one of them.
            self._waiting.append(max(0, runnable - 1 - self._cores))

    def read(self) -> dict[str, float]:
        """`read` returns means since the last call: busy, steal in cores; runnable; io_stalled, a
        share of the time."""
        now_ns = time.monotonic_ns()
        times = self._parse("stat", parse_stat)
        stalled_s = self._parse("pressure/io", parse_stalled)
        found: dict[str, float] = {}
        if self._before is not None:
            before_ns, times_before, stalled_before_s = self._before
            elapsed_s = (now_ns - before_ns) / 1e9
            if times is not None and times_before is not None:
                busy_s, steal_s = (b - a for a, b in zip(times_before, times, strict=True))
                found |= {"busy": busy_s / elapsed_s, "steal": steal_s / elapsed_s}
            if stalled_s is not None and stalled_before_s is not None:
                found["io_stalled"] = (stalled_s - stalled_before_s) / elapsed_s
        if self._waiting:
            found["runnable"] = sum(self._waiting) / len(self._waiting)
            self._waiting.clear()
        self._before = (now_ns, times, stalled_s)
        return found

    def _parse(self, name: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse((self._proc / name).read_text())
        except (OSError, ValueError, IndexError, KeyError):
            return None
