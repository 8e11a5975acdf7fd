"""This module tells what pairs of runs say about each metric that a budget file names."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from bench.compare.budgets import Budgets, MetricRule
from bench.compare.metric import Metric, Rule
from bench.compare.metrics import Readings, readings
from bench.compare.run_pairs import Pair, UnfitError
from bench.compare.verdict import Finding, judge

Spreads = Mapping[str, float]
"""The spreads are by name of a metric, in place of the budget file's: see
`bench.calibrate.aa_spread`."""


class Row(NamedTuple):
    """A row is a metric in some pairs, one value a pair."""

    metric: Metric
    rule: MetricRule
    a: list[float]
    b: list[float]
    bounds: int
    """So many runs know only a lower bound of it: then nothing can be said."""

    @property
    def worsenings(self) -> list[float]:
        return [self.metric.worsening(*values) for values in zip(self.a, self.b, strict=True)]

    @property
    def is_gated(self) -> bool:
        return self.rule.role != "shown" and not self.bounds

    @property
    def limits(self) -> Rule:
        return self.rule.of(self.metric)


def usable(pairs: Sequence[Pair], budgets: Budgets) -> tuple[list[Pair], list[str]]:
    """`usable` returns those that are not void, and why the others are."""
    whys = [pair.void_because(budgets.moved_max) for pair in pairs]
    kept = [pair for pair, why in zip(pairs, whys, strict=True) if why is None]
    return kept, [why for why in whys if why is not None]


def rows(pairs: Sequence[Pair], budgets: Budgets, spreads: Spreads) -> list[Row]:
    """`rows` leaves out metrics that no run has, and those that only some have and that do not
    decide: a reading that is missing voids its metric, not all that was measured.

    It raises `UnfitError` where one that decides is in some runs and not in others, or none is left
    that decides.
    """
    found = []
    for metric, rule, without, sides in _ruled(pairs, budgets):
        if rule.role == "decides" and 0 < len(without) < 2 * len(pairs):
            line = f"{metric.name} is missing in run {without[0]}, and other runs have it"
            raise UnfitError("missing_metric", line)
        if not without:
            spread = spreads.get(metric.name, rule.aa_spread)
            found.append(_row(metric, rule._replace(aa_spread=spread), sides))
    if not any(row.rule.role == "decides" for row in found):
        raise UnfitError("missing_metric", "the runs have no metric that decides: see the budgets")
    return found


def shown_rows(sides: Sequence[tuple[Readings, Readings]], budgets: Budgets) -> list[Row]:
    """`shown_rows` returns what both sides of all pairs have, to be shown and not judged."""
    return [
        _row(metric, rule._replace(role="shown"), sides)
        for metric in sides[0][0]
        if (rule := budgets.rule(metric)) is not None
        and all(found[metric].value is not None for side in sides for found in side)
    ]


def voided(pairs: Sequence[Pair], budgets: Budgets) -> list[str]:
    """`voided` returns a line for each metric that some runs lack, and of which therefore nothing
    is known."""
    return [
        f"can't tell: {metric.name}, which is missing in {len(without)} of {2 * len(pairs)} runs"
        for metric, _, without, _ in _ruled(pairs, budgets)
        if 0 < len(without) < 2 * len(pairs)
    ]


def _ruled(
    pairs: Sequence[Pair], budgets: Budgets
) -> Iterator[tuple[Metric, MetricRule, list[str], Sequence[tuple[Readings, Readings]]]]:
    """Each metric that the budgets name, its rule, the runs that lack it, and all readings."""
    of_run = partial(readings, operations=list(budgets.operation_metrics))
    sides = [(of_run(pair.a), of_run(pair.b)) for pair in pairs]
    for metric in dict.fromkeys(metric for side in sides for found in side for metric in found):
        if (rule := budgets.rule(metric)) is not None:
            yield metric, rule, _runs_without(metric, pairs, sides), sides


def _runs_without(
    metric: Metric, pairs: Sequence[Pair], sides: Sequence[tuple[Readings, Readings]]
) -> list[str]:
    return [
        run.run_id
        for pair, side in zip(pairs, sides, strict=True)
        for run, found in zip(pair, side, strict=True)
        if metric not in found or found[metric].value is None
    ]


def _row(metric: Metric, rule: MetricRule, sides: Sequence[tuple[Readings, Readings]]) -> Row:
    a, b = (
        [value for side in sides if (value := side[place][metric].value) is not None]
        for place in (0, 1)
    )
    return Row(metric, rule, a, b, sum(found[metric].at_least for side in sides for found in side))


def judge_rows(found: Sequence[Row], used: int, alpha: float) -> dict[str, Finding]:
    """`judge_rows` returns findings of the first `used` pairs; the others are the fresh batch."""
    return judge(
        {row.metric.name: row.worsenings[:used] for row in found},
        {row.metric.name: row.limits for row in found},
        {row.metric.name: row.worsenings[used:] for row in found},
        alpha,
    )
