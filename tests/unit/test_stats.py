"""Figures of hand-made histories."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.history import Row
from bench.stats import Window, percentile, summarize

MS = 1_000_000


def row(done_ms: int, latency_ms: int, status: int = 200, code: str | None = None) -> Row:
    body = {"error": {"code": code}} if code else {}
    sent_ns = (done_ms - latency_ms) * MS
    return Row("find_user", "/users/find/u", None, sent_ns, done_ms * MS, status, body)


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (50, 5), (90, 9), (99, 10), (100, 10)])
def test_the_nearest_rank_of_ten(percent: float, expected: int) -> None:
    assert percentile(range(1, 11), percent) == expected


@given(
    st.lists(st.integers(0, 1000), min_size=1).map(sorted),
    st.floats(min_value=0, max_value=100, allow_nan=False),
)
def test_a_percentile_is_a_sample_that_enough_are_not_above(
    samples: list[int], percent: float
) -> None:
    found = percentile(samples, percent)
    assert found in samples
    assert sum(sample <= found for sample in samples) >= len(samples) * percent / 100 - 1e-9


def test_only_answers_are_samples_of_latency() -> None:
    history = [
        row(1100, 10),
        row(1200, 20, 409, "out_of_stock"),
        row(1300, 5000, 504, "timeout"),
        row(1400, 1, 503, "overloaded"),
        row(1500, 1, 0, "connection"),
    ]
    total, operations = summarize(history, Window(1000 * MS, 2000 * MS))
    assert total.latency_ms == (10, 20, 20, 20)
    assert (total.requests, total.answered, total.throughput_per_s) == (5, 2, 2)
    assert total.refused == {"409 out_of_stock": 1}
    assert total.failed == {"504 timeout": 1, "503 overloaded": 1, "connection": 1}
    assert operations == {"find_user": total}


def test_a_window_holds_what_ended_in_it() -> None:
    history = [row(999, 10), row(1000, 30), row(1999, 40), row(2000, 50)]
    total, _ = summarize(history, Window(1000 * MS, 2000 * MS))
    assert total.latency_ms == (30, 40, 40, 40)


def test_nothing_answered_has_no_latency() -> None:
    total, _ = summarize([row(1500, 5, 504, "timeout")], Window(1000 * MS, 2000 * MS))
    assert total.latency_ms is None
    assert total.throughput_per_s == 0
