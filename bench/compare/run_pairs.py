"""Pairs of runs, A and B, in the order of measuring, and which of them can be compared."""

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import Literal, NamedTuple

from bench.errors import COMPARISON_EXITS, BenchError
from bench.records.run_record import RunRecord

Fault = Literal["incomparable", "invalid", "unreadable", "missing_metric", "other_schema"]


class UnfitError(BenchError):
    """Runs that can't be compared, and in which way; a line for each reason."""

    def __init__(self, fault: Fault, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.fault = fault
        self.exit_code = COMPARISON_EXITS[fault]
        self.lines = lines


def refuse_unfit(run: RunRecord) -> None:
    """Raises `UnfitError` for a run that says nothing, unless it is VOID: then its pair is."""
    if run.verdict not in ("valid", "void"):
        why = "; ".join(run.reasons)
        raise UnfitError("invalid", f"run {run.run_id} is {run.verdict.upper()}: {why}")


class Pair(NamedTuple):
    """Two runs, one after the other, in either order."""

    a: RunRecord
    b: RunRecord

    @property
    def is_a_first(self) -> bool:
        return self.a.started_utc < self.b.started_utc

    @property
    def started(self) -> tuple[str, str]:
        """The earlier and the later one's time."""
        first, second = sorted((self.a.started_utc, self.b.started_utc))
        return first, second

    def void_because(self, moved_max: float) -> str | None:
        """Why it says nothing: a bottleneck beside the system, or the machine moved.

        `moved_max`: how far the control workload may move, 0.1 for 10 %.
        """
        for run in self:
            if run.verdict == "void":
                return f"run {run.run_id} is VOID: {'; '.join(run.reasons)}"
        ours, theirs = self.a.controls, self.b.controls
        for name in ours.keys() & theirs.keys():
            if abs(log(theirs[name] / ours[name])) > log(1 + moved_max):
                moved = theirs[name] / ours[name] - 1
                return f"the machine moved: control {name} {moved:+.0%} from A to B"
        return None


def pair_up(a: Sequence[RunRecord], b: Sequence[RunRecord]) -> list[Pair]:
    """By the order of time; what one set has more stays without a partner."""
    return [Pair(*runs) for runs in zip(a, b, strict=False)]


def is_interleaved(pairs: Sequence[Pair]) -> bool:
    """Each pair was over before the next began, so that a drift of the machine hits both sides."""
    return all(pair.started[1] < after.started[0] for pair, after in pairwise(pairs))


def is_balanced(pairs: Sequence[Pair]) -> bool:
    """As many pairs began with A as with B, or one more: ABBA."""
    a_first = sum(pair.is_a_first for pair in pairs)
    return abs(2 * a_first - len(pairs)) <= 1
