"""A comparison is what comparison.json holds, as compare.schema.json describes it, and its words.

Each class is an object of the file; its attributes are the keys. The words are the same in every
output.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from bench.compare.budgets import Checked, Limit, Role
from bench.compare.metric import Scale
from bench.compare.verdict import FRESH_PAIRS_MIN, BaseState, Finding, MetricVerdict
from bench.records.run_record import CommitRecord
from bench.stats.signed_rank import pairs_needed

SCHEMA_VERSION = 2

Verdict = Literal[
    "same",
    "faster",
    "regression",
    "inconclusive",
    "incomparable",
    "invalid",
    "unreadable",
    "missing_metric",
    "other_schema",
    "over_budget",
]


@dataclass(frozen=True)
class SideRecord:
    commit: CommitRecord
    runs: list[str]
    """The runs are the ids of this side's, the fresh batch included."""


@dataclass(frozen=True)
class PairsRecord:
    used: int
    fresh: int
    void: list[str]
    """The lines say why each void pair is one."""
    base: Literal["another system", "consecutive runs"]
    """The base is paired with itself on another system, or each run of it with the next one."""


@dataclass(frozen=True)
class StatisticsRecord:
    alpha: float
    """The chance is that of a false finding, of one look at all gated metrics."""
    looks: int
    gated: int


@dataclass(frozen=True)
class BaseRecord:
    """The record says what the base differs by from itself, which is no change at all."""

    state: BaseState
    """The interval of what is unknown is None."""
    pairs: int
    change: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class MetricRecord:
    """A record has a metric of both sides, and what its pairs say."""

    name: str
    kind: str
    """The kind is the key of its rule in the budget file."""
    unit: str
    is_lower_better: bool
    scale: Scale
    """The scale is ratio where changes are shares: 0.05 is 5 % more. It is difference where they
    are B minus A."""
    role: Role
    a_median: float
    b_median: float
    changes: list[float]
    """The changes are those of each pair, B against A; the last ones are the fresh batch."""
    threshold: float
    aa_spread: float
    same_within: float
    alarm_beyond: float
    change: float | None
    """The change is the Hodges-Lehmann estimate; None where only lower bounds are known."""
    low: float | None
    """The low end is the interval's; None where there are too few pairs for its level. So is
    `high`."""
    high: float | None
    level: float | None
    p_value: float | None
    fresh_change: float | None
    """The change is the fresh batch's estimate."""
    base: BaseRecord | None
    """The base against itself; None where it was measured once only."""
    verdict: MetricVerdict
    reason: str


@dataclass(frozen=True)
class LevelRecord:
    """The record is a service level as it was kept in a phase."""

    operation: str
    phase: str
    limit: Limit
    allowed: float
    measured: float | None
    runs: int
    is_broken: bool
    line: str


@dataclass(frozen=True)
class OutcomeRecord:
    """The outcome is a way in which requests ended, or runs failed or were void, more or less often
    on one side."""

    verdict: Literal["regression", "inconclusive", "invalid"]
    line: str


@dataclass(frozen=True)
class Comparison:
    """A comparison puts two sets of runs beside each other; of what can't be there is only a
    verdict that says why."""

    schema_version: int
    verdict: Verdict
    exit_code: int
    headline: str
    reasons: list[str]
    notes: list[str]
    a: SideRecord | None
    b: SideRecord | None
    pairs: PairsRecord | None
    statistics: StatisticsRecord | None
    metrics: list[MetricRecord]
    levels: list[LevelRecord]
    outcomes: list[OutcomeRecord]


VERDICTS: dict[Verdict, str] = {
    "same": "SAME",
    "faster": "FASTER",
    "regression": "REGRESSION",
    "inconclusive": "INCONCLUSIVE",
    "incomparable": "INCOMPARABLE",
    "invalid": "INVALID",
    "unreadable": "UNREADABLE",
    "missing_metric": "MISSING METRIC",
    "other_schema": "OTHER SCHEMA",
    "over_budget": "OVER BUDGET",
}


