"""What is said of another clock is true, whatever the delays were."""

from hypothesis import given
from hypothesis import strategies as st

from bench.judge.generator_health import clocks
from bench.records.run_record import AgentRecord
from bench.remote.clock import ERROR_NS_MAX, Bounds, Reckoning, bounds

DELAY_NS = st.integers(0, 10**9)
OFFSET_NS = st.integers(-(10**18), 10**18)
DELAYS = st.lists(st.tuples(DELAY_NS, DELAY_NS), min_size=1, max_size=30)


def ask(offset_ns: int, there_ns: int, back_ns: int, asked_ns: int = 10**12) -> Bounds:
    """A question that takes so long there, and so long back."""
    told_ns = asked_ns + there_ns + offset_ns
    return bounds(asked_ns, told_ns, asked_ns + there_ns + back_ns)


@given(OFFSET_NS, DELAYS, DELAYS)
def test_the_error_is_within_what_is_said(
    offset_ns: int, before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    found = Reckoning(ask(offset_ns, *delays) for delays in before)
    assert abs(found.offset_ns - offset_ns) <= found.error_before_ns
    assert found.error_before_ns <= min(map(sum, before)) // 2 + 1
    for delays in after:
        found.see(ask(offset_ns, *delays))
    assert found.known_ns <= abs(found.offset_ns - offset_ns)  # a steady clock did not drift
    found.finish(ask(offset_ns, *delays) for delays in after)
    assert found.possible_ns is not None
    assert found.possible_ns >= abs(found.offset_ns - offset_ns)


@given(OFFSET_NS, st.integers(-(10**9), 10**9), DELAYS, DELAYS)
def test_a_drift_is_between_what_is_known_and_what_is_possible(
    offset_ns: int, drift_ns: int, before: list[tuple[int, int]], after: list[tuple[int, int]]
) -> None:
    found = Reckoning(ask(offset_ns, *delays) for delays in before)
    found.finish(ask(offset_ns + drift_ns, *delays) for delays in after)
    wrong_ns = abs(found.offset_ns - (offset_ns + drift_ns))
    assert found.possible_ns is not None
    assert found.known_ns <= wrong_ns <= found.possible_ns


def test_a_quick_answer_shows_a_drift() -> None:
    found = Reckoning([ask(0, 1000, 1000)])
    found.see(ask(ERROR_NS_MAX, 1000, 1000))
    assert ERROR_NS_MAX - 2000 <= found.known_ns <= ERROR_NS_MAX
    assert found.possible_ns is None


def states(drift_ms: float, error_ms: float | None) -> str:
    (check,) = clocks([AgentRecord("a:1", 0.0, drift_ms, error_ms)])
    assert bool(check.why) == (check.state != "holds")
    return check.state


def test_a_clock_is_judged_by_its_limit() -> None:
    limit_ms = ERROR_NS_MAX / 1e6
    assert states(0.0, limit_ms) == "holds"
    assert states(0.0, limit_ms + 0.001) == "broken"
    assert states(limit_ms + 0.001, limit_ms) == "broken"
    assert states(0.0, None) == "unknown"
