"""A generator must keep up: when it does not, its figures blame the system for its own delays.

The idea is Hyperfoil's: the load generator watches itself, and voids the run.
"""

from collections.abc import Iterable

import numpy as np

from bench.judge.checks import Check, at_most
from bench.records.run_record import AgentRecord, OpenFigures
from bench.records.samples import Watched, Window
from bench.remote.clock import ERROR_NS_MAX

GENERATOR_BUSY = "give more --generators, or load less"
"""A reason ends so where a generator could not send as fast as the system answers."""
CPU_SHARE_MAX = 0.9
"""Each generator process may use this share of one core: it runs on one."""
SCHEDULE_LAG_P99_MS_MAX = 10.0
"""A request may go out this late at p99, after the time when it should have been sent."""
LATE_SHARE_MAX = 0.001
"""The generator may be too late to send this share of the scheduled requests."""
LOOP_LAG_P50_MS_MAX = 20.0
"""The generator's own clock may ring this late in most of the window of an open loop. The users of
a closed loop share the machine with what they load, and are late together with it."""
WATCHED_SHARE_MIN = 0.5
"""The first and the last look of a generator at itself must span this share of a window: they are a
second apart, and the last one before the end may be a second old, but a healthy one tells of
most."""
SCHEDULE_LAG = "schedule lag"
"""The check of this name asks how late requests were sent."""


def judge(
    watched: Iterable[Watched],
    window: Window,
    kept: OpenFigures | None,
    late: int,
    limited: int = 0,
) -> list[Check]:
    """`judge` checks each generator and, for an open loop, its schedule.

    `kept` is None for a closed loop; `late` requests were dropped because the generator was late,
    `limited` ones because its machine could not open a connection.
    """
    found = [
        at_most(
            "connections",
            limited,
            0,
            f"{limited} requests were not sent: the generator's own machine had no port, file or "
            "memory left for a connection",
            "",
        )
    ]
    for index, marks in enumerate(watched):
        found += _process(f"generator {index}", marks, window, is_open=kept is not None)
    if kept is not None:
        lag_ms = None if kept.schedule_lag_ms is None else kept.schedule_lag_ms.p99
        found.append(
            at_most(
                SCHEDULE_LAG,
                lag_ms,
                SCHEDULE_LAG_P99_MS_MAX,
                f"requests were sent {lag_ms or 0:.1f} ms late at p99, at most "
                f"{SCHEDULE_LAG_P99_MS_MAX:g} are allowed: the generator was the bottleneck",
                "nothing was sent, so how late the generator was is not known",
            )
        )
        found.append(
            at_most(
                "schedule",
                late,
                LATE_SHARE_MAX * kept.scheduled,
                f"{late} of {kept.scheduled} requests were not sent, because the generator was "
                "late: it was the bottleneck",
                "",
            )
        )
    return found


def clocks(agents: Iterable[AgentRecord]) -> list[Check]:
    """`clocks` checks how far each agent's clock was from what the recorded times assume."""
    return [_clock(agent) for agent in agents]


def _clock(agent: AgentRecord) -> Check:
    name, limit_ms = f"clock of {agent.address}", ERROR_NS_MAX / 1e6
    if agent.drift_ms > limit_ms:
        why = f"the {name} was {agent.drift_ms:.1f} ms off, at most {limit_ms:g} are allowed"
        return Check(name, "broken", why)
    off = (
        f"the {name} may have been {agent.error_ms or 0:.1f} ms off, at most {limit_ms:g} are "
        "allowed: the network, or a machine, is too busy"
    )
    return at_most(name, agent.error_ms, limit_ms, off, f"the {name} was not read after the load")


def _process(name: str, marks: Watched, window: Window, is_open: bool) -> list[Check]:
    looks = _around(marks, window)
    if looks is None:
        why = f"{name} told of less than {WATCHED_SHARE_MIN:.0%} of the window how it fared"
        return [Check(name, "unknown", why)]
    first, last = looks[0], looks[-1]
    share = (last["cpu_ns"] - first["cpu_ns"]) / (last["at_ns"] - first["at_ns"])
    lag_ms = float(np.median([mark["loop_lag_ns"] for mark in looks[1:]])) / 1e6
    checks = [
        at_most(
            f"{name} cpu",
            share,
            CPU_SHARE_MAX,
            f"{name} used {share:.0%} of a core: {GENERATOR_BUSY}",
            "",
        )
    ]
    if is_open:
        broken = (
            f"{name} ran {lag_ms:.1f} ms late, at most {LOOP_LAG_P50_MS_MAX:g} are allowed: "
            "the machine is too busy"
        )
        checks.append(at_most(f"{name} lag", lag_ms, LOOP_LAG_P50_MS_MAX, broken, ""))
    return checks


def _around(marks: Watched, window: Window) -> Watched | None:
    """The marks from the last before the window to the first after it; None for too few."""
    times = [mark["at_ns"] for mark in marks]
    first = max(0, int(np.searchsorted(times, window.opened_ns, "right")) - 1)
    last = int(np.searchsorted(times, window.closed_ns, "left"))
    looks = marks[first : last + 1]
    if len(looks) < 2 or looks[-1]["at_ns"] <= looks[0]["at_ns"]:
        return None
    begin_ns = max(looks[0]["at_ns"], window.opened_ns)
    end_ns = min(looks[-1]["at_ns"], window.closed_ns)
    enough = WATCHED_SHARE_MIN * (window.closed_ns - window.opened_ns)
    return looks if end_ns - begin_ns >= enough else None
