"""CPU time of the processes that take part in a run."""

from collections.abc import Callable, Mapping, Sequence

import psutil

Pids = Callable[[], Mapping[str, Sequence[int]]]

GROUPS = {
    "gateway": "gateway",
    "kafka": "kafka",
    "flink_jobmanager": "flink",
    "flink_taskmanager": "flink",
    "generator": "generator",
}
"""Part of the stack → the group that it is reported under."""


class CpuMeter:
    """Reads the CPU time (user and system) of groups of processes.

    `pids` names the processes of each part at the time of asking, children included. Processes
    that are not there at the end of a window are not counted.
    """

    def __init__(self, pids: Pids) -> None:
        self._pids = pids

    def read(self) -> dict[str, dict[int, float]]:
        """CPU seconds so far: group → pid → seconds."""
        read: dict[str, dict[int, float]] = {}
        for part, pids in self._pids().items():
            group = read.setdefault(GROUPS[part], {})
            for pid in pids:
                try:
                    times = psutil.Process(pid).cpu_times()
                except psutil.NoSuchProcess:
                    continue
                group[pid] = times.user + times.system
        return read


def spent(
    before: Mapping[str, Mapping[int, float]], after: Mapping[str, Mapping[int, float]]
) -> dict[str, float]:
    """CPU seconds of each group between two reads."""
    return {
        group: sum(cpu_s - before.get(group, {}).get(pid, 0.0) for pid, cpu_s in pids.items())
        for group, pids in after.items()
    }
