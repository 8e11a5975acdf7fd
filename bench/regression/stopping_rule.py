"""The rule says what to measure next: as many pairs as needed, within a time budget.

Who looks again and again finds a difference in the end, even where there is none. So the number of
looks is bounded beforehand, and each spends an equal part of alpha: Bonferroni over looks, which
holds however they depend on each other. The first batch is as large as a look needs; the further
ones share the time that is left. A finding is repeated by a fresh batch, for which time is kept.
"""

from collections.abc import Collection, Mapping, Sequence
from math import ceil
from random import Random
from typing import Literal, NamedTuple

from bench.compare.metric import Rule
from bench.compare.verdict import ALPHA, FRESH_PAIRS_MIN, Finding, judge
from bench.stats.signed_rank import pairs_needed

LOOKS_MAX = 2
"""A comparison looks at its pairs at most so often: each look spends a part of alpha."""
MORE_PAIRS_MAX = 100
"""A further batch has at most this many pairs, however much time there is: with four times as many
the interval is half."""
SPARE_PAIRS = 2
"""A batch has so many pairs more than a look needs: some may be void."""

HARDLY = 0.5
"""The last look keeps no time for a fresh batch where all that decides is within this share of its
threshold: a job of one commit was INCONCLUSIVE with a third of its time unspent."""
LIKELY = 0.1
"""A metric that only alarms, beyond its threshold with a p-value of at most this, may be a finding
soon."""
FAILED_PAIRS_MIN = 4
"""So many pairs of which each has a failed run end a batch: chance would let all that fail be B's,
beside two runs of the base each, once in 495 times."""

Action = Literal["measure", "repeat", "stop"]


def turns(letters: Sequence[str], rounds: int, seed: int) -> list[Sequence[str]]:
    """`turns` says who runs when, in each round: of two rounds the second one is the first one
    backwards, as ABBA, and a coin chooses the first.

    So a steady drift of the machine cancels out. The coin keeps anything that comes back every few
    runs from always meeting the same side.
    """
    random, found = Random(seed), list[Sequence[str]]()
    for _ in range(ceil(rounds / 2)):
        order = random.sample(letters, len(letters))
        found += [order, order[::-1]]
    return found[:rounds]


def look_needs(metrics: int, looks: int) -> int:
    """`look_needs` returns the pairs with which one of so many looks at so many gated metrics can
    find anything at all."""
    return pairs_needed(1 - ALPHA / looks / max(1, metrics))


class Plan(NamedTuple):
    budget_s: float
    """All measuring has this budget; starting the stacks for the first batch is not part of it."""
    first_pairs: int
    more_pairs: int
    """Each further batch has at least so many pairs; the number is even, so that blocks of ABBA are
    whole."""
    fresh_pairs: int = FRESH_PAIRS_MIN + SPARE_PAIRS
    """The fresh batch has so many pairs, or as many as there is time for."""
    fresh_start_s: float = 0.0
    """A fresh batch is measured on freshly started stacks, which take this long, see
    docs/regressions.md."""
    looks_max: int = LOOKS_MAX
    more_pairs_max: int = MORE_PAIRS_MAX
    comparisons: int = 1
    """The comparison is one of so many that share alpha."""

    @staticmethod
    def of(
        metrics: int, budget_s: float, fresh_start_s: float = 0.0, comparisons: int = 1
    ) -> "Plan":
        """`of` returns a plan for so many gated metrics."""
        first = _even(look_needs(metrics, LOOKS_MAX * comparisons) + SPARE_PAIRS)
        return Plan(
            budget_s,
            first,
            _even(first / 2),
            fresh_start_s=fresh_start_s,
            comparisons=comparisons,
        )

    def fresh_fitting(self, spent_s: float, pairs: int) -> int:
        """`fresh_fitting` returns how many fresh pairs there is time for after so many pairs, which
        took so long; 0 where fewer than `FRESH_PAIRS_MIN`."""
        left_s, pair_s = self.budget_s - spent_s - self.fresh_start_s, spent_s / max(1, pairs)
        if self.fresh_pairs * pair_s <= left_s:
            return self.fresh_pairs
        fitting = int(left_s / pair_s) if pair_s else 0
        return fitting if fitting >= FRESH_PAIRS_MIN else 0

    def is_enough(self, step: "Step", pairs: int, usable: int, spent_s: float) -> bool:
        """`is_enough` says that a look can be taken, and that one pair more of this step would take
        the time in which what it finds is repeated: after +35 % of Flink's CPU in 14 pairs there
        was none left, and with 12 there was."""
        if not pairs or usable < step.pairs - step.spare:
            return False
        pair_s = spent_s / pairs
        return not self.fresh_fitting(spent_s + pair_s, pairs + 1)

    @property
    def looks(self) -> int:
        """`looks` returns all that share alpha."""
        return self.looks_max * self.comparisons


class Step(NamedTuple):
    action: Action
    pairs: int
    why: str
    spare: int = 0
    """So many of its pairs are not needed where none is void: they must not take the time in which
    a finding would be repeated."""


