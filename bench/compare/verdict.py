"""A verdict is slower, faster, the same, or can't tell: one on each metric, and one on all.

A metric's differences are of pairs of runs, and positive where the change made it worse. Intervals
are drawn at the levels at which Holm's procedure tests them ("A simple sequentially rejective
multiple test procedure", Scand. J. Stat. 6, 1979): so with probability 1 - alpha no interval of an
unchanged metric excludes zero, whatever the other metrics do and however they depend on each other.
They do not all contain their true values at once with that probability: each does at its own level.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from bench.compare.metric import Rule
from bench.stats.signed_rank import SLACK, interval, p_value, pairs_needed, shift, walsh_averages

ALPHA = 0.05
"""Any unchanged metric looks changed in one comparison with this chance, before it is repeated."""
FRESH_PAIRS_MIN = 4
"""The batch that must repeat a finding has at least so many pairs."""
NEGLIGIBLE = 0.5
"""A change that is surely there counts as none below this part of a threshold."""

BASE_LEVEL = 0.95
"""The interval of what the base differs by from itself has this level, for each metric by itself:
it may rather stop a finding than let it pass."""

MetricVerdict = Literal["regression", "faster", "same", "inconclusive"]
Why = Literal[
    "repeated",
    "not repeated",
    "no fresh batch",
    "too few pairs",
    "too wide",
    "below the threshold",
    "within the threshold",
    "not interleaved",
    "base moved",
    "base unknown",
]


class Finding(NamedTuple):
    verdict: MetricVerdict
    why: Why
    pairs: int
    estimate: float
    low: float
    high: float
    level: float
    p_value: float
    """The p-value is of this metric alone, not adjusted."""
    fresh: float | None
    """The fresh change is the estimate of the fresh batch, where there was one."""

    @property
    def is_worse(self) -> bool:
        """`is_worse` says that it surely got worse, whether beyond the threshold or not."""
        return self.low > 0 and self.verdict != "same"

    @property
    def is_unrefuted(self) -> bool:
        """`is_unrefuted` says that it surely got worse beyond the threshold, and that there was no
        fresh batch, no base beside it, or no turn between the sides to deny that."""
        return self.is_worse and self.why in ("no fresh batch", "base unknown", "not interleaved")

    @property
    def is_suspect(self) -> bool:
        """A suspect is what a fresh batch would settle."""
        return self.why == "no fresh batch"


BaseState = Literal["same", "moved", "beyond", "unknown"]
"""The base is the same as itself where the interval includes zero; it moved where not, and lies
beyond where all of the interval is beyond the threshold. With too few pairs that is unknown."""


class BaseNoise(NamedTuple):
    """The noise is what the base differs by from itself: no change at all."""

    state: BaseState
    pairs: int
    estimate: float
    low: float
    high: float

    @property
    def room(self) -> float:
        """The room is what a change must be larger by: of a base that lies beyond the threshold
        all that it may have moved by."""
        if self.state == "beyond":
            return max(abs(self.low), abs(self.high))
        return abs(self.estimate) if self.state == "moved" else 0.0


def held_back(pairs: int, gated: int, alpha: float) -> int:
    """`held_back` returns how many of recorded pairs are kept to repeat what the others show."""
    spare = pairs - pairs_needed(1 - alpha / max(1, gated))
    held = min(spare, max(FRESH_PAIRS_MIN, pairs // 3))
    return held if held >= FRESH_PAIRS_MIN else 0


def base_noise(differences: Sequence[float], rule: Rule) -> BaseNoise | None:
    """`base_noise` judges pairs of the base with itself; None where there is none."""
    if not differences:
        return None
    walsh = walsh_averages(differences)
    low, high = map(float, interval(walsh, BASE_LEVEL))
    state: BaseState = "same" if low <= 0 <= high else "moved"
    if low > rule.threshold or high < -rule.threshold:
        state = "beyond"
    if len(differences) < pairs_needed(BASE_LEVEL):
        state = "unknown"
    return BaseNoise(state, len(differences), float(shift(walsh)), low, high)


def beside_base(found: Finding, noise: BaseNoise | None, rule: Rule) -> Finding:
    """`beside_base` returns what can be said beside the noise: what the base shows of itself is no
    change of B's, and where that is unknown nothing is called a change."""
    if found.verdict == "inconclusive":
        return found
    doubtful = found._replace(verdict="inconclusive", why="base moved")
    if found.verdict == "same":
        return doubtful if noise is not None and noise.state == "beyond" else found
    if noise is None or noise.state == "unknown":
        return doubtful._replace(why="base unknown")
    surely = min(abs(found.estimate), abs(found.fresh or 0.0))
    return found if surely - noise.room > rule.alarm else doubtful


