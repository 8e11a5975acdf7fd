"""The samples of a phase are reduced to what can be drawn: at most `POINTS_MAX` points a curve.

A request belongs to the interval in which it was due, so that a stall shows in all that it delayed;
throughput counts the answers that came in an interval.
"""

from collections.abc import Iterator, Sequence
from math import ceil
from typing import NamedTuple

import numpy as np

from bench.records.samples import Ints, Samples, Window
from bench.stats.quantiles import Quantile, quantiles

POINTS_MAX = 600
"""A curve has at most this many points: one each second of the longest phase, and more than a page
is wide in dots."""
INTERVAL_PERCENTS = (50.0, 99.0, 100.0)


class Percentiles(NamedTuple):
    """The curve is latency against 1 / (1 - p): 10 is the 90th percentile, 1000 the 99.9th.

    The axis of HdrHistogram's plots (G. Tene), on which the rare requests have as much room as the
    usual ones.
    """

    ratio: list[float]
    latency_ms: list[float]
    exact: int
    """The points from this one on are lower bounds."""


class Timeline(NamedTuple):
    """The timeline has one value for each interval; None where nothing was due in it."""

    interval_s: int
    at_s: list[float]
    """These are the middles of the intervals, from the origin."""
    p50_ms: list[float | None]
    p99_ms: list[float | None]
    max_ms: list[float | None]
    at_least: list[bool]
    """The flag says whether the largest is a lower bound."""
    due_per_s: list[float]
    answered_per_s: list[float]
    errors_per_s: dict[str, list[float]]
    """The errors are counted by outcome; what was not sent is among them."""


class Curves(NamedTuple):
    response: Percentiles | None
    """The percentiles are None where nothing was answered or waited for in the window."""
    service: Percentiles | None
    """The percentiles are None where they are the response time's: a closed loop."""
    timeline: Timeline


class Waits(NamedTuple):
    """The waits are latencies, and how long was waited for those that have none."""

    known_ns: Ints
    waited_ns: Ints
    lost: int = 0
    """So many requests were never sent: they count as longer than all others."""

    def quantiles(self, percents: Sequence[float]) -> list[Quantile]:
        return quantiles(self.known_ns, self.waited_ns, self.lost, percents)


def reduce(samples: Samples, origin_ns: int, window: Window | None) -> Curves | None:
    """`reduce` returns the curves of a phase: None without samples, and no percentiles without a
    window."""
    if not len(samples):
        return None
    response, service = None, None
    if window is not None:
        inside = window.of(samples)
        answered, censored = inside.of_kind("ok", "refused"), inside.of_kind("censored")
        lost = int(inside.of_kind("dropped").sum())
        known_ns, waited_ns = inside.latencies_ns(window.left_by(samples))
        response = _percentiles(Waits(known_ns, waited_ns, lost))
        if window.is_open_loop:
            latency_ns = inside.service_ns
            service = _percentiles(Waits(latency_ns[answered], latency_ns[censored]))
    return Curves(response, service, _timeline(samples, origin_ns))


def _percentiles(waits: Waits) -> Percentiles | None:
    count = len(waits.known_ns) + len(waits.waited_ns)
    if not count:
        return None
    count += waits.lost
    ratio = np.geomspace(1, max(count, 2), min(POINTS_MAX, max(count, 2)))
    percents = [*(100 - 100 / ratio[:-1]), 100.0]
    found = waits.quantiles(percents)
    return Percentiles(
        ratio=np.round(ratio, 4).tolist(),
        latency_ms=[_ms(quantile.value_ns) for quantile in found],
        exact=sum(not quantile.at_least for quantile in found),
    )


def _timeline(samples: Samples, origin_ns: int) -> Timeline:
    begin_s = int((samples.intended_ns.min() - origin_ns) // 10**9)
    end_s = int((samples.done_ns.max() - origin_ns) // 10**9) + 1
    interval_s = max(1, ceil((end_s - begin_s) / POINTS_MAX))
    count = ceil((end_s - begin_s) / interval_s)
    first_ns = origin_ns + begin_s * 10**9

    def intervals(at_ns: Ints) -> Ints:
        return np.clip((at_ns - first_ns) // (interval_s * 10**9), 0, count - 1)

    def per_s(where: Ints) -> list[float]:
        counted = np.bincount(where, minlength=count) / interval_s
        return [float(rate) for rate in counted]

    answered, censored = samples.of_kind("ok", "refused"), samples.of_kind("censored")
    due = intervals(samples.intended_ns)
    latency_ns = samples.response_ns
    lost = np.bincount(due[samples.of_kind("dropped")], minlength=count).tolist()
    found = [
        Waits(*waits).quantiles(INTERVAL_PERCENTS)
        for waits in zip(
            _groups(latency_ns[answered], due[answered], count),
            _groups(latency_ns[censored], due[censored], count),
            lost,
            strict=True,
        )
    ]
    p50_ms, p99_ms, max_ms = (
        [_ms(each[place].value_ns) if each else None for each in found] for place in range(3)
    )
    errors = samples.of_kind("failed", "censored", "dropped")
    return Timeline(
        interval_s=interval_s,
        at_s=[begin_s + interval_s * (index + 0.5) for index in range(count)],
        p50_ms=p50_ms,
        p99_ms=p99_ms,
        max_ms=max_ms,
        at_least=[bool(each) and each[-1].at_least for each in found],
        due_per_s=per_s(due),
        answered_per_s=per_s(intervals(samples.done_ns[answered])),
        errors_per_s={
            samples.outcomes[index]: per_s(due[errors & (samples.outcome == index)])
            for index in np.unique(samples.outcome[errors]).tolist()
        },
    )


def _groups(values: Ints, group: Ints, count: int) -> Iterator[Ints]:
    """The values of each of `count` groups."""
    order = np.argsort(group.astype(np.uint16), kind="stable")  # a radix sort: linear
    ends = np.cumsum(np.bincount(group, minlength=count))[:-1]
    yield from np.split(values[order], ends)


def _ms(value_ns: int) -> float:
    return round(value_ns / 1e6, 3)
