"""A comparison in words: short lines, the same in every output."""

from collections.abc import Sequence
from typing import Any

from bench.compare.budgets import Checked
from bench.compare.verdict import FRESH_PAIRS_MIN, Finding
from bench.stats.signed_rank import pairs_needed

VERDICTS = {
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


def headline(verdict: str, reasons: Sequence[str], metrics: Sequence[dict[str, Any]]) -> str:
    """The verdict and its first reason, in one line."""
    if verdict == "same":
        gated = [metric for metric in metrics if metric["role"] != "shown"]
        unclear = [m["name"] for m in gated if m["verdict"] == "inconclusive"]
        but = f"; can't tell: {', '.join(unclear)}" if unclear else ""
        same = len(gated) - len(unclear)
        return f"SAME: {same} gated metrics are within their thresholds{but}"
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return f"{VERDICTS[verdict]}: {reasons[0]}{more}"


def because(metric: dict[str, Any], found: Finding) -> str:
    """Why a metric has its verdict; `metric` as in the comparison."""
    moved = size(metric, metric["change"], signed=True)
    surely = f"{moved} ({interval(metric)})"
    same, alarm = (size(metric, metric[name]) for name in ("same_within", "alarm_beyond"))
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
    if found.why == "within the threshold":
        return f"{surely}: within {same}"
    fresh = size(metric, metric["fresh_change"], signed=True)
    if found.why == "not repeated":
        return f"{surely}: a fresh batch did not repeat it ({fresh})"
    return f"{surely}: beyond {alarm}, and a fresh batch repeats it ({fresh})"


def too_few(pairs: int, level: float) -> str:
    """Why so few pairs of runs say nothing, whatever they show."""
    return f"{count(pairs, 'pair')} of runs can't tell: needs at least {pairs_needed(level)} pairs"


def level_line(level: Checked) -> str:
    place = f"{level.operation} in {level.phase}"
    if level.limit == "p99_ms_max":
        found = "not known" if level.measured is None else f"{level.measured:g} ms"
        limit = f"p99 {found}, at most {level.allowed:g} ms"
    else:
        limit = f"failed {_share(level.measured or 0.0)}, at most {_share(level.allowed)}"
    return f"{place}: {limit}, in the median of {count(level.runs, 'run')}"


def size(metric: dict[str, Any], change: float | None, signed: bool = False) -> str:
    """12.3 %, or 0.12 points of a percentage for a difference of shares; "-" for none."""
    if change is None:
        return "-"
    form = "+" if signed else ""
    if metric["scale"] == "difference":
        return f"{change * 100:{form}.3g} points"
    return f"{round(change * 100, 1) + 0.0:{form}.1f} %"


def interval(metric: dict[str, Any]) -> str:
    if metric["low"] is None:
        return "-"
    low, high = (size(metric, metric[name], signed=True) for name in ("low", "high"))
    return f"{low} to {high}"


def count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _share(share: float) -> str:
    return f"{share * 100:.3g} %"
