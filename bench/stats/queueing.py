"""A queue explains how latency grows with the rate: M/G/k, by the approximations of the field.

Requests come at random (Poisson), `servers` work side by side, and a request's service time has a
squared coefficient of variation `cv2`. Whether a request waits is Erlang's C formula; how long
those wait that do is taken as exponential, with the mean of Allen and Cunneen (A. O. Allen,
"Probability, Statistics, and Queueing Theory", 1990, section 5.3). Both are exact for M/M/k, and
the mean for M/G/1 too (Pollaczek and Khinchine). What else a request takes, its own service
included, is a base that does not depend on the rate, and is taken as lognormal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, least_squares
from scipy.special import ndtri

CV2_MAX = 50.0
"""A fit looks for a variation of service times up to this: no mix of requests has more."""
UTILISATION_MAX = 0.999
"""A queue is only spoken of below this utilisation: at 1 it never ends."""
RATES_MIN = 4
"""A fit of four unknowns needs at least so many rates."""
_BASE_POINTS = 999
_STARTS = (0.02, 0.1, 0.5, 2.0)
"""A fit begins with a capacity so much above the highest rate, and keeps the best of its ends."""


class Observation(NamedTuple):
    """These latencies were measured at a rate."""

    rate_per_s: float
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Queue:
    """A queue has this many servers, which serve `capacity_per_s` together."""

    capacity_per_s: float
    servers: int
    cv2: float
    base_p50_ms: float
    base_p99_ms: float

    def dearer(self, times: float) -> "Queue":
        """`dearer` returns the queue of requests that each take so many times as long."""
        return Queue(
            self.capacity_per_s / times,
            self.servers,
            self.cv2,
            self.base_p50_ms * times,
            self.base_p99_ms * times,
        )

    def utilisation(self, rate_per_s: float) -> float:
        return rate_per_s / self.capacity_per_s

    def wait_share(self, rate_per_s: float) -> float:
        """`wait_share` returns which share of the requests waits at all: Erlang's C."""
        load = self.servers * self.utilisation(rate_per_s)
        blocked = 1.0  # Erlang's B by its recursion, which never overflows
        for server in range(1, self.servers + 1):
            blocked = load * blocked / (server + load * blocked)
        return blocked / (1 - self.utilisation(rate_per_s) * (1 - blocked))

    def longer_wait_ms(self, rate_per_s: float) -> float:
        """`longer_wait_ms` returns the mean wait of those that wait."""
        return 1e3 * (1 + self.cv2) / 2 / (self.capacity_per_s - rate_per_s)

    def latency_ms(self, rate_per_s: float, quantile: float) -> float:
        """`latency_ms` returns a quantile of base and wait together; infinite where the queue never
        ends."""
        if self.utilisation(rate_per_s) > UTILISATION_MAX:
            return float("inf")
        share, mean_ms = self.wait_share(rate_per_s), self.longer_wait_ms(rate_per_s)
        base_ms = self._base_ms
        # ln of the sum of exp(base / mean) up to each point: what waits longer is then one exp.
        sums = np.logaddexp.accumulate(base_ms / mean_ms)

        def above(latency_ms: float) -> float:
            passed = int(base_ms.searchsorted(latency_ms, side="right"))
            waits = share * exp(sums[passed - 1] - latency_ms / mean_ms) if passed else 0.0
            return (_BASE_POINTS - passed + waits) / _BASE_POINTS - (1 - quantile)

        longest_ms = float(base_ms[-1]) + mean_ms * float(np.log(1 / (1 - quantile)))
        return float(brentq(above, 0.0, longest_ms, rtol=1e-6))

    def rate_for(self, p99_ms: float) -> float:
        """`rate_for` returns the highest rate at which the p99 is at most this; 0 where none is."""
        low, high = self.capacity_per_s * 1e-6, self.capacity_per_s * UTILISATION_MAX
        if self.latency_ms(low, 0.99) > p99_ms:
            return 0.0
        if self.latency_ms(high, 0.99) <= p99_ms:
            return high
        return float(brentq(lambda rate: self.latency_ms(rate, 0.99) - p99_ms, low, high))

    @cached_property
    def _base_ms(self) -> NDArray[np.float64]:
        """Points of the base that are equally likely, ascending."""
        spread = np.log(self.base_p99_ms / self.base_p50_ms) / ndtri(0.99)
        at = (np.arange(_BASE_POINTS) + 0.5) / _BASE_POINTS
        points: NDArray[np.float64] = self.base_p50_ms * np.exp(spread * ndtri(at))
        return points


