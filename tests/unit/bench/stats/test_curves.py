"""Curves of made-up samples, compared with what counting them one by one gives."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.samples import DROPPED_LATE, TIMEOUT, Samples, Window
from bench.stats.curves import POINTS_MAX, Curves, Percentiles, reduce
from bench.stats.quantiles import quantiles

SECOND_NS = 1_000_000_000
MS_NS = 1_000_000
ORIGIN_NS = 700 * SECOND_NS
OUTCOMES = ["200", "409 out_of_stock", "503 overloaded", TIMEOUT, DROPPED_LATE]

Request = tuple[int, int, int, int]
"""Outcome, and from the origin in ms: when it was due, how late it was sent, how long it took."""

requests = st.lists(
    st.tuples(
        st.integers(0, len(OUTCOMES) - 1),
        st.integers(-5_000, 20_000),
        st.integers(0, 50),
        st.integers(0, 5_000),
    ),
    min_size=1,
    max_size=60,
)


def samples(recorded: list[Request]) -> Samples:
    outcome, due_ms, lag_ms, took_ms = np.array(recorded, dtype=np.int64).T
    intended_ns = ORIGIN_NS + due_ms * MS_NS
    sent_ns = intended_ns + lag_ms * MS_NS
    operation = np.zeros(len(recorded), dtype=np.int64)
    done_ns = sent_ns + took_ms * MS_NS
    return Samples(["find"], OUTCOMES, operation, outcome, intended_ns, sent_ns, done_ns)


def window(length_s: int = 10, is_open_loop: bool = True) -> Window:
    return Window(ORIGIN_NS, ORIGIN_NS + length_s * SECOND_NS, is_open_loop)


def curves(recorded: list[Request], measured: Window | None = None) -> Curves:
    found = reduce(samples(recorded), ORIGIN_NS, measured)
    assert found is not None
    return found


def response(recorded: list[Request], measured: Window) -> Percentiles:
    found = curves(recorded, measured).response
    assert found is not None
    return found


def test_no_samples_have_no_curves() -> None:
    nothing = np.zeros(0, dtype=np.int64)
    empty = Samples([], [], nothing, nothing, nothing, nothing, nothing)
    assert reduce(empty, ORIGIN_NS, window()) is None


@given(requests)
def test_every_request_is_in_one_interval(recorded: list[Request]) -> None:
    timeline = curves(recorded).timeline
    answered = sum(outcome < 2 for outcome, *_ in recorded)
    assert timeline.interval_s == 1
    assert sum(timeline.due_per_s) == len(recorded)
    assert sum(timeline.answered_per_s) == answered
    failed = sum(sum(rates) for rates in timeline.errors_per_s.values())
    assert failed == len(recorded) - answered
    assert {b - a for a, b in pairwise(timeline.at_s)} <= {1.0}


@given(requests)
def test_an_interval_has_the_quantiles_of_what_was_due_in_it(recorded: list[Request]) -> None:
    timeline = curves(recorded).timeline
    for index, middle_s in enumerate(timeline.at_s):
        own = [each for each in recorded if middle_s - 0.5 <= each[1] / 1000 < middle_s + 0.5]
        known = [lag + took for outcome, _, lag, took in own if outcome < 2]
        waited = [lag + took for outcome, _, lag, took in own if outcome == 3]
        lost = sum(outcome == 4 for outcome, *_ in own)
        expected = quantiles(np.array(known, int), np.array(waited, int), lost, (50, 99, 100))
        found = (timeline.p50_ms[index], timeline.p99_ms[index], timeline.max_ms[index])
        if not expected:
            assert found == (None, None, None)
        else:
            assert found == tuple(quantile.value_ns for quantile in expected)
            assert timeline.at_least[index] == expected[-1].at_least


@given(requests)
def test_a_percentile_curve_rises_to_the_longest(recorded: list[Request]) -> None:
    found = curves(recorded, window()).response
    inside = [each for each in recorded if 0 <= each[1] < 10_000]
    timed = [each for each in inside if each[0] in (0, 1, 3)]
    if not timed:
        assert found is None
        return
    assert found is not None
    assert found.latency_ms == sorted(found.latency_ms)
    assert found.latency_ms[-1] == max(lag + took for _, _, lag, took in timed)
    assert found.latency_ms[0] == min(lag + took for _, _, lag, took in timed)
    waits = [lag + took for outcome, _, lag, took in timed if outcome == 3]
    exact = found.latency_ms[: found.exact]
    assert all(latency_ms < wait for latency_ms in exact for wait in waits)


def test_percentiles_stand_where_they_belong() -> None:
    found = response([(0, 0, 0, each) for each in range(1, 1001)], window())
    assert found.latency_ms[0] == 1
    assert found.ratio[-1] == found.latency_ms[-1] == 1000
    for ratio, latency_ms in zip(found.ratio, found.latency_ms, strict=True):
        assert latency_ms == pytest.approx(1000 - 1000 / ratio, abs=1.01)
    assert found.exact == len(found.ratio)


def test_the_end_of_a_curve_is_only_a_lower_bound_where_answers_are_missing() -> None:
    answered = [(0, 0, 0, each) for each in range(1, 91)]
    lost = [(3, 0, 0, 2000)] * 10
    found = response(answered + lost, window())
    assert found.latency_ms[found.exact - 1] <= 90
    assert set(found.latency_ms[found.exact :]) == {2000}
    assert found.ratio[found.exact] == pytest.approx(10, rel=0.05)


def test_what_was_never_sent_is_slower_than_all() -> None:
    found = response([(0, 0, 0, 5)] * 99 + [(4, 0, 0, 0)], window())
    assert found.exact < len(found.ratio)
    assert set(found.latency_ms) == {5}


def test_an_open_loop_has_its_service_time_too() -> None:
    recorded: list[Request] = [(0, 0, 40, 5)] * 3
    found = curves(recorded, window())
    assert found.response is not None
    assert found.service is not None
    assert (found.response.latency_ms[-1], found.service.latency_ms[-1]) == (45, 5)
    assert curves(recorded, window(is_open_loop=False)).service is None


def test_a_request_belongs_to_the_window_of_its_loop() -> None:
    recorded: list[Request] = [(0, 9_900, 0, 200), (0, 5_000, 0, 1)]
    assert response(recorded, window()).latency_ms[-1] == 200
    found = response(recorded, window(is_open_loop=False))
    assert (found.latency_ms[0], found.exact) == (1, 1)
    assert found.latency_ms[-1] == 100, "so long it had waited as the window closed"


@pytest.mark.parametrize("length_s", [600, 601, 5000])
def test_no_curve_has_more_points_than_can_be_drawn(length_s: int) -> None:
    recorded = [(index % 5, index * 100, 1, 30) for index in range(length_s * 10)]
    found = curves(recorded, window(length_s))
    assert found.response is not None
    assert len(found.response.ratio) <= POINTS_MAX
    timeline = found.timeline
    lists = [timeline.at_s, timeline.p50_ms, timeline.due_per_s, *timeline.errors_per_s.values()]
    assert {len(values) for values in lists} == {len(timeline.at_s)}
    assert 300 <= len(timeline.at_s) <= POINTS_MAX
    assert max(timeline.due_per_s[1:-1]) == pytest.approx(10, abs=0.5)
