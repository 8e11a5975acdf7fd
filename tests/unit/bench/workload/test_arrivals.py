"""Schedules: read, worked out, and the same each time."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.workload.arrivals import (
    RATE_MAX,
    REQUESTS_MAX,
    STAGES_MAX,
    Schedule,
    ScheduleError,
    Stage,
    intended_ns,
    parse,
)

RATES = st.floats(0, 500)
STAGES = st.builds(Stage, RATES, RATES, st.floats(0.1, 5))
MANY = st.lists(STAGES, min_size=1, max_size=4).map(tuple)
SCHEDULES = st.builds(Schedule, MANY, st.sampled_from(["poisson", "constant"])).filter(
    lambda schedule: schedule.requests >= 1
)


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        ("500", [(500, 500, 10)]),
        ("100..1000", [(100, 1000, 10)]),
        ("100,200", [(100, 100, 5), (200, 200, 5)]),
        ("200@4,200..800@30", [(200, 200, 4), (200, 800, 30)]),
        ("200@4, 50.5", [(200, 200, 4), (50.5, 50.5, 6)]),
    ],
)
def test_what_a_rate_may_say(text: str, stages: list[tuple[float, float, float]]) -> None:
    assert parse(text, 10).stages == tuple(stages)


@pytest.mark.parametrize(
    "text",
    ["", "fast", "-5", "5..", "1,,2", "5@0", "1e3", "nan", "0", "0.01", "5@20,5",
     f"{RATE_MAX + 1:.0f}", ",".join(["1@1"] * (STAGES_MAX + 1)), f"{RATE_MAX:.0f}@200"],
)  # fmt: skip
def test_what_it_may_not(text: str) -> None:
    with pytest.raises(ScheduleError):
        parse(text, 10)


def test_the_limits_themselves_are_allowed() -> None:
    assert parse(f"{RATE_MAX:.0f}", 1).requests == RATE_MAX
    assert len(parse(",".join(["1@1"] * STAGES_MAX), 10).stages) == STAGES_MAX
    assert parse(f"{RATE_MAX:.0f}@100", 1).requests == REQUESTS_MAX


@given(st.text(alphabet="0123456789.,@ -e", max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        schedule = parse(text, 10)
    except ScheduleError:
        return
    assert 1 <= schedule.requests <= REQUESTS_MAX


@given(SCHEDULES, st.integers(0, 9))
@settings(deadline=None)
def test_times_ascend_within_the_schedule_and_repeat(schedule: Schedule, seed: int) -> None:
    times = intended_ns(schedule, seed)
    assert (np.diff(times) >= 0).all()
    if len(times):
        assert times[0] >= 0
        assert times[-1] <= schedule.duration_s * 1e9 + 1
    assert np.array_equal(times, intended_ns(schedule, seed))


def test_a_constant_rate_is_evenly_spaced() -> None:
    assert intended_ns(parse("4", 1, "constant"), 1).tolist() == [0, 25e7, 5e8, 75e7]


def test_a_ramp_follows_its_rate() -> None:
    """From 0 to 200/s in 10 s: the n-th request is due when 10 t^2 = n."""
    times = intended_ns(Schedule((Stage(0, 200, 10),), "constant"), 1)
    assert len(times) == 1000
    assert np.allclose(times / 1e9, np.sqrt(np.arange(1000) / 10), atol=1e-8)


def test_poisson_arrivals_are_exponential() -> None:
    """Mean and standard deviation of the gaps are both 1/rate; 5 standard errors are allowed."""
    gaps_s = np.diff(intended_ns(parse("1000", 100), 7)) / 1e9
    error = 5 / np.sqrt(len(gaps_s))
    assert abs(gaps_s.mean() * 1000 - 1) < error
    assert abs(gaps_s.std() * 1000 - 1) < 2 * error


def test_a_seed_is_another_schedule() -> None:
    schedule = parse("100", 1)
    assert not np.array_equal(intended_ns(schedule, 1)[:50], intended_ns(schedule, 2)[:50])
