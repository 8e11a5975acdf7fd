"""This module tells what pairs of runs say about each metric that a budget file names."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from statistics import median
from typing import NamedTuple

from bench.compare.budgets import Budgets, MetricRule, never_the_same
from bench.compare.metric import Metric, Rule
from bench.compare.metrics import GENERATOR, Readings, readings
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
    """The values of A are means, where the base was measured twice."""
    b: list[float]
    base: list[tuple[float, float]]
    """These are values of the base and of the base again, see `base_of`."""
    bounds_a: int
    bounds_b: int
    """So many runs of each side know only a lower bound of it: requests had no answer."""

    @property
    def worsenings(self) -> list[float]:
        return [self.metric.worsening(*values) for values in zip(self.a, self.b, strict=True)]

    @property
    def base_worsenings(self) -> list[float]:
        """`base_worsenings` returns what the base differs by from itself."""
        return [self.metric.worsening(*values) for values in self.base]

    @property
    def bounds(self) -> int:
        return self.bounds_a + self.bounds_b

    @property
    def is_gated(self) -> bool:
        """`is_gated` says that its pairs can tell whether B got worse: what B is at least can."""
        return self.rule.role != "shown" and not self.bounds_a

    @property
    def hides_worse(self) -> bool:
        """`hides_worse` says that it would alarm, were A's bounds its values."""
        is_beyond = median(self.worsenings) > self.limits.alarm
        return self.rule.role == "alarms" and bool(self.bounds_a) and is_beyond

    @property
    def limits(self) -> Rule:
        return self.rule.of(self.metric)


COMPILING, ASKING = "compiling", f"cpu.{GENERATOR}"
GUARDS = {COMPILING: MetricRule(0.1, "shown"), ASKING: MetricRule(0.05, "shown")}
"""These metrics tell of what makes a side look better than it is. Budgets have thresholds of their
own."""
UNPLACED = ("cpu", "cpu_ratio", "compiling", "compacting", "per_request")
"""A run has no place for metrics of these kinds where nothing of them was read."""
COUNTED = ("per_request.kafka_records", "per_request.kafka_bytes")
"""These are counted of every stack; a budget for all of a request means them."""

Lost = Mapping[str, str]
"""Lost readings are by run_id: a line for each run that lacks a metric that decides."""


class LostReadingError(UnfitError):
    """A metric that decides is in some of the runs, and not in others."""

    def __init__(self, line: str) -> None:
        super().__init__("missing_metric", line)


def lost(
    pairs: Sequence[Pair], budgets: Budgets, deciding: Collection[str] | None = None
) -> dict[str, str]:
    """`lost` returns the runs whose reading of a metric in `deciding` was lost; None stands for
    those that decide and that each side has in some run.

    What a whole side lacks is no reading that was lost, unless it is named: `rows` refuses it.
    """
    sides = {run.run_id for pair in pairs for run in pair.base}, {pair.b.run_id for pair in pairs}
    lacking = {name: [*set.union(*sides)] for name in deciding or ()}
    for metric, rule, without, _ in _ruled(pairs, budgets):
        is_in_each = all(side - {*without} for side in sides)
        if metric.name in lacking or (deciding is None and rule.role == "decides" and is_in_each):
            lacking[metric.name] = without
    return {
        run_id: f"run {run_id} has lost a reading that decides: {name}"
        for name, runs in reversed(lacking.items())
        for run_id in runs
    }


def usable(pairs: Sequence[Pair], budgets: Budgets, unread: Lost) -> tuple[list[Pair], list[str]]:
    """`usable` returns those that are not void, and why the others are. A reading that is lost is
    unknown, and so is what its pair would say."""
    whys = [
        pair.void_because(budgets.moved_max)
        or next((unread[run.run_id] for run in pair.runs if run.run_id in unread), None)
        for pair in pairs
    ]
    kept = [pair for pair, why in zip(pairs, whys, strict=True) if why is None]
    return kept, [why for why in whys if why is not None]


