"""Runs pair up, A and B, in the order of measuring, where they can be compared.

A third run of a pair may be of the base again, on a system of its own. A is then the mean of both,
and what lies between them is what the comparison makes of no change at all.
"""

from collections.abc import Collection, Sequence
from itertools import pairwise
from math import log
from typing import Literal, NamedTuple

from bench.errors import COMPARISON_EXITS, BenchError
from bench.records.run_record import RunRecord, Verdict

Fault = Literal["incomparable", "invalid", "unreadable", "missing_metric", "other_schema"]


BROKEN: tuple[Verdict, ...] = ("failed", "invalid")
"""A run of these verdicts broke a promise, did not answer, or can't tell: it is no measurement."""
USABLE: tuple[Verdict, ...] = ("valid",)
"""The figures of runs of this verdict are compared."""


class UnfitError(BenchError):
    """These runs can't be compared; a line for each reason says in which way."""

    def __init__(self, fault: Fault, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.fault = fault
        self.exit_code = COMPARISON_EXITS[fault]
        self.lines = lines


def refuse_unfit(run: RunRecord) -> None:
    """`refuse_unfit` raises `UnfitError` for a run that was interrupted. One that is FAILED,
    INVALID or VOID takes its pair with it, and counts against its side."""
    if run.verdict == "interrupted":
        raise UnfitError("invalid", told(run))


def told(run: RunRecord) -> str:
    """`told` returns a run's verdict and its reasons, in a line."""
    return f"run {run.run_id} is {run.verdict.upper()}: {'; '.join(run.reasons)}"


class Pair(NamedTuple):
    """A pair is two runs, or three, one after the other, in any order."""

    a: RunRecord
    b: RunRecord
    again: RunRecord | None = None
    """The base again is on another system than `a`; None where it was not measured."""

    @property
    def base(self) -> list[RunRecord]:
        return [self.a] if self.again is None else [self.a, self.again]

    @property
    def runs(self) -> list[RunRecord]:
        return [*self.base, self.b]

    @property
    def broken(self) -> list[RunRecord]:
        return [run for run in self.runs if run.verdict in BROKEN]

    @property
    def is_a_first(self) -> bool:
        return self.a.started_utc < self.b.started_utc

    @property
    def started(self) -> tuple[str, str]:
        """`started` returns the first one's time and the last one's."""
        times = [run.started_utc for run in self.runs]
        return min(times), max(times)

    def void_because(self, moved_max: float, usable: Collection[Verdict] = USABLE) -> str | None:
        """`void_because` returns why it says nothing: a run that is no measurement, a bottleneck
        beside the system, or the machine moved.

        `moved_max`: how far the control workload may move, 0.1 for 10 %.
        """
        for run in self.runs:
            if run.verdict not in usable:
                return told(run)
        for name in set.intersection(*(set(run.controls) for run in self.runs)):
            figures = [run.controls[name] for run in self.runs]
            if log(max(figures) / min(figures)) > log(1 + moved_max):
                moved = max(figures) / min(figures) - 1
                return f"the machine moved: control {name} by {moved:.0%} between the runs"
        return None


class Sides(NamedTuple):
    """The sides have runs that were read already, each by time."""

    a: list[RunRecord]
    b: list[RunRecord]
    again: list[RunRecord]
    """These runs are of the base again, on a system of its own; none where that was not
    measured."""

    def __add__(self, other: "Sides") -> "Sides":  # type: ignore[override]
        return Sides(*([*ours, *theirs] for ours, theirs in zip(self, other, strict=True)))

    @property
    def base(self) -> list[RunRecord]:
        return [*self.a, *self.again]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> "Sides":
        again = [pair.again for pair in pairs if pair.again is not None]
        return cls([pair.a for pair in pairs], [pair.b for pair in pairs], again)


def pair_up(
    a: Sequence[RunRecord], b: Sequence[RunRecord], again: Sequence[RunRecord] = ()
) -> list[Pair]:
    """`pair_up` pairs by the order of time; what one set has more stays without a partner."""
    missing = [None] * max(0, len(a) - len(again))
    return [Pair(*runs) for runs in zip(a, b, [*again, *missing], strict=False)]


def is_interleaved(pairs: Sequence[Pair]) -> bool:
    """The pairs are interleaved when each had begun its last run before the next began, so that a
    drift of the machine hits both sides. Times may be the same: those of older runs are in seconds,
    and a run of a system that does not answer takes less."""
    return all(pair.started[1] <= after.started[0] for pair, after in pairwise(pairs))


def is_balanced(pairs: Sequence[Pair]) -> bool:
    """The pairs are balanced when as many began with A as with B, or one more: ABBA."""
    a_first = sum(pair.is_a_first for pair in pairs)
    return abs(2 * a_first - len(pairs)) <= 1