def holm_levels(p_values: Sequence[float], alpha: float) -> list[float]:
    """`holm_levels` returns at which level each metric's interval is drawn; it excludes zero where
    Holm rejects."""
    levels, left = [0.0] * len(p_values), len(p_values)
    for place in np.argsort(p_values, kind="stable"):
        levels[place] = 1 - alpha / left
        if p_values[place] <= alpha / left * (1 + SLACK):
            left -= 1
    return levels


def judge(
    batch: Mapping[str, Sequence[float]],
    rules: Mapping[str, Rule],
    fresh: Mapping[str, Sequence[float]] | None = None,
    alpha: float = ALPHA,
) -> dict[str, Finding]:
    """`judge` returns a finding for each metric of the batch, which has at least one pair of each.

    `fresh` is a second batch, measured after the first and independent of it.
    """
    walsh = {name: walsh_averages(differences) for name, differences in batch.items()}
    p_values = {name: float(p_value(averages)) for name, averages in walsh.items()}
    levels = dict(zip(batch, holm_levels(list(p_values.values()), alpha), strict=True))
    findings = {}
    for name, averages in walsh.items():
        low, high = interval(averages, levels[name])
        finding = Finding(
            *("inconclusive", "too wide"),
            pairs=len(batch[name]),
            estimate=float(shift(averages)),
            low=float(low),
            high=float(high),
            level=levels[name],
            p_value=p_values[name],
            fresh=_fresh_estimate(fresh, name),
        )
        verdict, why = _settle(finding, rules[name])
        findings[name] = finding._replace(verdict=verdict, why=why)
    return findings


def _fresh_estimate(fresh: Mapping[str, Sequence[float]] | None, name: str) -> float | None:
    differences = fresh.get(name, ()) if fresh else ()
    if len(differences) < FRESH_PAIRS_MIN:
        return None
    return float(shift(walsh_averages(differences)))


def _settle(found: Finding, rule: Rule) -> tuple[MetricVerdict, Why]:
    if found.pairs < pairs_needed(found.level):
        return "inconclusive", "too few pairs"
    furthest = max(abs(found.low), abs(found.high))
    if found.low <= 0 <= found.high:
        if furthest <= rule.same:
            return "same", "within the threshold"
        return "inconclusive", "too wide"
    if abs(found.estimate) <= rule.alarm:
        if furthest <= rule.same * NEGLIGIBLE:
            return "same", "within the threshold"
        return "inconclusive", "below the threshold"
    if found.fresh is None:
        return "inconclusive", "no fresh batch"
    if found.fresh * np.sign(found.estimate) <= rule.alarm:
        return "inconclusive", "not repeated"
    return ("regression" if found.estimate > 0 else "faster"), "repeated"


def without_interleaving(found: Finding) -> Finding:
    """`without_interleaving` returns what can be said when one side was measured after the other: a
    drift looks like a change."""
    settled = ("too few pairs", "below the threshold", "not repeated")
    if found.verdict == "same" or found.why in settled:
        return found
    return found._replace(verdict="inconclusive", why="not interleaved")


def overall(findings: Mapping[str, Finding], deciding: Collection[str]) -> MetricVerdict:
    """`overall` calls it a regression where one metric is. Else all that decide must be settled,
    and no alarm may be unrefuted; one faster is enough, unless another surely got worse."""
    verdicts = {found.verdict for found in findings.values()}
    if "regression" in verdicts:
        return "regression"
    if not findings or any(findings[name].verdict == "inconclusive" for name in deciding):
        return "inconclusive"
    if any(found.is_unrefuted for found in findings.values()):
        return "inconclusive"
    if "faster" not in verdicts:
        return "same"
    return "inconclusive" if any(found.is_worse for found in findings.values()) else "faster"


def aa_spread_of(estimates: Sequence[float]) -> float:
    """`aa_spread_of` returns the spread about zero of the estimates of comparisons of a commit with
    itself.

    1.4826 times the median of their sizes: a normal distribution's standard deviation, which a few
    wild ones do not move.
    """
    return 1.4826 * float(np.median(np.abs(estimates)))
