"""What counts as steady."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats.steadiness import LATENCY_RATIO_MAX, STRETCH_S, Second, judge

SECONDS = st.lists(st.builds(Second, st.integers(0, 1000), st.floats(0.1, 100)), max_size=30)


def test_an_even_course_is_steady() -> None:
    assert judge([Second(100, 5.0)] * STRETCH_S, given_rate=False).steady


@pytest.mark.parametrize(
    ("stretch", "why"),
    [
        ([Second(100, 5.0)] * 2, "too short"),
        ([Second(100, 9.0 - second * 0.5) for second in range(9)], "median latency"),
        ([Second(100 + 20 * second, 5.0) for second in range(9)], "throughput"),
        ([Second(100, 5.0)] * 6 + [Second(0, 0.0)] * 3, "nothing was answered"),
    ],
)
def test_what_is_not(stretch: list[Second], why: str) -> None:
    found = judge(stretch, given_rate=False)
    assert not found.steady
    assert why in found.why


def test_an_open_loop_has_the_rate_of_its_schedule() -> None:
    assert judge([Second(100 + 20 * second, 5.0) for second in range(9)], given_rate=True).steady


@pytest.mark.parametrize(("ratio", "steady"), [(0.999, True), (1.001, False)])
def test_the_edge(ratio: float, steady: bool) -> None:
    slower = Second(100, 10.0 * LATENCY_RATIO_MAX * ratio)
    assert judge([Second(100, 10.0)] * 6 + [slower] * 3, given_rate=False).steady is steady


@given(SECONDS, st.booleans())
def test_any_course_is_judged(stretch: list[Second], given_rate: bool) -> None:
    assert judge(stretch, given_rate=given_rate).why
