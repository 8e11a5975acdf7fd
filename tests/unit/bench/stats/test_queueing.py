"""The queue's model against queues that are simulated, request by request."""

import heapq
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stats.queueing import Observation, Queue, factor_of, fit, hold_against

REQUESTS = 100_000


def service_ms(cv2: float, mean_ms: float, seed: int) -> np.ndarray:
    """Gamma service times; constant ones for no variation."""
    random = np.random.default_rng(seed)
    if not cv2:
        return np.full(REQUESTS, mean_ms)
    return random.gamma(1 / cv2, mean_ms * cv2, REQUESTS)


@cache
def simulated(rate_per_s: float, servers: int, cv2: float, capacity_per_s: float = 1000.0):
    """Waits and whole latencies, in ms, of a queue that is walked through."""
    random = np.random.default_rng(7)
    arrivals = np.cumsum(random.exponential(1e3 / rate_per_s, REQUESTS))
    took = service_ms(cv2, 1e3 * servers / capacity_per_s, 8)
    free = [0.0] * servers
    waits = np.empty(REQUESTS)
    for index, (came, service) in enumerate(zip(arrivals, took, strict=True)):
        begun = max(came, heapq.heappop(free))
        waits[index] = begun - came
        heapq.heappush(free, begun + service)
    return waits, waits + took


@pytest.mark.parametrize(("servers", "cv2"), [(1, 1.0), (1, 0.0), (1, 3.0), (4, 1.0), (4, 2.0)])
@pytest.mark.parametrize("rate_per_s", [500.0, 800.0])
def test_waits_are_those_of_a_simulated_queue(rate_per_s: float, servers: int, cv2: float) -> None:
    waits, _ = simulated(rate_per_s, servers, cv2)
    queue = Queue(1000.0, servers, cv2, 1.0, 2.0)
    share = queue.wait_share(rate_per_s)
    assert share == pytest.approx((waits > 1e-9).mean(), abs=0.06)
    assert share * queue.longer_wait_ms(rate_per_s) == pytest.approx(waits.mean(), rel=0.15)


def test_latency_of_one_exponential_server_is_exponential() -> None:
    """The one case with a closed form: ln(1 / (1 - q)) / (capacity - rate)."""
    queue = Queue(1000.0, 1, 1.0, 1e3 * np.log(2) / 1000.0, 1e3 * np.log(100) / 1000.0)
    for rate_per_s in (300.0, 600.0, 900.0):
        for quantile in (0.5, 0.99):
            true_ms = 1e3 * np.log(1 / (1 - quantile)) / (1000.0 - rate_per_s)
            assert queue.latency_ms(rate_per_s, quantile) == pytest.approx(true_ms, rel=0.12)


@given(
    st.floats(10, 1e5), st.integers(1, 64), st.floats(0, 20), st.floats(0.1, 100),
    st.floats(1.01, 50), st.floats(0.01, 0.98),
)  # fmt: skip
def test_latency_grows_with_the_rate(
    capacity: float, servers: int, cv2: float, p50: float, tail: float, share: float
) -> None:
    queue = Queue(capacity, servers, cv2, p50, p50 * tail)
    for quantile in (0.5, 0.99):
        less = queue.latency_ms(capacity * share * 0.9, quantile)
        assert 0 < less <= queue.latency_ms(capacity * share, quantile) * 1.02  # points of the base
    assert 0 <= queue.wait_share(capacity * share) <= 1
    assert queue.latency_ms(capacity, 0.5) == float("inf")


@settings(max_examples=30)
@given(st.floats(2.0, 500.0))
def test_the_rate_for_a_level_has_that_latency(p99_ms: float) -> None:
    queue = Queue(1000.0, 2, 1.5, 1.0, 4.0)
    rate = queue.rate_for(p99_ms)
    if not rate:
        assert queue.latency_ms(0.001, 0.99) > p99_ms
    else:
        assert queue.latency_ms(rate, 0.99) <= p99_ms * 1.001


def observations(servers: int, cv2: float, shares: tuple[float, ...]) -> list[Observation]:
    found = []
    for share in shares:
        _, latency = simulated(1000.0 * share, servers, cv2)
        found.append(Observation(1000.0 * share, *np.percentile(latency, (50, 99))))
    return found


SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@pytest.mark.parametrize(("servers", "cv2"), [(1, 1.0), (1, 3.0), (4, 1.0)])
def test_a_fit_finds_the_capacity_of_a_simulated_queue(servers: int, cv2: float) -> None:
    held = hold_against(observations(servers, cv2, SHARES), servers)
    assert held.queue.capacity_per_s == pytest.approx(1000.0, rel=0.05)
    assert abs(held.capacity_error) < 0.1
    for errors, largest in (
        (held.p50_errors, held.p50_error),
        (held.p99_errors, held.p99_error),
    ):
        assert np.median(np.abs(errors)) < 0.1
        off = [1 + each if each > 0 else 1 / (1 + each) for each in errors]
        assert max(off) - 1 == largest < 0.2
    assert len(held.p50_errors) == len(held.p99_errors) == 5


def test_an_error_is_as_large_whichever_way_it_goes() -> None:
    """What was predicted at 6 ms and took 20 was called 70 % off, and its bar ended at 10."""
    predicted, measured = 6.0, 20.0
    off = factor_of(predicted / measured - 1)
    assert predicted * off == pytest.approx(measured)
    assert off == pytest.approx(factor_of(measured / predicted - 1))
    assert factor_of(0.0) == 1.0


def test_a_dearer_request_makes_all_of_a_queue_slower() -> None:
    queue = Queue(1000.0, 2, 1.5, 1.0, 4.0)
    dearer = queue.dearer(1.25)
    for quantile in (0.5, 0.99):
        slower_ms = queue.latency_ms(500.0, quantile) * 1.25
        assert dearer.latency_ms(400.0, quantile) == pytest.approx(slower_ms)


def test_a_fit_predicts_rates_that_it_has_not_seen() -> None:
    """Up to 80 % of the capacity alone is measured; that it is there follows from the curve."""
    queue = fit(observations(1, 1.0, SHARES[:8]))
    assert queue.capacity_per_s == pytest.approx(1000.0, rel=0.2)


def test_too_few_rates_are_no_fit() -> None:
    seen = [Observation(100.0 * rate, 1.0, 2.0) for rate in (1, 2, 3, 3)]
    with pytest.raises(ValueError, match="3 rates, at least 4"):
        fit(seen)