class Sequential:
    """The rule collects pairs, and says after each batch how to go on.

    while (step := sequential.next(spent_s)).action != "stop":
        sequential.add(step, *measure(step.pairs))
    """

    def __init__(self, rules: Mapping[str, Rule], deciding: Collection[str], plan: Plan) -> None:
        """The `deciding` metrics are those that must be settled; the others only may raise an
        alarm."""
        self._rules = dict(rules)
        self._deciding = deciding
        self._plan = plan
        self._looks = 0
        self._measured = 0
        self._broken = 0
        self._batch: dict[str, list[float]] = {name: [] for name in rules}
        self._fresh: dict[str, list[float]] | None = None

    @property
    def alpha(self) -> float:
        """The chance is that of one look."""
        return ALPHA / self._plan.looks

    def add(self, step: Step, pairs: Mapping[str, Sequence[float]], broken: int = 0) -> None:
        """`add` takes differences of the usable pairs by metric, as `Rule` has them, and how many
        of the others have a run that failed."""
        self._broken += broken
        if step.action == "repeat" and self._fresh is None:
            self._fresh = {name: [] for name in self._rules}
        if pairs:
            for name in [name for name in self._rules if name not in pairs]:
                self._drop(name)
        target = self._batch if self._fresh is None else self._fresh
        for name, differences in pairs.items():
            if name in self._rules:
                target[name] += differences
        self._measured += step.pairs

    def _drop(self, name: str) -> None:
        """A metric that runs lack from now on: nothing is waited for on its account."""
        del self._rules[name], self._batch[name]
        if self._fresh is not None:
            del self._fresh[name]

    def findings(self) -> dict[str, Finding]:
        """`findings` returns those of all pairs so far; metrics without any are left out."""
        batch = {name: found for name, found in self._batch.items() if found}
        return judge(batch, self._rules, self._fresh, self.alpha)

    def next(self, spent_s: float) -> Step:
        """`next` returns how to go on; `spent_s` counts since the first pair was begun."""
        plan = self._plan
        if not self._measured:
            return Step("measure", plan.first_pairs, "the first batch", SPARE_PAIRS)
        left_s = plan.budget_s - spent_s
        pair_s = spent_s / self._measured
        if self._fresh is not None:
            is_enough = all(len(found) >= FRESH_PAIRS_MIN for found in self._fresh.values())
            if is_enough or plan.fresh_pairs * pair_s > left_s:
                return Step("stop", 0, "the fresh batch is measured")
            return Step("repeat", plan.fresh_pairs, "too much of the fresh batch is void")
        kept_s = plan.fresh_start_s + plan.fresh_pairs * pair_s
        if self._lacking_for_a_look() <= 0:
            self._looks += 1
            findings = self.findings()
            suspects = [name for name, found in findings.items() if found.is_suspect]
            if suspects:
                if fresh := plan.fresh_fitting(spent_s, self._measured):
                    return Step("repeat", fresh, f"looks changed: {', '.join(suspects)}")
                return Step("stop", 0, "no time is left for a fresh batch")
            if all(findings[name].verdict == "same" for name in self._deciding):
                return Step("stop", 0, "all that decides is settled")
            if self._looks == plan.looks_max:
                return Step("stop", 0, f"{plan.looks_max} looks were taken")
            if self._looks == plan.looks_max - 1 and self._is_hardly_changed(findings):
                kept_s = 0.0
        fitting = int((left_s - kept_s) / pair_s) // 2 * 2 if pair_s else plan.more_pairs
        lacking = _even(self._lacking_for_a_look())
        if not self._looks and fitting < lacking:  # without a look it could not even be the same
            fitting = int(left_s / pair_s) // 2 * 2
            pairs = min(lacking + SPARE_PAIRS, fitting)
            if pairs < lacking:
                return Step("stop", 0, "the time budget is used up")
            return Step("measure", pairs, "too few are usable, and no time is left to repeat any")
        share = min(fitting // (plan.looks_max - self._looks) // 2 * 2, plan.more_pairs_max)
        pairs = max(share, min(plan.more_pairs, fitting))
        if pairs < 2:
            return Step("stop", 0, "the time budget is used up")
        return Step("measure", pairs, "not settled yet")

    def _is_hardly_changed(self, findings: Mapping[str, Finding]) -> bool:
        """The last look will hardly find anything to be repeated: its time is better spent on
        telling that all is the same."""
        return not self._broken and all(
            abs(found.estimate) <= HARDLY * self._rules[name].threshold
            if name in self._deciding
            else abs(found.estimate) <= self._rules[name].threshold or found.p_value > LIKELY
            for name, found in findings.items()
        )

    def _lacking_for_a_look(self) -> int:
        """A look with fewer pairs could find nothing, and is not counted."""
        needed = look_needs(len(self._rules), self._plan.looks)
        return max((needed - len(self._batch[name]) for name in self._rules), default=0)


def _even(pairs: float) -> int:
    return ceil(pairs / 2) * 2