def fit(observed: Sequence[Observation], servers: int = 1) -> Queue:
    """`fit` returns the queue that explains the latencies best, by the ratios of what it predicts
    to them. It raises `ValueError` for fewer than `RATES_MIN` rates."""
    count = len({each.rate_per_s for each in observed})
    if count < RATES_MIN:
        raise ValueError(f"{count} rates, at least {RATES_MIN} are needed for a fit")
    fastest = max(each.rate_per_s for each in observed)
    least = min(observed, key=lambda each: each.rate_per_s)

    def queue(unknowns: Sequence[float]) -> Queue:
        spare, cv2, p50, tail = unknowns
        base_ms = float(np.exp(p50))
        capacity = fastest * (1 + float(np.exp(spare))) / UTILISATION_MAX
        return Queue(capacity, servers, float(cv2), base_ms, base_ms * (1 + float(np.exp(tail))))

    def misses(unknowns: Sequence[float]) -> list[float]:
        found = queue(unknowns)
        return [
            float(np.log(found.latency_ms(each.rate_per_s, quantile) / measured_ms))
            for each in observed
            for quantile, measured_ms in ((0.50, each.p50_ms), (0.99, each.p99_ms))
        ]

    tail = max(least.p99_ms / least.p50_ms - 1, 0.01)
    first = [1.0, float(np.log(least.p50_ms)), float(np.log(tail))]
    bounds = ([-12, 0, -12, -12], [5, CV2_MAX, 14, 8])
    tried = [
        least_squares(misses, [float(np.log(spare)), *first], bounds=bounds, loss="soft_l1")
        for spare in _STARTS
    ]
    return queue(min(tried, key=lambda each: each.cost).x)


class Held(NamedTuple):
    """A queue was fitted on one half of what was measured, and held against the other."""

    queue: Queue
    """The queue is fitted on all of it."""
    half: Queue
    p50_errors: tuple[float, ...]
    """The predicted p50 of each rate of the other half is off by these shares."""
    p99_errors: tuple[float, ...]
    """So is its predicted p99."""
    capacity_error: float
    """The capacity that the first half tells is off by this share from what both tell."""

    @property
    def p50_error(self) -> float:
        """The error is that of the prediction that is furthest off, see `factor_of`."""
        return max(map(factor_of, self.p50_errors)) - 1

    @property
    def p99_error(self) -> float:
        return max(map(factor_of, self.p99_errors)) - 1


def factor_of(error: float) -> float:
    """`factor_of` returns by how much a prediction is off that is by this share too high, or too
    low: of -0.7, as 6 ms are in place of 20, by 3.3 times, and not by 1.7."""
    return max(1 + error, 1 / (1 + error))


def hold_against(observed: Sequence[Observation], servers: int = 1) -> Held:
    """`hold_against` fits every second rate, and predicts those between. It raises `ValueError`
    where there are too few for that."""
    # The highest rate is in the half that is fitted: no model tells beyond what it has seen.
    ordered = sorted(observed, key=lambda each: -each.rate_per_s)
    half, whole = fit(ordered[::2], servers), fit(ordered, servers)
    others = ordered[1::2]
    return Held(
        whole,
        half,
        tuple(half.latency_ms(each.rate_per_s, 0.50) / each.p50_ms - 1 for each in others),
        tuple(half.latency_ms(each.rate_per_s, 0.99) / each.p99_ms - 1 for each in others),
        half.capacity_per_s / whole.capacity_per_s - 1,
    )
