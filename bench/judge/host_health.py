"""The machine under a run: whether what it did besides leaves the figures worth anything."""

from statistics import fmean
from typing import NamedTuple

from bench.observe.processes import BESIDE, GROUPS
from bench.records.series import Series

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
