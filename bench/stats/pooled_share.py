"""A share of requests on two sides is pooled over all of their runs.

A median over runs hides what a few of them show: 4 of 40 with a tenth of their requests failed have
the median 0. So all requests of a side are counted together. But requests of one run fail together,
and ten thousand of them are not ten thousand witnesses: counts are divided by how much more the
runs scatter than independent requests would (quasi-likelihood; McCullagh and Nelder, "Generalized
Linear Models", 2nd ed. 1989, 4.5). What is left is tested exactly (Fisher); its interval is made
of exact ones of each side (Clopper and Pearson, 1934; Newcombe, Stat. Med. 17, 1998, method 10).
"""

from collections.abc import Sequence
from math import floor, sqrt
from typing import NamedTuple

import numpy as np
from scipy.stats import beta, fisher_exact


class Count(NamedTuple):
    """A count says how many of the requests of one run ended in some way."""

    hits: int
    requests: int


class PooledShare(NamedTuple):
    a: float
    b: float
    """These are the shares of all requests of a side."""
    low: float
    high: float
    """These are the ends of the interval of b - a."""
    p_value: float
    dispersion: float
    """Runs scatter so many times more than independent requests would; 1 at least."""

    @property
    def change(self) -> float:
        return self.b - self.a


def pooled(a: Sequence[Count], b: Sequence[Count], alpha: float) -> PooledShare | None:
    """`pooled` compares two sides; None where one of them asked nothing."""
    sums = [Count(sum(c.hits for c in s), sum(c.requests for c in s)) for s in (a, b)]
    if not all(each.requests for each in sums):
        return None
    shares = [each.hits / each.requests for each in sums]
    spread = max(dispersion(a), dispersion(b))
    effective = [Count(floor(c.hits / spread), floor(c.requests / spread)) for c in sums]
    table = [[each.hits, each.requests - each.hits] for each in effective]
    p_value = float(fisher_exact(table).pvalue)
    (a_low, a_high), (b_low, b_high) = (
        _exact(share * sums[side].requests / spread, sums[side].requests / spread, alpha)
        for side, share in enumerate(shares)
    )
    a_share, b_share = shares
    change = b_share - a_share
    low = change - sqrt((b_share - b_low) ** 2 + (a_high - a_share) ** 2)
    high = change + sqrt((b_high - b_share) ** 2 + (a_share - a_low) ** 2)
    return PooledShare(a_share, b_share, low, high, p_value, spread)


def dispersion(counts: Sequence[Count]) -> float:
    """`dispersion` returns Pearson's statistic over its degrees of freedom, at least 1."""
    hits = np.array([each.hits for each in counts], dtype=float)
    requests = np.array([each.requests for each in counts], dtype=float)
    share = hits.sum() / requests.sum() if requests.sum() else 0.0
    if len(counts) < 2 or not 0 < share < 1:
        return 1.0
    asked = requests > 0
    expected = share * requests[asked]
    squares = (hits[asked] - expected) ** 2 / (expected * (1 - share))
    return max(1.0, float(squares.sum() / max(1, int(asked.sum()) - 1)))


def _exact(hits: float, requests: float, alpha: float) -> tuple[float, float]:
    """Clopper and Pearson's limits, which make sense of parts of a request as well."""
    misses = requests - hits
    low = beta.ppf(alpha / 2, hits, misses + 1) if hits > 0 else 0.0
    high = beta.ppf(1 - alpha / 2, hits + 1, misses) if misses > 0 else 1.0
    return float(low), float(high)
