"""Paired differences have a shift, its exact confidence interval, and its p-value.

The Hodges-Lehmann estimate is the median of the Walsh averages (d_i + d_j) / 2, i <= j. Interval
and test come from the exact distribution of Wilcoxon's signed-rank statistic T, so they hold for
any number of pairs, and for any noise that is independent from pair to pair and symmetric about
the shift, however heavy its tails are. Ties and zeros make the interval longer, never shorter.

Hodges and Lehmann, "Estimates of location based on rank tests", Ann. Math. Stat. 34 (1963);
Hollander, Wolfe and Chicken, "Nonparametric Statistical Methods", 3rd ed. (2014), 3.1 to 3.3.
"""

from functools import cache
from math import ceil, isqrt, log2

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

SLACK = 1e-9
"""Probabilities that are compared may differ by this: rounding must not decide."""


@cache
def distribution(pairs: int) -> Floats:
    """`distribution` returns P(T <= t) without a shift, for t from 0 to pairs * (pairs + 1) / 2.

    Each rank is in the sum T or is not, with equal chances.
    """
    chances = np.ones(1)
    for rank in range(1, pairs + 1):
        chances = (np.pad(chances, (0, rank)) + np.pad(chances, (rank, 0))) / 2
    return np.cumsum(chances)


def pairs_needed(level: float) -> int:
    """`pairs_needed` returns the fewest pairs that have an interval of this level: n pairs reach 1
    - 2 / 2**n."""
    return ceil(1 - log2((1 - level) * (1 + SLACK)))


def walsh_averages(differences: ArrayLike) -> Floats:
    """`walsh_averages` makes of shape (..., pairs) one of (..., pairs * (pairs + 1) / 2),
    ascending."""
    values = np.asarray(differences, dtype=np.float64)
    first, second = np.triu_indices(values.shape[-1])
    return np.sort((values[..., first] + values[..., second]) / 2, axis=-1)


def shift(walsh: Floats) -> Floats:
    """`shift` returns the Hodges-Lehmann estimate; shape (...)."""
    return np.asarray(np.median(walsh, axis=-1))


def interval(walsh: Floats, level: float) -> tuple[Floats, Floats]:
    """`interval` returns both ends, shape (...); infinite where there are too few pairs for the
    level."""
    outside = _outside(_pairs(walsh), level)
    if outside == 0:
        infinite = np.full(walsh.shape[:-1], np.inf)
        return -infinite, infinite
    return walsh[..., outside - 1], walsh[..., -outside]


def p_value(walsh: Floats) -> Floats:
    """`p_value` is two-sided, of no shift; shape (...). It is at most 1 - level where the interval
    excludes 0.

    T is the number of Walsh averages above zero (Tukey, 1949). Those that are zero count against.
    """
    nearest = np.minimum((walsh <= 0).sum(axis=-1), (walsh >= 0).sum(axis=-1))
    doubled: Floats = 2 * distribution(_pairs(walsh))[nearest]
    return np.minimum(1.0, doubled)


def _outside(pairs: int, level: float) -> int:
    """How many Walsh averages lie beyond or on each end of the interval."""
    tail = (1 - level) / 2 * (1 + SLACK)
    return int(np.searchsorted(distribution(pairs), tail, side="right"))


def _pairs(walsh: Floats) -> int:
    return (isqrt(1 + 8 * walsh.shape[-1]) - 1) // 2
