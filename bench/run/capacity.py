"""The capacity is the highest rate that holds for a service level; a curve leads up to it.

Bracketing, then bisection: the rate is doubled until the level does not hold any more, then the gap
is halved. A rate that did not hold is tried once more before it counts: one stall is not a limit.
Which rate comes next follows from the steps alone, so a search can be played back.

A step beside which a check of generator or machine does not hold is unknown, and tried again. Of
one thing alone more is known: where requests were sent late, and nothing else was wrong, a level
did not hold whose p99 is beyond it without all that this can have added. That one held says nothing
then: late requests come in bunches, which cost less where a system works in batches.
"""

from collections.abc import Sequence
from typing import NamedTuple

from bench.judge.checks import Check, doubts
from bench.judge.generator_health import SCHEDULE_LAG
from bench.records.run_record import CapacityRecord, Latency, Level, OpenFigures, Step
from bench.stats.window import Summary

START_PER_S = 50.0
"""A search begins at this rate; it is low, so that the first step holds."""
RATE_RATIO = 1.1
"""The search ends when the lowest rate that did not hold is this close to the highest that did."""
STEPS_MAX = 40
"""One search has at most this many steps: 18 lead from 50 to some 30,000 requests/s, and those of
which nobody can tell are tried again."""
RATE_PER_S_MIN = 1.0
"""A search gives up below it."""
RATE_PER_S_MAX = 50_000.0
"""A search ends there; beyond what one machine can offer."""
UNKNOWN_MAX = 3
"""A rate is tried so often where nobody can tell whether it held; then the search ends, as a higher
one would say nothing about the system."""
STALLS_PER_REQUEST = 4
"""A request is delayed so often by a generator that stands still: as its connection opens, as it is
sent, as its answer comes, and once more. Each time that is about the longest schedule lag at most,
and what was not seen of it, as no request was due then."""
GROWTH_MAX = 1.5
"""The ratio is in-flight requests of a step's second half over its first: more is a queue that
grows."""
GROWTH_IN_FLIGHT_MIN = 10.0
"""A queue has more than this many in flight."""


class Capacity(NamedTuple):
    """A capacity is searched for by these steps, in the order in which they were tried."""

    level: Level
    steps: list[Step]
    start_per_s: float = START_PER_S
    largest_per_s: float = RATE_PER_S_MAX

    @property
    def knee_per_s(self) -> float | None:
        """The knee is None when no rate held."""
        return max((step.rate_per_s for step in self.steps if step.held), default=None)

    @property
    def next_per_s(self) -> float | None:
        """The rate of the next step is None when the search has ended."""
        return None if len(self.steps) >= STEPS_MAX else self._wanted_per_s

    @property
    def void(self) -> list[str]:
        """`void` says why nobody can tell of the last rate, a line each."""
        last = self.steps[-1] if self.steps else None
        if last is None or not last.unknown:
            return []
        return [f"{last.rate_per_s:,.1f}/s: {why}" for why in last.doubts]

    @property
    def problems(self) -> list[str]:
        """`problems` says of a search that has ended why it is not at its end."""
        if self._wanted_per_s is None:
            return []
        return [
            f"the search had its {STEPS_MAX} steps, and is not at its end: --start nearer to it"
        ]

    @property
    def _wanted_per_s(self) -> float | None:
        steps, largest_per_s = self.steps, self.largest_per_s
        if not steps:
            return self.start_per_s
        last = steps[-1].rate_per_s
        if steps[-1].unknown:
            tried = sum(step.unknown for step in steps if step.rate_per_s == last)
            return last if tried < UNKNOWN_MAX else None
        failures = [step.rate_per_s for step in steps if not (step.held or step.unknown)]
        if not steps[-1].held and failures.count(last) == 1:
            return last
        held = self.knee_per_s
        failed = min((rate for rate in failures if held is None or rate > held), default=None)
        if failed is None:
            assert held is not None
            return None if held >= largest_per_s else min(2 * held, largest_per_s)
        if held is None:
            return None if failed <= RATE_PER_S_MIN else max(failed / 2, RATE_PER_S_MIN)
        return None if failed <= RATE_RATIO * held else round((held * failed) ** 0.5, 1)

    def record(self) -> CapacityRecord:
        steps = sorted(self.steps, key=lambda step: step.rate_per_s)
        at_least = bool(self.void or self.problems)
        return CapacityRecord(self.level, self.knee_per_s, steps, at_least)


def judge(
    rate_per_s: float,
    level: Level,
    summary: Summary,
    in_flight: Sequence[float],
    doubtful: Sequence[Check] = (),
) -> Step:
    """`judge` returns whether a step held; `in_flight` are the generator's readings, one each
    second, `doubtful` the checks of generator and machine that do not hold."""
    total, kept = summary.total, summary.open
    assert kept is not None
    failed = sum(total.failed.values()) + kept.not_sent  # what was late is the generator's
    failed_share = failed / kept.scheduled if kept.scheduled else 1.0
    latency = total.latency_ms
    reasons = []
    if latency is None:
        reasons.append("nothing was answered")
    elif latency.p99 > level.p99_ms or "p99" in latency.at_least:
        sign = ">=" if "p99" in latency.at_least else "is"
        reasons.append(f"p99 {sign} {latency.p99:.1f} ms, above {level.p99_ms:g}")
    if failed_share > level.failed_share:
        reasons.append(f"{failed} of {kept.scheduled} requests failed or were dropped")
    if (growth := _growth(in_flight)) is not None:
        reasons.append(f"in flight grew from {growth[0]:.0f} to {growth[1]:.0f}")
    lag = kept.schedule_lag_ms
    is_known = not doubtful or (
        all(check.name == SCHEDULE_LAG for check in doubtful)
        and _is_beyond(level, latency, kept, 1000 / rate_per_s)
    )
    return Step(
        rate_per_s,
        is_known and not reasons,
        "; ".join(reasons) or "held" * is_known,
        total.throughput_per_s,
        None if latency is None else latency.p50,
        None if latency is None else latency.p99,
        None if latency is None else latency.p999,
        round(failed_share, 6),
        kept.dropped,
        None if lag is None else lag.p99,
        not is_known,
        doubts(doubtful),
    )


def _is_beyond(level: Level, latency: Latency | None, kept: OpenFigures, gap_ms: float) -> bool:
    """Without what the generator can have added: in a queue that is first in, first out a request
    that comes earlier by some time ends earlier by at most that time. Requests that were never sent
    are in the p99, so it tells nothing beside any."""
    lag = kept.schedule_lag_ms
    if latency is None or lag is None or kept.dropped or "p99" in latency.at_least:
        return False
    return latency.p99 - STALLS_PER_REQUEST * (lag.max + gap_ms) > level.p99_ms


def _growth(in_flight: Sequence[float]) -> tuple[float, float] | None:
    """The mean of each half, where the second is clearly larger."""
    half = len(in_flight) // 2
    if not half:
        return None
    before = sum(in_flight[:half]) / half
    after = sum(in_flight[-half:]) / half
    grew = after > GROWTH_IN_FLIGHT_MIN and after > GROWTH_MAX * before
    return (before, after) if grew else None