def headline(verdict: Verdict, reasons: Sequence[str], metrics: Sequence[MetricRecord]) -> str:
    """`headline` returns the verdict and its first reason, in one line."""
    gated = [metric for metric in metrics if metric.role != "shown"]
    unclear = [each.name for each in gated if each.verdict == "inconclusive"]
    but = f"; can't tell: {', '.join(unclear)}" if unclear else ""
    if verdict == "same":
        same = len(gated) - len(unclear)
        return f"SAME: {same} gated metrics are within their thresholds{but}"
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{VERDICTS[verdict]}: {reasons[0]}{more}{but if verdict == 'faster' else ''}"


def because(metric: MetricRecord, found: Finding) -> str:
    """`because` returns why a metric has its verdict; `metric` is as in the comparison."""
    moved = size(metric, metric.change, signed=True)
    surely = f"{moved} ({interval(metric)})"
    same, alarm = (size(metric, limit) for limit in (metric.same_within, metric.alarm_beyond))
    if found.why == "too few pairs":
        return f"{moved} so far: {too_few(found.pairs, found.level)}"
    if found.why == "too wide":
        return f"{surely}: not within {same}, nor surely beyond 0"
    if found.why == "below the threshold":
        return f"{surely}: surely changed, not beyond {alarm}, and not surely negligible"
    if found.why == "no fresh batch":
        return f"{surely}: a fresh batch of at least {FRESH_PAIRS_MIN} pairs must repeat it"
    if found.why == "not interleaved":
        return f"{surely}: A and B did not take turns, so a drift of the machine would look so too"
    if found.why == "base moved":
        return f"{surely}: but the base differs from itself by {base_change(metric)}"
    if found.why == "base unknown":
        return f"{surely}: but what the base differs by from itself is not known"
    if found.why == "within the threshold":
        return f"{surely}: within {same}"
    fresh = size(metric, metric.fresh_change, signed=True)
    if found.why == "not repeated":
        return f"{surely}: a fresh batch did not repeat it ({fresh})"
    return f"{surely}: beyond {alarm}, and a fresh batch repeats it ({fresh})"


def too_few(pairs: int, level: float) -> str:
    """`too_few` returns why so few pairs of runs say nothing, whatever they show."""
    return f"{count(pairs, 'pair')} of runs can't tell: needs at least {pairs_needed(level)} pairs"


def level_line(level: Checked) -> str:
    place = f"{level.operation} in {level.phase}"
    if level.limit == "p99_ms_max":
        found = "not known" if level.measured is None else f"{level.measured:g} ms"
        limit = f"p99 {found}, at most {level.allowed:g} ms, in the median"
    else:
        failed = f"failed {_share(level.measured or 0.0)}, at most {_share(level.allowed)}"
        limit = f"{failed}, of all requests"
    return f"{place}: {limit} of {count(level.runs, 'run')}"


def size(metric: MetricRecord, change: float | None, signed: bool = False) -> str:
    """`size` returns 12.3 %, or 0.12 points of a percentage for a difference of shares; "-" for
    none."""
    if change is None:
        return "-"
    form = "+" if signed else ""
    if metric.scale == "difference":
        return f"{change * 100:{form}.3g} points"
    return f"{round(change * 100, 1) + 0.0:{form}.1f} %"


def interval(metric: MetricRecord) -> str:
    if metric.low is None:
        return "-"
    low, high = (size(metric, end, signed=True) for end in (metric.low, metric.high))
    return f"{low} to {high}"


def base_change(metric: MetricRecord) -> str:
    """`base_change` returns what the base differs by from itself, with its interval."""
    base = metric.base
    if base is None or base.low is None or base.high is None:
        return "unknown"
    low, high = (size(metric, end, signed=True) for end in (base.low, base.high))
    return f"{low} to {high}"


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _share(share: float) -> str:
    return f"{share * 100:.3g} %"
