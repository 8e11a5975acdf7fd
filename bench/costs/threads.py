"""A stack's threads spend CPU time; their names tell which part of a request's cost that is."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from system.runtime.parts import kind_of

COMPILERS = "compilers"
"""Both JVMs compile in threads of their own: for minutes after a start, and no request's doing."""
TASK = "task: Python and state"
SHARES: Mapping[str, Mapping[str, str]] = {
    "kafka": {
        "data-plane-kafk": "network and requests",
        "C1 CompilerThre": COMPILERS,
        "C2 CompilerThre": COMPILERS,
    },
    "flink_taskmanager": {
        "Source: ": TASK,
        "services -> ": TASK,  # where several tasks share the keys, the source is a task before it
        "Source Data Fet": "reading from Kafka",
        "kafka-producer-": "writing to Kafka",
        "rocksdb": "RocksDB's flushes and compactions",
        "flink-metrics": "metrics and heartbeats",
        "flink-pekko": "metrics and heartbeats",
        "flink-scheduler": "metrics and heartbeats",
        "C1 CompilerThre": COMPILERS,
        "C2 CompilerThre": COMPILERS,
    },
    "flink_jobmanager": {"C1 CompilerThre": COMPILERS, "C2 CompilerThre": COMPILERS},
}
"""A part of the stack leads to how names of threads begin, of which Linux keeps 15 characters, and
to what they do. Other threads are the part's rest."""
REST = "rest"

Spent = Counter[tuple[str, str]]
"""A pair of part and share leads to CPU time in ns."""


def share_of(part: str, thread: str) -> str:
    """`share_of` returns what a thread of this name does for its part."""
    for beginning, share in SHARES.get(part, {}).items():
        if thread.startswith(beginning):
            return share
    return REST


class ThreadMeter:
    """The meter reads the CPU time of all threads of a stack; `pids` leads from parts to
    processes. Parts of one kind, as several TaskManagers, are one in what it tells."""

    def __init__(self, pids: Mapping[str, Sequence[int]]) -> None:
        self._pids = pids
        self._before = dict(self._read())

    def spent(self) -> Spent:
        """`spent` returns what was spent since the meter was made, or since the last call. What a
        thread spent that has ended meanwhile is not known, and left out."""
        spent: Spent = Counter()
        now = dict(self._read())
        for (part, thread, name), ns in now.items():
            spent[part, share_of(part, name)] += ns - self._before.get((part, thread, name), 0)
        self._before = now
        return spent

    def _read(self) -> Iterator[tuple[tuple[str, str, str], int]]:
        """Source: Documentation/scheduler/sched-stats.rst of Linux."""
        for part, pids in self._pids.items():
            for pid in pids:
                with suppress(OSError):  # it has ended
                    for thread in Path(f"/proc/{pid}/task").iterdir():
                        with suppress(OSError):
                            name = (thread / "comm").read_text().rstrip()
                            ns = int((thread / "schedstat").read_text().split()[0])
                            yield (kind_of(part), thread.name, name), ns
