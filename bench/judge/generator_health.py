"""Whether the generator kept up: when it did not, its figures blame the system for its own delays.

The idea is Hyperfoil's: the load generator watches itself, and voids the run.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from bench.stats.window import OpenFigures, Window

CPU_SHARE_MAX = 0.9
"""Of one core, for each generator process: it runs on one."""
SCHEDULE_LAG_P99_MS_MAX = 10.0
"""Between when a request should have been sent and when it was."""
LATE_SHARE_MAX = 0.001
"""Of the scheduled requests: not sent because the generator was late."""
LOOP_LAG_P50_MS_MAX = 20.0
"""How late the generator's own clock rings, in most of the window of an open loop. The users of a
closed loop share the machine with what they load, and are late together with it."""

Watched = Sequence[Mapping[str, int]]
"""The watch marks of one generator process."""


def reasons(
    watched: Iterable[Watched], window: Window, kept: OpenFigures | None, late: int
) -> list[str]:
    """Why a window is VOID; `late` requests were dropped because the generator was late."""
    found = []
    for index, marks in enumerate(watched):
        inside = [mark for mark in marks if window.opened_ns <= mark["at_ns"] <= window.closed_ns]
        if len(inside) < 2:
            continue
        share = (inside[-1]["cpu_ns"] - inside[0]["cpu_ns"]) / (
            inside[-1]["at_ns"] - inside[0]["at_ns"]
        )
        if share > CPU_SHARE_MAX:
            found.append(
                f"generator {index} used {share:.0%} of a core: give more --generators, or load "
                "less"
            )
        lag_ms = float(np.median([mark["loop_lag_ns"] for mark in inside])) / 1e6
        if kept is not None and lag_ms > LOOP_LAG_P50_MS_MAX:
            found.append(
                f"generator {index} ran {lag_ms:.1f} ms late, at most {LOOP_LAG_P50_MS_MAX:g} "
                "are allowed: the machine is too busy"
            )
    if kept is not None and kept.schedule_lag_ms is not None:
        lag_p99_ms = kept.schedule_lag_ms["p99"]
        if lag_p99_ms > SCHEDULE_LAG_P99_MS_MAX:
            found.append(
                f"requests were sent {lag_p99_ms:.1f} ms late at p99, at most "
                f"{SCHEDULE_LAG_P99_MS_MAX:g} are allowed: the generator was the bottleneck"
            )
        if late > LATE_SHARE_MAX * kept.scheduled:
            found.append(
                f"{late} of {kept.scheduled} requests were not sent, because the generator was "
                "late: it was the bottleneck"
            )
    return found
