"""HdrHistograms of samples are .hlog files: a histogram for each operation, second and outcome.

The format is that of the HdrHistogram library's log (version 1.3), which its own tools and many
viewers read. An interval's tag is "operation/outcome". Values are ns, exact to 3 digits.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from hdrh.histogram import HdrHistogram
from numpy.typing import NDArray

from bench.records.samples import Samples

LATENCY_NS_MIN = 1_000
"""A HdrHistogram begins here; shorter latencies are clamped, and counted."""
LATENCY_NS_MAX = 600_000_000_000
"""A HdrHistogram ends here; longer latencies are clamped, and counted."""
DIGITS = 3
INTERVAL_NS = 1_000_000_000
"""A .hlog file has one histogram each second."""
_SUB_BUCKETS = 2048
"""Of 3 digits: the smallest power of two that tells 2,000 values apart."""


class Clamped(NamedTuple):
    below: int
    above: int


def new_histogram() -> HdrHistogram:
    return HdrHistogram(1, LATENCY_NS_MAX, DIGITS)


def buckets(values_ns: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`buckets` returns the lowest value of each bucket that is used, ascending, and how many
    values it holds."""
    bits = np.frexp(values_ns.astype(np.float64))[1].astype(np.int64)
    shift = np.maximum(bits - (_SUB_BUCKETS.bit_length() - 1), 0)
    found, counts = np.unique(values_ns >> shift << shift, return_counts=True)
    return found, counts


def fill(histogram: HdrHistogram, values_ns: NDArray[np.int64]) -> Clamped:
    """`fill` adds the values; to add up a bucket at a time is far cheaper than value by value."""
    clamped = Clamped(
        int((values_ns < LATENCY_NS_MIN).sum()), int((values_ns > LATENCY_NS_MAX).sum())
    )
    for value, count in zip(
        *map(np.ndarray.tolist, buckets(np.clip(values_ns, LATENCY_NS_MIN, LATENCY_NS_MAX))),
        strict=True,
    ):
        histogram.record_value(value, count)
    return clamped


class Interval(NamedTuple):
    tag: str
    begin_ns: int
    end_ns: int
    histogram: HdrHistogram


def intervals(
    samples: Samples, latency_ns: NDArray[np.int64]
) -> Iterator[tuple[Interval, Clamped]]:
    """`intervals` yields histograms by second of their end, then by operation and outcome; seconds
    without samples have none."""
    if not len(samples):
        return
    begin_ns = int(samples.done_ns.min())
    second = (samples.done_ns - begin_ns) // INTERVAL_NS
    group = (second << 32) | (samples.operation << 16) | samples.outcome
    order = np.argsort(group, kind="stable")
    edges = np.flatnonzero(np.diff(group[order])) + 1
    for members in np.split(order, edges):
        first = members[0]
        operation = samples.operations[samples.operation[first]]
        outcome = samples.outcomes[samples.outcome[first]]
        opened_ns = begin_ns + int(second[first]) * INTERVAL_NS
        histogram = new_histogram()
        clamped = fill(histogram, latency_ns[members])
        tag = f"{operation}/{outcome}".replace(" ", "_").replace(",", "_")
        yield Interval(tag, opened_ns, opened_ns + INTERVAL_NS, histogram), clamped


def write_log(
    path: Path, samples: Samples, latency_ns: NDArray[np.int64], wall_offset_ns: int
) -> Clamped:
    """`write_log` writes the lines; `wall_offset_ns` is what the wall clock is ahead of the
    samples' clock.

    The lines are written here: hdrhistogram 0.10.8's own writer leaves tags out.
    """
    below = above = 0
    with path.open("x") as file:
        file.write("#[Histogram log format version 1.3]\n#latencies in ns, maxima in ms\n")
        if len(samples):
            begin_s = (int(samples.done_ns.min()) + wall_offset_ns) / 1e9
            file.write(f"#[StartTime: {begin_s:.3f} (seconds since epoch)]\n")
        file.write(
            '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
        )
        for interval, clamped in intervals(samples, latency_ns):
            opened_s = (interval.begin_ns + wall_offset_ns) / 1e9
            length_s = (interval.end_ns - interval.begin_ns) / 1e9
            max_ms = interval.histogram.get_max_value() / 1e6
            payload = interval.histogram.encode().decode()
            file.write(f"Tag={interval.tag},{opened_s:.3f},{length_s:.3f},{max_ms:.3f},{payload}\n")
            below, above = below + clamped.below, above + clamped.above
    return Clamped(below, above)
