"""These quantiles are of latencies some of which are only known to be longer than the wait was.

A request without an answer is right-censored: its latency is at least as long as it was waited for.
To leave it out would make a system that loses requests look fast.
"""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Quantile(NamedTuple):
    value_ns: int
    at_least: bool
    """The flag says that only a lower bound is known."""


def quantiles(
    known_ns: NDArray[np.int64],
    waited_ns: NDArray[np.int64],
    lost: int,
    percents: Sequence[float],
) -> list[Quantile]:
    """`quantiles` returns nearest-rank quantiles; none where nothing was answered or waited for.

    `known_ns` are latencies, `waited_ns` lower bounds of others, and `lost` counts the requests
    that rank behind all of them. With each bound in place of its latency a quantile is a lower
    bound; it is exact where every bound lies above it, whatever the latencies are.
    """
    ordered = np.sort(np.concatenate([known_ns, waited_ns]))
    if not len(ordered):
        return []
    shortest_wait = int(waited_ns.min()) if len(waited_ns) else None
    total = len(ordered) + lost
    found = []
    for percent in percents:
        rank = max(1, ceil(round(total * percent / 100, 6)))
        value = int(ordered[min(rank, len(ordered)) - 1])
        unknown = shortest_wait is not None and shortest_wait <= value
        found.append(Quantile(value, unknown or rank > len(ordered)))
    return found


def percentile_ms(latencies_ns: Iterable[int], percent: float) -> float:
    """`percentile_ms` returns one by nearest rank, to the microsecond; it needs at least one
    latency."""
    values = np.fromiter(latencies_ns, dtype=np.int64)
    (found,) = quantiles(values, np.zeros(0, np.int64), 0, [percent])
    return round(found.value_ns / 1e6, 3)