def rows(pairs: Sequence[Pair], budgets: Budgets, spreads: Spreads) -> list[Row]:
    """`rows` leaves out metrics that no run has, and those that only some have and that do not
    decide: a reading that is missing voids its metric, not all that was measured.

    It raises `LostReadingError` where one that decides is in some runs and not in others, and
    `UnfitError` where none is left that decides.
    """
    found = []
    for metric, rule, without, sides in _ruled(pairs, budgets):
        if rule.role == "decides" and 0 < len(without) < _runs(pairs):
            line = f"{metric.name} is missing in run {without[0]}, and other runs have it"
            raise LostReadingError(line)
        if not without:
            spread = spreads.get(metric.name, rule.aa_spread)
            found.append(_row(metric, rule._replace(aa_spread=spread), sides))
    if budgets.names is None and (unfit := [*_unfit(found, spreads)]):
        raise UnfitError("missing_metric", *unfit)
    if not any(row.rule.role == "decides" for row in found):
        raise UnfitError("missing_metric", "the runs have no metric that decides: see the budgets")
    return found


def _unfit(found: Sequence[Row], spreads: Spreads) -> Iterator[str]:
    """A line for each gated metric that the spreads make hopeless, or say nothing of."""
    for row in found:
        name, rule = row.metric.name, row.rule
        if (why := never_the_same(name, rule)) is not None:
            yield why
        elif spreads and rule.role != "shown" and not rule.aa_spread and name not in spreads:
            yield (
                f"{name}: the comparisons of --aa tell no spread of it: they are of other loads, "
                "or it was in fewer than 10; make them as this one, or leave --aa out"
            )


def _runs(pairs: Sequence[Pair]) -> int:
    return sum(len(pair.runs) for pair in pairs)


def voided(pairs: Sequence[Pair], budgets: Budgets) -> list[str]:
    """`voided` returns a line for each metric that some runs lack, and of which therefore nothing
    is known."""
    return [
        f"can't tell: {metric.name}, which is missing in {len(without)} of {_runs(pairs)} runs"
        for metric, _, without, _ in _ruled(pairs, budgets)
        if 0 < len(without) < _runs(pairs)
    ]


Sides = tuple[list[Readings], Readings]
"""The sides of a pair are the base, once or twice, and the other one."""


def _ruled(
    pairs: Sequence[Pair], budgets: Budgets
) -> Iterator[tuple[Metric, MetricRule, list[str], Sequence[Sides]]]:
    """Each metric that the budgets name, its rule, the runs that lack it, and all readings."""
    of_run = partial(readings, operations=list(budgets.operation_metrics))
    sides = [([of_run(run) for run in pair.base], of_run(pair.b)) for pair in pairs]
    metrics = dict.fromkeys(
        metric for base, other in sides for found in (*base, other) for metric in found
    )
    loops = {metric.loop for metric in metrics}
    for metric in metrics:
        if (rule := budgets.rule_among(metric, loops)) is not None:
            yield metric, rule, _runs_without(metric, pairs, sides), sides


def _runs_without(metric: Metric, pairs: Sequence[Pair], sides: Sequence[Sides]) -> list[str]:
    return [
        run.run_id
        for pair, (base, other) in zip(pairs, sides, strict=True)
        for run, found in zip(pair.runs, (*base, other), strict=True)
        if metric not in found or found[metric].value is None
    ]


def shown_rows(sides: Sequence[Sides], budgets: Budgets) -> list[Row]:
    """`shown_rows` returns what both sides of all pairs have, to be shown and not judged."""
    found = [each for base, other in sides for each in (*base, other)]
    return [
        _row(metric, rule._replace(role="shown"), sides)
        for metric in found[0]
        if (rule := budgets.rule(metric)) is not None
        and all(readings[metric].value is not None for readings in found)
    ]


def _row(metric: Metric, rule: MetricRule, sides: Sequence[Sides]) -> Row:
    """The row of a metric that each run has."""

    def value(found: Readings) -> float:
        known = found[metric].value
        assert known is not None
        return known

    bases = [[value(found) for found in base] for base, _ in sides]
    return Row(
        metric,
        rule,
        [metric.mean(values) for values in bases],
        [value(other) for _, other in sides],
        base_of(bases),
        sum(found[metric].at_least for base, _ in sides for found in base),
        sum(other[metric].at_least for _, other in sides),
    )


