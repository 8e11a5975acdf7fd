"""A system has settled or not: that is judged by what it does, not by how long it has run.

A JVM compiles what it runs often, for a minute or more, and is slower until then. A stretch of time
counts as steady when its thirds agree in median latency and in throughput.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from bench.records.samples import Samples

STRETCH_S = 21
"""So many seconds are looked at while a system warms up. Compiled code comes in slowly: 9 s looked
steady at 667 requests/s, on a stack that reached 1,230 a minute later."""
BLOCKS = 3
LATENCY_RATIO_MAX = 1.15
"""The ratio is largest to smallest median latency of a stretch's thirds; more is not steady."""
RATE_RATIO_MAX = 1.10
"""The ratio is largest to smallest throughput of a stretch's thirds; more is not steady."""


class Second(NamedTuple):
    """The figures are of one second of load."""

    answered: int
    p50_ms: float
    """The median is 0 where nothing was answered."""


class Steadiness(NamedTuple):
    steady: bool
    why: str


def seconds(samples: Samples, begin_ns: int, end_ns: int) -> list[Second]:
    """`seconds` returns the whole seconds from `begin_ns` on, by when their requests ended."""
    answered = samples.where(samples.of_kind("ok", "refused"))
    index = (answered.done_ns - begin_ns) // 1_000_000_000
    latency_ms = answered.service_ns / 1e6
    found = []
    for second in range(max(0, (end_ns - begin_ns) // 1_000_000_000)):
        own = latency_ms[index == second]
        found.append(Second(len(own), float(np.median(own)) if len(own) else 0.0))
    return found


def judge(stretch: Sequence[Second], *, given_rate: bool) -> Steadiness:
    """`judge` says whether a stretch is steady. `given_rate`: an open loop's throughput is its
    schedule's, and says nothing."""
    size = len(stretch) // BLOCKS
    if size == 0:
        return Steadiness(False, f"{len(stretch)} s are too short to tell")
    blocks = [stretch[place * size : (place + 1) * size] for place in range(BLOCKS)]
    rates = [sum(second.answered for second in block) / size for block in blocks]
    if min(rates) == 0:
        return Steadiness(False, "nothing was answered for some time")
    medians = [float(np.median([second.p50_ms for second in block])) for block in blocks]
    if max(medians) > LATENCY_RATIO_MAX * min(medians):
        course = ", ".join(f"{median:.2f}" for median in medians)
        return Steadiness(False, f"the median latency of its thirds was {course} ms")
    if not given_rate and max(rates) > RATE_RATIO_MAX * min(rates):
        course = ", ".join(f"{rate:.0f}" for rate in rates)
        return Steadiness(False, f"the throughput of its thirds was {course} requests/s")
    return Steadiness(True, f"its thirds agree: {medians[-1]:.2f} ms, {rates[-1]:.0f} requests/s")
