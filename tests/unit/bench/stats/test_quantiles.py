"""Quantiles with censored latencies, against the definition."""

from math import ceil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.run_record import PERCENTS, Latency
from bench.stats.quantiles import Quantile, quantiles
from bench.stats.window import describe

MS = 1_000_000
VALUES = st.lists(st.integers(0, 1000), max_size=30)
PERCENT = st.sampled_from([1.0, 50.0, 90.0, 99.0, 99.9, 100.0])


def ints(values: list[int]) -> "np.ndarray":
    return np.array(values, dtype=np.int64)


@pytest.mark.parametrize(("percent", "expected"), [(1, 1), (50, 5), (90, 9), (99, 10), (100, 10)])
def test_the_nearest_rank_of_ten(percent: float, expected: int) -> None:
    (found,) = quantiles(ints(list(range(1, 11))), ints([]), 0, [percent])
    assert found == Quantile(expected, at_least=False)


def test_a_timeout_is_no_sample_but_is_not_left_out() -> None:
    known, waited = ints([MS] * 98), ints([2000 * MS] * 2)
    p50, p99 = quantiles(known, waited, 0, [50, 99])
    assert p50 == Quantile(MS, at_least=False)
    assert p99 == Quantile(2000 * MS, at_least=True)


def test_a_wait_that_was_cut_short_makes_what_is_above_it_uncertain() -> None:
    (p90,) = quantiles(ints([1, 2, 3, 4, 5, 6, 7, 8, 9]), ints([3]), 0, [90])
    assert p90.at_least


def test_what_was_never_sent_ranks_last() -> None:
    p50, p99 = quantiles(ints([1] * 90), ints([]), 10, [50, 99])
    assert p50 == Quantile(1, at_least=False)
    assert p99.at_least


@given(VALUES, VALUES, st.integers(0, 5), PERCENT, st.data())
def test_a_quantile_is_right_whatever_the_censored_latencies_are(
    known: list[int], waited: list[int], lost: int, percent: float, data: st.DataObject
) -> None:
    found = quantiles(ints(known), ints(waited), lost, [percent])
    if not known and not waited:
        assert found == []
        return
    longer = [wait + data.draw(st.integers(0, 2000)) for wait in waited]
    true = sorted(known + longer) + [10**9] * lost
    rank = max(1, ceil(round(len(true) * percent / 100, 6)))
    if found[0].at_least:
        assert true[rank - 1] >= found[0].value_ns
        assert true[rank - 1] <= (10**9 if found[0].most_ns is None else found[0].most_ns)
    else:
        assert true[rank - 1] == found[0].value_ns


def test_one_request_that_was_cut_off_at_once_moves_no_quantile_but_the_longest() -> None:
    known = ints([round(5 * MS + number * 15 * MS / 6000) for number in range(6000)])
    found = describe(quantiles(known, ints([300_000]), 0, list(PERCENTS.values())))
    assert found is not None
    assert found.at_least == ["max"]
    exact = describe(quantiles(known, ints([]), 0, list(PERCENTS.values())))
    assert exact is not None
    assert found.p99 == pytest.approx(exact.p99, rel=0.01)


def test_where_it_may_matter_a_quantile_is_a_bound() -> None:
    """A fifth was cut off: whether p90 is 1 or 1000 nobody knows."""
    known = ints([MS] * 80 + [1000 * MS] * 10)
    p50, p90 = quantiles(known, ints([MS // 2] * 20), 0, [50, 90])
    assert not p50.is_bound
    assert (p90.is_bound, p90.most_ns) == (True, None)
    (p75,) = quantiles(known, ints([MS // 2] * 20), 0, [75])
    assert (p75.value_ns, p75.most_ns, p75.is_bound) == (MS, 1000 * MS, True)


def test_in_ms_with_the_names_of_lower_bounds() -> None:
    found = quantiles(ints([1_234_567] * 99), ints([5 * MS]), 0, list(PERCENTS.values()))
    assert describe(found) == Latency(1.235, 1.235, 1.235, 5.0, 5.0, at_least=["p99.9", "max"])
    assert describe([]) is None
