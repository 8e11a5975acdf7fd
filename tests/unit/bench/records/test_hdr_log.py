"""HdrHistograms: against the library's own recording, and read back by its reader."""

from pathlib import Path

import numpy as np
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from bench.records.hdr_log import (
    LATENCY_NS_MAX,
    LATENCY_NS_MIN,
    Clamped,
    fill,
    new_histogram,
    write_log,
)
from bench.records.samples import Writer, read

SECOND_NS = 1_000_000_000


def percentiles(histogram: HdrHistogram) -> dict[float, int]:
    return histogram.get_percentile_to_value_dict([50, 90, 99, 100])


@given(st.lists(st.integers(LATENCY_NS_MIN, LATENCY_NS_MAX), max_size=50))
def test_a_bucket_at_a_time_is_the_same_as_value_by_value(values: list[int]) -> None:
    ours, theirs = new_histogram(), new_histogram()
    assert fill(ours, np.array(values, dtype=np.int64)) == Clamped(0, 0)
    for value in values:
        theirs.record_value(value)
    assert ours.get_total_count() == len(values)
    assert percentiles(ours) == percentiles(theirs)


@given(st.integers(LATENCY_NS_MIN, LATENCY_NS_MAX))
def test_a_value_is_exact_to_three_digits(value: int) -> None:
    histogram = new_histogram()
    fill(histogram, np.array([value]))
    assert abs(histogram.get_value_at_percentile(50) - value) <= value / 1000


def test_values_out_of_range_are_clamped_and_counted() -> None:
    histogram = new_histogram()
    values = [LATENCY_NS_MIN - 1, LATENCY_NS_MIN, LATENCY_NS_MAX, LATENCY_NS_MAX + 1, 10**15]
    assert fill(histogram, np.array(values)) == Clamped(below=1, above=2)
    assert histogram.get_total_count() == 5


def test_the_log_is_what_other_tools_read(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "s.bin")
    for second, operation, outcome, latency_ns in [
        (10, "find user", "200", 5_000_000),
        (10, "find user", "409 sold, out", 6_000_000),
        (10, "find user", "200", 7_000_000),
        (12, "checkout", "200", 8_000_000),
    ]:
        done_ns = second * SECOND_NS
        label = writer.label(operation, outcome)
        writer.add((label, done_ns - latency_ns, done_ns, done_ns))
    writer.close()
    samples = read([tmp_path / "s.bin"])
    path = tmp_path / "s.hlog"
    assert write_log(path, samples, samples.response_ns, wall_offset_ns=SECOND_NS) == (0, 0)
    reader = HistogramLogReader(str(path), HdrHistogram(1, LATENCY_NS_MAX, 3))
    found = []
    while (histogram := reader.get_next_interval_histogram()) is not None:
        maximum_ms = round(histogram.get_max_value() / 1e6, 1)
        start_s = histogram.get_start_time_stamp() / 1000
        found.append((start_s, histogram.get_tag(), histogram.get_total_count(), maximum_ms))
    reader.input_file.close()
    assert found == [
        (11, "find_user/200", 2, 7.0),
        (11, "find_user/409_sold__out", 1, 6.0),
        (13, "checkout/200", 1, 8.0),
    ]
