"""The machine under a run may do so much besides that its figures are worth nothing."""

from itertools import pairwise
from typing import NamedTuple

from bench.judge.checks import Check, at_most
from bench.observe.processes import BESIDE, GROUPS
from bench.records.series import Series

STEAL_SHARE_MAX = 0.05
"""The hypervisor may take this share of all cores' time. It takes it in slices of milliseconds, and
it looks like latency of the system: from a few per cent on, the tail is the neighbours'."""
STOLEN = "other guests were the bottleneck"
"""A line about steal ends so: whatever was late meanwhile may be their doing."""
FOREIGN_SHARE_MAX = 0.1
"""Processes that are no part of the run may use this share of all cores' time: their bursts take
the CPU away for as long as a request takes. An idle machine's own work is far less."""
RUNNABLE_PER_CORE_MAX = 8.0
"""So many processes may wait for a CPU, in the mean. Each of them may run for about 3 ms before the
next: behind eight, no figure of milliseconds means anything, not even when a request was sent. The
stack by itself, loaded to its limit, was measured to make less than three."""
IO_STALLED_SHARE_MAX = 0.1
"""All that has work may wait for a disk for this share of the time, which is PSI's "full". A
checkpoint of 277 KiB once took 1.5 s while the machine was half idle, and a p50 of 4 ms was 836. Of
684 seconds of an unchanged job half had less than 0.0005 of it, one in twenty more than 0.003, and
one 0.04."""
COVERED_SHARE_MIN = 0.75
"""A figure must be known for this part of a window to stand for the whole. The last sample is taken
within a tick of the window's end, so a healthy sampler covers nearly all of it; one that died, or
that got no CPU for a quarter of the time, can't tell what happened meanwhile."""


class Host(NamedTuple):
    """The figures are means over a window; None where too little is known."""

    cores: int
    busy: float | None
    steal: float | None
    runnable: float | None
    own: float | None
    """All processes of the run use so many cores."""
    owns_all: bool = True
    """The flag says whether the run knows its processes by name; those of a target it does not."""
    io_stalled: float | None = None
    """All that had work waited for a disk for this share of the time."""
    tells_io: bool = False
    """The flag says whether the kernel tells that: not all are built so."""


def mean_of(series: Series, name: str, opened_ns: int, closed_ns: int) -> tuple[float | None, bool]:
    """`mean_of` returns a series' mean over a window, and whether that covers enough of it.

    A value is the mean since the sample before, so each weighs as much of the window as it covers:
    nothing is too short to be told, and nothing is told of a time that was not sampled.
    """
    total = covered_ns = 0.0
    values = series.series.get(name, ())
    for (begin_ns, end_ns), value in zip(pairwise(series.at_ns), values[1:], strict=False):
        inside_ns = min(end_ns, closed_ns) - max(begin_ns, opened_ns)
        if value is not None and inside_ns > 0:
            total += value * inside_ns
            covered_ns += inside_ns
    mean = total / covered_ns if covered_ns else None
    return mean, covered_ns >= COVERED_SHARE_MIN * (closed_ns - opened_ns) > 0


def of_window(
    series: Series, opened_ns: int, closed_ns: int, cores: int, owns_all: bool = True
) -> Host:
    """`of_window` returns the means of a window, on a machine with so many `cores`.

    A figure that covers too little is unknown, unless what is known of it breaks a limit already:
    steal can't be undone by seconds that nobody saw.
    """

    def mean(name: str, limit: float = float("inf")) -> float | None:
        found, is_enough = mean_of(series, name, opened_ns, closed_ns)
        return found if is_enough or (found is not None and found > limit) else None

    groups = set(GROUPS.values())
    means = {group: mean(f"cpu.{group}") for group in groups}
    used = [each for each in means.values() if each is not None]
    needed = groups if f"cpu.{BESIDE}" in series.series else groups - {BESIDE}
    return Host(
        cores,
        busy=mean("host.busy"),
        steal=mean("host.steal", STEAL_SHARE_MAX * cores),
        runnable=mean("host.runnable", RUNNABLE_PER_CORE_MAX * cores),
        own=sum(used) if len(used) == len(needed) else None,
        owns_all=owns_all,
        io_stalled=mean("host.io_stalled", IO_STALLED_SHARE_MAX),
        tells_io="host.io_stalled" in series.series,
    )


def judge(host: Host) -> list[Check]:
    """`judge` returns what is known of each disturbance; one that is not asked for is left out."""
    cores = host.cores
    unknown = f"is not known for {COVERED_SHARE_MIN:.0%} of the window: samples are missing"
    checks = [
        at_most(
            "steal",
            host.steal,
            STEAL_SHARE_MAX * cores,
            f"the hypervisor took {(host.steal or 0) / cores:.0%} of the machine's time, at most "
            f"{STEAL_SHARE_MAX:.0%} is allowed: {STOLEN}",
            f"what the hypervisor took {unknown}",
        ),
        at_most(
            "runnable",
            host.runnable,
            RUNNABLE_PER_CORE_MAX * cores,
            f"{host.runnable or 0:.0f} processes waited for {cores} cores in the mean, at most "
            f"{RUNNABLE_PER_CORE_MAX * cores:.0f} may: the machine is too busy",
            f"how many processes waited for a core {unknown}",
        ),
    ]
    if host.owns_all:
        known = host.busy is not None and host.own is not None
        foreign = (host.busy or 0.0) - (host.own or 0.0)
        found = at_most(
            "foreign",
            foreign if known else None,
            FOREIGN_SHARE_MAX * cores,
            f"other processes used {foreign / cores:.0%} of the machine's time, at most "
            f"{FOREIGN_SHARE_MAX:.0%} is allowed: end them, or measure elsewhere",
            f"what other processes used {unknown}",
        )
        checks.insert(1, found)
    if host.tells_io:
        found = at_most(
            "io",
            host.io_stalled,
            IO_STALLED_SHARE_MAX,
            f"all that had work waited for a disk for {host.io_stalled or 0:.0%} of the time, at "
            f"most {IO_STALLED_SHARE_MAX:.0%} is allowed: the disk was the bottleneck",
            f"how long all waited for a disk {unknown}",
        )
        checks.append(found)
    return checks
