"""Runs pair up, A and B, in the order of measuring, where they can be compared."""

from collections.abc import Sequence
from itertools import pairwise
from math import log
from typing import Literal, NamedTuple

from bench.errors import COMPARISON_EXITS, BenchError
from bench.records.run_record import RunRecord

Fault = Literal["incomparable", "invalid", "unreadable", "missing_metric", "other_schema"]


class UnfitError(BenchError):
    """These runs can't be compared; a line for each reason says in which way."""

    def __init__(self, fault: Fault, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.fault = fault
        self.exit_code = COMPARISON_EXITS[fault]
        self.lines = lines


def refuse_unfit(run: RunRecord) -> None:
    """`refuse_unfit` raises `UnfitError` for a run that says nothing, unless it is VOID: then its
    pair is."""
    if run.verdict not in ("valid", "void"):
        why = "; ".join(run.reasons)
        raise UnfitError("invalid", f"run {run.run_id} is {run.verdict.upper()}: {why}")


class Pair(NamedTuple):
    """A pair is two runs, one after the other, in either order."""

    a: RunRecord
    b: RunRecord

    @property
    def is_a_first(self) -> bool:
        return self.a.started_utc < self.b.started_utc

    @property
    def started(self) -> tuple[str, str]:
        """`started` returns the earlier and the later one's time."""
        first, second = sorted((self.a.started_utc, self.b.started_utc))
        return first, second

    def void_because(self, moved_max: float) -> str | None:
        """`void_because` returns why it says nothing: a bottleneck beside the system, or the
        machine moved.

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
    """`pair_up` pairs by the order of time; what one set has more stays without a partner."""
    return [Pair(*runs) for runs in zip(a, b, strict=False)]


def is_interleaved(pairs: Sequence[Pair]) -> bool:
    """The pairs are interleaved when each was over before the next began, so that a drift of the
    machine hits both sides."""
    return all(pair.started[1] < after.started[0] for pair, after in pairwise(pairs))


def is_balanced(pairs: Sequence[Pair]) -> bool:
    """The pairs are balanced when as many began with A as with B, or one more: ABBA."""
    a_first = sum(pair.is_a_first for pair in pairs)
    return abs(2 * a_first - len(pairs)) <= 1
