"""The meter tells what JVMs allocate between two moments, by their own account.

    allocated = used now - used before + what each collection between took out of the heap

Threads take memory from the heap in pieces, and a log of collections counts in MiB, so it is exact
to about a MiB a collection.
"""

import re
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError
from bench.observe.gc_log import freed_bytes
from bench.observe.jvm_attach import ask
from bench.observe.processes import GROUPS, Pids
from system.runtime.parts import kind_of

_USED = re.compile(r"(?:total|committed) \d+K, used (\d+)K", re.ASCII)
"""Of the heap or one of its generations; what is said of classes has no such words."""


class Heap(NamedTuple):
    pid: int
    used_bytes: int
    at_ns: int
    """The heap was read at this time of the monotonic clock."""


Heaps = Mapping[str, Heap]
"""A part of the stack leads to its heap."""


class AllocationMeter:
    def __init__(self, pids: Pids, gc_logs: Mapping[str, Path]) -> None:
        """The `gc_logs` are of each part that is a JVM, which is the first process of the part."""
        self._pids = pids
        self._gc_logs = gc_logs

    def read(self) -> dict[str, Heap]:
        """`read` returns each part's heap; it raises `BenchError`."""
        pids = self._pids()
        return {part: _heap(pids[part][0]) for part in self._gc_logs if pids.get(part)}

    def between(self, before: Heaps, after: Heaps) -> dict[str, int]:
        """`between` returns group → bytes. It raises `BenchError` where a JVM is another one than
        before."""
        allocated: Counter[str] = Counter()
        for part, now in after.items():
            was = before.get(part)
            if was is None or was.pid != now.pid:
                raise BenchError(f"{part} was started anew")
            try:
                freed = freed_bytes(self._gc_logs[part], was.at_ns, now.at_ns)
            except OSError as cause:
                raise BenchError(f"cannot read {self._gc_logs[part]}: {cause.strerror}") from None
            # Below 0 is a log's MiB more or less, of a JVM that hardly did anything.
            allocated[GROUPS[kind_of(part)]] += max(0, now.used_bytes - was.used_bytes + freed)
        return dict(allocated)


def _heap(pid: int) -> Heap:
    return Heap(pid, used_bytes(ask(pid, "GC.heap_info")), time.monotonic_ns())


def live_bytes(pid: int) -> int:
    """`live_bytes` returns what lives in a JVM's heap: it has all garbage collected first. It
    raises `BenchError`."""
    ask(pid, "GC.run")
    return used_bytes(ask(pid, "GC.heap_info"))


def used_bytes(heap_info: str) -> int:
    """`used_bytes` reads an answer about the heap; it raises `BenchError` for what is none."""
    found = _USED.findall(heap_info)
    if not found:
        raise BenchError(f"a JVM says nothing of its heap: {heap_info[:80]!r}")
    return 1024 * sum(map(int, found))
