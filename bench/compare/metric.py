"""A metric says in which scale it changes, and from when on a change matters."""

from collections.abc import Sequence
from math import exp, expm1, log
from statistics import fmean, geometric_mean
from typing import Literal, NamedTuple

LATENCIES = ("latency.p50", "latency.p99")
OPERATION_KINDS = ("failed", *LATENCIES)
"""An operation can be looked at by itself for these."""

Scale = Literal["ratio", "difference"]


AA_SPREADS = 2.0
"""An alarm lies beyond so many times the spread of comparisons of a commit with itself."""


class Metric(NamedTuple):
    name: str
    kind: str
    unit: str
    is_lower_better: bool = True
    scale: Scale = "ratio"
    """Shares of failed requests are mostly 0, which has no ratio: their scale is the difference."""
    operation: str | None = None
    """The operation is None for all operations."""
    loop: str | None = None
    """The loop is that of its phase, open or closed; None where it is of no phase."""

    @property
    def word(self) -> str:
        """`word` returns the kind without a group or a quantile, which follow a dot."""
        return self.kind.partition(".")[0]

    def mean(self, values: Sequence[float]) -> float:
        """`mean` returns that of its scale: the geometric one of what has ratios."""
        return fmean(values) if self.scale == "difference" else geometric_mean(values)

    def worsening(self, base: float, head: float) -> float:
        """`worsening` compares base and head, and is positive where it got worse: log ratio, or
        difference."""
        change = head - base if self.scale == "difference" else log(head / base)
        return change if self.is_lower_better else -change

    def shown(self, worsening: float) -> float:
        """`shown` is as people say it: +0.12 is 12 % more, whether that is good or bad."""
        change = worsening if self.is_lower_better else -worsening
        return change if self.scale == "difference" else expm1(change)

    def limit(self, threshold: float) -> float:
        """`limit` returns a threshold that people gave, 0.05 for 5 % more, in the scale of
        `worsening`."""
        return threshold if self.scale == "difference" else log(1 + threshold)

    def shown_limit(self, limit: float) -> float:
        return limit if self.scale == "difference" else exp(limit) - 1


class Rule(NamedTuple):
    """A rule says when a metric's change matters, in the scale of its differences."""

    threshold: float
    aa_spread: float = 0.0
    """The spread is that of the estimates of comparisons of a commit with itself, see
    `aa_spread_of`."""

    @property
    def alarm(self) -> float:
        """A change beyond this is worth an alarm."""
        return max(self.threshold, AA_SPREADS * self.aa_spread)

    @property
    def same(self) -> float:
        """The interval of what is the same lies within this, on both sides of 0.

        Starting the same program again changes it a little, for as long as it lives. No interval of
        pairs from one start shows that, but the spread of whole comparisons does.
        """
        return self.threshold - self.aa_spread
