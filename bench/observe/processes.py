"""The meters read CPU time and memory of the processes that take part in a run."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from system.runtime.parts import kind_of

Pids = Callable[[], Mapping[str, Sequence[int]]]

GROUPS = {
    "gateway": "gateway",
    "kafka": "kafka",
    "flink_jobmanager": "flink",
    "flink_taskmanager": "flink",
    "generator": "generator",
    "beside": "beside",
}
"""A part of the stack leads to the group that it is reported under."""

BESIDE = "beside"
"""A comparison keeps these up without load meanwhile: they are no foreign processes, nor
measured."""

PIDS_INTERVAL_S = 10.0
"""This much time passes between looks for new processes, which cost more than everything else of a
sample."""


COMPILERS = ("C1 CompilerThre", "C2 CompilerThre")
"""Threads of a JVM whose names begin so compile; Linux keeps 15 characters of a name."""
COMPACTORS = ("rocksdb:",)
"""Threads whose names begin so flush and compact RocksDB's files."""


class Cpu(NamedTuple):
    """The CPU times are in seconds."""

    total_s: float
    compiling_s: float
    """The compilers of a JVM took this part of it: for minutes after a start, and no request's
    doing."""
    compacting_s: float
    """RocksDB's flushes and compactions took this part of it: all requests' doing, and in lumps of
    seconds."""


Reading = Mapping[str, Mapping[int, Cpu | None]]
"""A reading is by group and pid."""


class CpuMeter:
    """The meter reads the CPU time (user and system) of groups of processes.

    `pids` names the processes of each part at the time of asking, children included.
    """

    def __init__(self, pids: Pids) -> None:
        self._pids = pids

    def read(self) -> Reading:
        """`read` returns group → pid → CPU time so far, None for a process that has ended."""
        read: dict[str, dict[int, Cpu | None]] = {}
        for part, pids in self._pids().items():
            group = read.setdefault(GROUPS[kind_of(part)], {})
            for pid in pids:
                try:
                    group[pid] = Cpu(cpu_s(pid), *threads_s(pid, COMPILERS, COMPACTORS))
                except OSError:
                    group[pid] = None
        return read


def cpu_s(pid: int) -> float:
    """`cpu_s` returns the CPU seconds of a process and all its threads, to the nanosecond; /proc
    counts in 10 ms.

    It raises `OSError` where there is none. Source: Linux's posix-timers.h, MAKE_PROCESS_CPUCLOCK
    of CPUCLOCK_SCHED, which is what glibc's clock_getcpuclockid() gives.
    """
    return time.clock_gettime(~pid << 3 | 2)


def threads_s(pid: int, *kinds: tuple[str, ...]) -> list[float]:
    """`threads_s` returns the CPU seconds of threads of each kind, which is how their names begin,
    as far as they still live.

    Source: Documentation/scheduler/sched-stats.rst of Linux. It raises `OSError` for no process.
    """
    spent_ns = [0] * len(kinds)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with suppress(OSError):  # it has ended
            name = (thread / "comm").read_text()
            for place, beginnings in enumerate(kinds):
                if name.startswith(beginnings):
                    spent_ns[place] += int((thread / "schedstat").read_text().split()[0])
    return [ns / 1e9 for ns in spent_ns]


def open_files(pid: int, but: Path) -> int:
    """`open_files` returns how many descriptors a process has, without those of files in the folder
    `but` and below, unless they are deleted there. It raises `OSError` where there is none."""
    below, found = f"{but.resolve()}/", 0
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it has been closed
            target = os.readlink(descriptor)
            found += not target.startswith(below) or target.endswith(" (deleted)")
    return found


def spent(before: Reading, after: Reading) -> dict[str, Cpu]:
    """`spent` returns the CPU time of each group between two reads, without the groups of which a
    process has ended: what it took is not known."""
    found = {group: _spent(before.get(group, {}), pids) for group, pids in after.items()}
    return {group: cpu for group, cpu in found.items() if cpu is not None}


def _spent(before: Mapping[int, Cpu | None], after: Mapping[int, Cpu | None]) -> Cpu | None:
    pairs = []
    for pid in {**before, **after}:
        was, now = before.get(pid, Cpu(0.0, 0.0, 0.0)), after.get(pid)
        if was is None or now is None:
            return None
        pairs.append((was, now))
    return Cpu(
        sum(now.total_s - was.total_s for was, now in pairs),
        sum(max(0.0, now.compiling_s - was.compiling_s) for was, now in pairs),
        sum(max(0.0, now.compacting_s - was.compacting_s) for was, now in pairs),
    )


class Usage(NamedTuple):
    """The usage is that of one process, since it began."""

    cpu_s: float
    rss_bytes: int
    """The memory is the resident one; what processes share counts for each of them."""


class UsageMeter:
    """The meter reads the same processes again and again, at a small price.

    A new process is seen after `PIDS_INTERVAL_S` at most, and at once where it takes the place of
    one that has ended.
    """

    def __init__(self, pids: Pids) -> None:
        self._pids = pids
        self._processes: dict[str, dict[int, psutil.Process]] = {}
        self._asked_s = -PIDS_INTERVAL_S

    def read(self) -> dict[str, dict[int, Usage]]:
        """`read` returns part → pid → usage. A part whose processes have all ended is empty."""
        if time.monotonic() - self._asked_s >= PIDS_INTERVAL_S:
            self._ask()
        read = self._read()
        if any(len(read[part]) < max(1, len(known)) for part, known in self._processes.items()):
            self._ask()
            read = self._read()
        return read

    def _ask(self) -> None:
        self._asked_s = time.monotonic()
        parts = {**dict.fromkeys(self._processes, ()), **self._pids()}
        for part, pids in parts.items():
            known = self._processes.get(part, {})
            self._processes[part] = {
                pid: process
                for pid in pids
                if (process := known.get(pid) or _process(pid)) is not None
            }

    def _read(self) -> dict[str, dict[int, Usage]]:
        return {
            part: {
                pid: usage
                for pid, process in processes.items()
                if (usage := _usage(process)) is not None
            }
            for part, processes in self._processes.items()
        }


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.Error:
        return None


def _usage(process: psutil.Process) -> Usage | None:
    """None for a process that has ended, or is another user's."""
    try:
        times, memory = process.cpu_times(), process.memory_info()
    except psutil.Error:
        return None
    if not memory.rss:
        return None  # dead, and its parent has not looked yet
    return Usage(times.user + times.system, memory.rss)
