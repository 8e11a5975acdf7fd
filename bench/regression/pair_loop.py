"""Batches of pairs follow each other, as `bench.regression.stopping_rule` asks for them.

Where the pairs come from is the caller's business: measured now, or drawn from recorded ones.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from bench.compare.budgets import Budgets
from bench.compare.metric import Rule
from bench.compare.metric_pairs import LostReadingError, Row, Spreads, lost, rows, usable
from bench.compare.outcomes import failed_by_side
from bench.compare.run_pairs import BROKEN, Pair, Sides, UnfitError, told
from bench.regression.stopping_rule import Plan, Sequential, Step
from bench.run.model import Progress
from machine.errors import StackError

Measure = Callable[[Step], list[Pair]]
"""A measure returns the pairs of a step, or fewer where the time is over."""


class Gate(NamedTuple):
    """A gate is what is gated, as the first runs have it."""

    rules: dict[str, Rule]
    deciding: list[str]


def gate(first: Pair, budgets: Budgets, spreads: Spreads) -> Gate:
    """`gate` makes it from a run of each side, or of the base alone where B's is FAILED or INVALID.

    It raises `UnfitError` where the base's is, where they have no metric that decides, or one that
    could never be the same; and `LostReadingError` where one run lacks one.
    """
    for run in first.base:
        if run.verdict in BROKEN:
            raise UnfitError("invalid", told(run))
    if first.broken:
        first = first._replace(b=first.a)
    gated = [row for row in rows([first], budgets, spreads) if row.rule.role != "shown"]
    return Gate(
        {row.metric.name: row.limits for row in gated},
        [row.metric.name for row in gated if row.rule.role == "decides"],
    )


def warmed(warm: Callable[[], Pair], budgets: Budgets, spreads: Spreads, tell: Progress) -> Gate:
    """`warmed` makes the gate of what `warm` measures; again, where one of its readings was lost.

    It raises `UnfitError` as `gate` does.
    """
    try:
        return gate(warm(), budgets, spreads)
    except LostReadingError as cause:
        tell(f"once more, as {cause}")
        return gate(warm(), budgets, spreads)


class Taken(NamedTuple):
    pairs: list[Pair]
    fresh: list[Pair]
    why: str
    """The line says why no more were taken."""


def take(
    gate: Gate,
    plan: Plan,
    budgets: Budgets,
    spreads: Spreads,
    measure: Measure,
    spent_s: Callable[[], float],
    tell: Progress = lambda _: None,
) -> Taken:
    """`take` takes as many pairs as needed, and no more where each of a batch has a run that is
    FAILED or INVALID. Where B's surely fail more often, a fresh batch shows whether it was for that
    start alone."""
    sequential = Sequential(gate.rules, gate.deciding, plan)
    taken, is_over = Taken([], [], ""), False
    while (step := sequential.next(spent_s())).action != "stop":
        if is_over and step.action == "measure":
            step = step._replace(why="the time budget is used up")
            break
        tell(f"{step.action} {step.pairs} pairs: {step.why}")
        try:
            pairs = measure(step)
        except StackError as cause:
            if step.action != "repeat":
                raise
            return _unrepeated(taken, step.why, cause)
        (taken.fresh if step.action == "repeat" else taken.pairs).extend(pairs)
        kept, voids = usable(pairs, budgets, lost(pairs, budgets, gate.deciding))
        for why in voids:
            tell(f"a pair is void: {why}")
        found = differences(rows(kept, budgets, spreads), gate.rules) if kept else {}
        broken = sum(bool(pair.broken) for pair in pairs)
        sequential.add(step._replace(pairs=len(pairs)), found, broken)
        if pairs and all(pair.broken for pair in pairs):
            step = step._replace(why="each of the last pairs has a run that failed")
            break
        is_over = len(pairs) < step.pairs - step.spare
        if is_over and step.action == "repeat":
            step = step._replace(why="the time budget is used up")
            break
    return _with_failures_repeated(taken._replace(why=step.why), plan, measure, spent_s, tell)


def _with_failures_repeated(
    taken: Taken, plan: Plan, measure: Measure, spent_s: Callable[[], float], tell: Progress
) -> Taken:
    line = failed_by_side(Sides.of(taken.pairs))
    if line is None or taken.fresh:
        return taken
    fresh = plan.fresh_fitting(spent_s(), len(taken.pairs))
    if not fresh:
        return taken._replace(why=f"{taken.why}, and no time is left for a fresh batch")
    repeat = Step("repeat", fresh, line)
    tell(f"{repeat.action} {repeat.pairs} pairs: {line}")
    try:
        return taken._replace(fresh=measure(repeat))
    except StackError as cause:
        return _unrepeated(taken, taken.why, cause)


def _unrepeated(taken: Taken, why: str, cause: StackError) -> Taken:
    """What was measured is a result all the same."""
    return taken._replace(why=f"{why}, and a fresh stack did not start: {cause}")


def differences(found: Sequence[Row], rules: Mapping[str, Rule]) -> dict[str, list[float]]:
    """`differences` returns them by metric that is gated."""
    return {row.metric.name: row.worsenings for row in found if row.metric.name in rules}