def base_of(bases: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """`base_of` pairs the base with itself: a system with another one where both were measured,
    else each run with the next one of the same system.

    The latter tells what the machine does from run to run, and nothing of what a start of its own
    makes of a system.
    """
    twice = [(values[0], values[1]) for values in bases if len(values) > 1]
    if twice:
        return twice
    return [(first[0], then[0]) for first, then in zip(bases[::2], bases[1::2], strict=False)]


def judge_rows(found: Sequence[Row], used: int, alpha: float) -> dict[str, Finding]:
    """`judge_rows` returns findings of the first `used` pairs; the others are the fresh batch."""
    return judge(
        {row.metric.name: row.worsenings[:used] for row in found},
        {row.metric.name: row.limits for row in found},
        {row.metric.name: row.worsenings[used:] for row in found},
        alpha,
    )


def doubts(
    found: Sequence[Row], pairs: Sequence[Pair], budgets: Budgets, used: int, alpha: float
) -> list[str]:
    """`doubts` returns a line for whatever makes B look better than it is: then nothing is SAME or
    FASTER. It is looked for whether or not the budgets name it."""
    guards = [
        _row(metric, rule, sides)
        for metric, rule, without, sides in _ruled(pairs, _guarding(budgets))
        if not without
    ]
    return [*_cold(guards), *_dearer_to_ask(guards, found, used, alpha)]


def _guarding(budgets: Budgets) -> Budgets:
    """The rules of `GUARDS`, with the thresholds of the budgets where they have any."""
    kinds = {kind: (kind, kind.partition(".")[0]) for kind in GUARDS}
    own = {
        kind: next(filter(None, map(budgets.metrics.get, names)), GUARDS[kind])
        for kind, names in kinds.items()
    }
    return budgets._replace(metrics=own, operation_metrics={}, names=None)


def _cold(guards: Sequence[Row]) -> list[str]:
    """A line where A was not warm yet: whatever B is better at may be that alone."""
    return [
        f"{row.metric.name}: the compilers of A took {median(row.a):.2f} cores and those of B "
        f"{median(row.b):.2f}: A was not warm when it was measured"
        for row in guards
        if row.metric.kind == COMPILING and median(row.a) - median(row.b) > row.rule.threshold
    ]


def _dearer_to_ask(
    guards: Sequence[Row], found: Sequence[Row], used: int, alpha: float
) -> list[str]:
    """A line where a request of B surely costs who sends it more: ratios to that fell with it."""
    loops = {row.metric.loop for row in found if row.metric.word == "cpu_ratio" and row.is_gated}
    asked = [row for row in guards if row.metric.kind == ASKING and row.metric.loop in loops]
    return [
        f"{row.metric.name}: {median(row.a):.0f} µs with A and {median(row.b):.0f} with B: what B "
        "takes looks smaller beside it than it is"
        for row in asked
        if judge_rows([row], used, alpha)[row.metric.name].low > row.limits.threshold
    ]


def unread(
    found: Sequence[Row], pairs: Sequence[Pair], budgets: Budgets
) -> tuple[list[str], list[str]]:
    """`unread` returns doubts and notes, a line for each kind of metric that decides and that no
    run has. Of a stack of its own each reading of it has failed; of a target nobody can say what
    there is to read, so it is noted."""
    runs = [run for pair in pairs for run in pair.runs]
    is_loaded = any(phase.window for run in runs for phase in run.fixed_phases)
    if budgets.names is not None or not is_loaded:
        return [], []
    deciding = [row.metric for row in found if row.rule.role == "decides"]
    known = {name for metric in deciding for name in (metric.word, metric.kind)}
    kinds = [kind for kind in _expected(budgets) if kind not in known]
    if any(run.settings.target is not None for run in runs):
        words = dict.fromkeys(kind.partition(".")[0] for kind in kinds)
        return [], [f"not compared: {word}, which no run has of its target" for word in words]
    empty = [
        metric.name
        for metric, rule, without, _ in _ruled(pairs, budgets)
        if rule.role == "decides" and len(without) == _runs(pairs)
    ]
    why = "which decides, as no run has it: each reading of it has failed"
    return [f"can't tell: {name}, {why}" for name in (*kinds, *empty)], []


def _expected(budgets: Budgets) -> Iterator[str]:
    """Kinds that decide, and for which a run has no place where they were not read."""
    for kind, rule in budgets.metrics.items():
        if rule.role == "decides" and kind.partition(".")[0] in UNPLACED:
            each = [name for name in COUNTED if name not in budgets.metrics]
            yield from each if kind == "per_request" else [kind]
