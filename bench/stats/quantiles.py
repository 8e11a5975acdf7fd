"""These quantiles are of latencies some of which are only known to be longer than the wait was.

A request without an answer is right-censored: its latency is at least as long as it was waited for.
To leave it out would make a system that loses requests look fast.
"""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ROUGH_SHARE = 0.01
"""A quantile that is known to this share of itself counts as known: one request in thousands that
was cut off at once moves none by more than a rank."""


class Quantile(NamedTuple):
    value_ns: int
    at_least: bool
    """The flag says that only a lower bound is known."""
    most_ns: int | None = None
    """It is this at most, however long those without an answer took; None where it is exact, or may
    be any."""

    @property
    def is_bound(self) -> bool:
        """`is_bound` says that too little is known of it to take it for the quantile."""
        return self.at_least and (
            self.most_ns is None or self.most_ns > self.value_ns * (1 + ROUGH_SHARE)
        )


def quantiles(
    known_ns: NDArray[np.int64],
    waited_ns: NDArray[np.int64],
    lost: int,
    percents: Sequence[float],
) -> list[Quantile]:
    """`quantiles` returns nearest-rank quantiles; none where nothing was answered or waited for.

    `known_ns` are latencies, `waited_ns` lower bounds of others, and `lost` counts the requests
    that rank behind all of them. With each bound in place of its latency a quantile is a lower
    bound; it is exact where every bound lies above it, whatever the latencies are. With all of them
    behind the known ones it is an upper bound.
    """
    known = np.sort(known_ns)
    ordered = np.sort(np.concatenate([known, waited_ns])) if len(waited_ns) else known
    if not len(ordered):
        return []
    shortest_wait = int(waited_ns.min()) if len(waited_ns) else None
    total = len(ordered) + lost
    found = []
    for percent in percents:
        rank = max(1, ceil(round(total * percent / 100, 6)))
        value = int(ordered[min(rank, len(ordered)) - 1])
        unknown = shortest_wait is not None and shortest_wait <= value
        at_least = unknown or rank > len(ordered)
        most = int(known[rank - 1]) if at_least and rank <= len(known) else None
        found.append(Quantile(value, at_least, most))
    return found


def percentile_ms(latencies_ns: Iterable[int], percent: float) -> float:
    """`percentile_ms` returns one by nearest rank, to the microsecond; it needs at least one
    latency."""
    values = np.fromiter(latencies_ns, dtype=np.int64)
    (found,) = quantiles(values, np.zeros(0, np.int64), 0, [percent])
    return round(found.value_ns / 1e6, 3)
