"""Comparisons drawn from recorded runs tell how often ``regression`` gives which verdict.

The run stays the unit. Runs of one cycle were measured one after the other, and make a pair. The
batch is drawn from one round and the fresh batch from another, whose systems were started anew.
Void pairs are left out, as ``regression`` measures others in their place; a round with too many of
them is drawn from for fresh batches only. No run comes twice in a comparison; comparisons of one
recording share runs, so they are less than independent.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import permutations
from math import exp, log
from pathlib import Path
from random import Random
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.calibrate.recorder import WHOLE_FILE
from bench.calibrate.slowdowns import BASE, SETS, SLOWDOWNS, Group
from bench.compare.budgets import Budgets
from bench.compare.comparison import compare_sets, unfit
from bench.compare.comparison_record import Comparison
from bench.compare.metric_pairs import Spreads, lost, usable
from bench.compare.metrics import readings
from bench.compare.run_pairs import Pair, Sides, UnfitError
from bench.errors import BenchError
from bench.records.run_files import read_run
from bench.records.run_record import RunRecord
from bench.regression.pair_loop import gate, take
from bench.regression.runs import USERS
from bench.regression.stopping_rule import LOOKS_MAX, Plan, Step, look_needs
from bench.stats.signed_rank import shift, walsh_averages

COMPARISONS = 40
SATURATION = f"users-{USERS}"
SHOWN: dict[Group, str] = {
    "gateway": f"{SATURATION} gateway CPU ratio",
    "service": f"{SATURATION} flink CPU ratio",
}
"""A slowdown of the group adds to this metric."""
RECORDS = f"{SATURATION} kafka_records per request"
UNLIMITED_S = 1e9
"""Comparisons that are drawn, not measured, have this time budget: no end of it."""


class Round(NamedTuple):
    """A round is systems that were started once: variant → cycle → its run."""

    runs: dict[str, dict[int, RunRecord]]

    @property
    def bases(self) -> list[str]:
        return [name for name in self.runs if name.startswith(BASE)]

    def cycles(self, *variants: str) -> list[int]:
        """`cycles` returns those in which all of the variants were measured."""
        return sorted(set.intersection(*(set(self.runs[name]) for name in variants)))


def read_rounds(folder: Path) -> list[Round]:
    """`read_rounds` reads those of one set of systems that are whole:
    <folder>/<round>/<variant>/<run>. It raises `RunFileError`."""
    found = []
    for place in sorted(path.parent for path in folder.glob(f"*/{WHOLE_FILE}")):
        runs = {
            variant.name: {run.seed: run for run in map(read_run, variant.glob("*/run.json"))}
            for variant in sorted(place.iterdir())
            if variant.is_dir()
        }
        found.append(Round({name: of for name, of in runs.items() if of}))
    return found


class Drawn(NamedTuple):
    comparison: Comparison
    pairs: int


def compare_drawn(
    rounds: tuple[Round, Round],
    a: Sequence[str],
    b: str,
    budgets: Budgets,
    spreads: Spreads,
    random: Random,
) -> Drawn:
    """`compare_drawn` makes one comparison of variant `b` with any of `a`, the fresh batch from the
    second round."""
    batch, fresh = (_usable(_draw(found, a, b, random), budgets) for found in rounds)
    drawn: list[Pair] = []

    def measure(step: Step) -> list[Pair]:
        pool = fresh if step.action == "repeat" else batch
        taken = [pool.pop() for _ in range(min(step.pairs, len(pool)))]
        drawn.extend(taken)
        return taken

    try:
        gated = gate(batch[-1], budgets, spreads)
        plan = Plan.of(len(gated.rules), UNLIMITED_S)
        needed = look_needs(len(gated.rules), plan.looks_max)
        plan = plan._replace(first_pairs=needed, more_pairs_max=plan.more_pairs)
        taken = take(gated, plan, budgets, spreads, measure, lambda: float(len(drawn)))
    except UnfitError as cause:
        return Drawn(unfit(cause), 0)
    found = compare_sets(_sides(taken.pairs), _sides(taken.fresh), budgets, LOOKS_MAX, spreads)
    return Drawn(found, len(taken.pairs) + len(taken.fresh))


def _draw(found: Round, a: Sequence[str], b: str, random: Random) -> list[Pair]:
    """All pairs that a round has, in any order; in each cycle any two of `a` are the base and the
    base again."""
    names = [name for name in a if name != b]
    pairs = []
    for cycle in found.cycles(*names, b):
        base, again = random.sample(names, 2)
        runs = (found.runs[name][cycle] for name in (base, b, again))
        pairs.append(Pair(*runs))
    random.shuffle(pairs)
    return pairs


def _sides(pairs: Sequence[Pair]) -> Sides:
    return Sides.of(sorted(pairs, key=lambda pair: pair.started))


class Rates(NamedTuple):
    variant: str
    verdicts: Counter[str]
    pairs: float
    """A comparison has so many pairs, in the median."""
    causes: Counter[str]
    """The causes are metrics that were called a regression or faster."""

    @property
    def comparisons(self) -> int:
        return self.verdicts.total()


def rates(
    rounds: Sequence[Round],
    variant: str,
    count: int,
    budgets: Budgets,
    spreads: Spreads,
    seed: int,
) -> Rates:
    """`rates` tells those of `count` comparisons of a variant with the unchanged system; `BASE`
    with itself.

    It raises `BenchError` where there are too few runs for any.
    """
    random, verdicts, causes, pairs = Random(seed), Counter[str](), Counter[str](), []
    orders = [
        (batch, fresh)
        for batch, fresh in permutations(rounds, 2)
        if _is_enough(batch, variant, budgets, spreads, random)
    ]
    if not orders:
        raise BenchError(f"{variant}: no round has pairs enough that are not void: record more")
    random.shuffle(orders)  # else the first rounds alone would be drawn from
    for place in range(count):
        both = orders[place % len(orders)]
        a, b = _roles(both, variant, random)
        drawn = compare_drawn(both, a, b, budgets, spreads, random)
        verdicts[drawn.comparison.verdict] += 1
        pairs.append(drawn.pairs)
        causes.update(
            metric.name
            for metric in drawn.comparison.metrics
            if metric.verdict in ("regression", "faster") and metric.role != "shown"
        )
    return Rates(variant, verdicts, median(pairs), causes)


def _is_enough(
    found: Round, variant: str, budgets: Budgets, spreads: Spreads, random: Random
) -> bool:
    """Whether it can be a batch."""
    pairs = _draw(found, *_roles((found, found), variant, random), random)
    try:
        metrics = len(gate(pairs[0], budgets, spreads).rules)
    except UnfitError:
        return True  # the comparison says so
    return len(_usable(pairs, budgets)) >= look_needs(metrics, LOOKS_MAX)


def _usable(pairs: list[Pair], budgets: Budgets) -> list[Pair]:
    return usable(pairs, budgets, lost(pairs, budgets))[0]


def _roles(both: tuple[Round, Round], variant: str, random: Random) -> tuple[list[str], str]:
    bases = [name for name in both[0].bases if name in both[1].bases]
    if variant != BASE:
        return bases, variant
    *a, b = random.sample(bases, 3)
    return a, b


def achieved(rounds: Sequence[Round], variant: str, metric: str) -> float | None:
    """`achieved` returns what the variant has more of a metric, 0.1 for 10 %: the estimate from all
    its pairs."""
    ratios = list(_log_ratios(rounds, variant, metric))
    if not ratios:
        return None
    return exp(float(shift(walsh_averages(np.array(ratios))))) - 1


def _log_ratios(rounds: Sequence[Round], variant: str, metric: str) -> Iterator[float]:
    for found in rounds:
        for base in found.bases:
            for cycle in found.cycles(base, variant):
                ours, theirs = (_value(found.runs[of][cycle], metric) for of in (base, variant))
                if ours and theirs:
                    yield log(theirs / ours)


def _value(run: RunRecord, metric: str) -> float | None:
    for found, reading in readings(run).items():
        if found.name == metric:
            return reading.value
    return None


def table(found: Sequence[Rates], texts: Mapping[str, str], shares: Mapping[str, str]) -> str:
    """`table` returns Markdown; a row for each variant."""
    columns = ("regression", "inconclusive", "same", "faster")
    lines = [
        "| system | measured change | comparisons | REGRESSION | INCONCLUSIVE | SAME | FASTER "
        "| other | pairs | changed metrics |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |",
    ]
    for row in found:
        cells = [texts.get(row.variant, row.variant), shares.get(row.variant, "-")]
        cells.append(str(row.comparisons))
        cells += [_share(row.verdicts[name], row.comparisons) for name in columns]
        others = row.comparisons - sum(row.verdicts[name] for name in columns)
        cells += [_share(others, row.comparisons), f"{row.pairs:g}"]
        cells.append(", ".join(f"{name} ({n})" for name, n in row.causes.most_common(3)) or "-")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _share(count: int, of: int) -> str:
    return f"{100 * count / of:.3g} %"


class Verdicts(NamedTuple):
    """The verdicts are how the comparisons ended, a row for each variant."""

    rates: list[Rates]
    texts: dict[str, str]
    """`texts` says what slows a variant down."""
    shares: dict[str, str]
    """`shares` says how much a variant really was slower, by its own metrics."""

    def __str__(self) -> str:
        """The verdicts as text are Markdown."""
        return table(self.rates, self.texts, self.shares)

    def to_json(self) -> list[dict[str, object]]:
        return [
            {
                "system": row.variant,
                "slowdown": self.texts.get(row.variant),
                "measured_change": self.shares.get(row.variant),
                "comparisons": row.comparisons,
                "verdicts": dict(row.verdicts),
                "pairs": row.pairs,
                "changed_metrics": dict(row.causes),
            }
            for row in self.rates
        ]


def resample(
    folder: Path,
    comparisons: int,
    budgets: Budgets,
    spreads: Spreads,
    seed: int,
    tell: Callable[[str], object],
) -> Verdicts:
    """`resample` draws so many comparisons of each variant that was recorded. It raises
    `BenchError`."""
    found = Verdicts([], {}, {})
    for name, up in SETS.items():
        recorded = folder / name
        rounds = read_rounds(recorded) if recorded.is_dir() else []
        if len(rounds) < 2:
            tell(f"{recorded} has {len(rounds)} rounds; a fresh batch needs a second one")
            continue
        for variant in [BASE, *up.slowdowns] if up.bases > 2 else up.slowdowns:
            row = rates(rounds, variant, comparisons, budgets, spreads, seed)
            if variant == BASE:
                where = "on one Kafka and Flink" if up.is_shared else "a whole stack each"
                row = row._replace(variant=f"unchanged, {where}")
            else:
                found.texts[variant] = SLOWDOWNS[variant].text
                found.shares[variant] = _measured(rounds, variant)
            found.rates.append(row)
    if not found.rates:
        raise BenchError(f"{folder} has no two rounds of any set: record them first")
    return found


def _measured(rounds: Sequence[Round], variant: str) -> str:
    """What the slowdown really added, by its own metric."""
    parts = []
    for metric in (SHOWN[SLOWDOWNS[variant].group], RECORDS):
        share = achieved(rounds, variant, metric)
        if share is not None:
            parts.append(f"{metric.removeprefix(f'{SATURATION} ')} {share:+.1%}")
    return ", ".join(parts)
