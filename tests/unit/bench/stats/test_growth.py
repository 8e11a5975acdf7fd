"""Growth is told through noise, and not where there is none."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats.growth import POINTS_MIN, growth_share, peak_growth_share


@pytest.mark.parametrize("points", [300, 2_000])
@pytest.mark.parametrize("share", [0.0, 0.02, -0.1, 0.3])
def test_growth_is_told_through_noise_and_outliers(points: int, share: float) -> None:
    chance = random.Random(7)
    at_s = [float(place) for place in range(points)]
    levels = [100 * (1 + share * (place / points - 0.5)) + chance.gauss(0, 0.05) for place in at_s]
    for place in chance.sample(range(points), points // 50):
        levels[place] *= 3
    assert growth_share(at_s, levels) == pytest.approx(share, abs=0.01)


@pytest.mark.parametrize(("begin", "share"), [(0.2, 1 / 3), (0.8, 0.5), (0.85, 0.5)])
def test_one_step_is_growth(begin: float, share: float) -> None:
    at_s = [float(place) for place in range(1_000)]
    levels = [100.0 + 50 * (place > begin * 1_000) for place in at_s]
    assert growth_share(at_s, levels) == pytest.approx(share, abs=0.01)


def test_a_leak_that_begins_late_is_growth() -> None:
    at_s = [float(place) for place in range(1_000)]
    levels = [100.0 + max(0.0, place - 750) / 5 for place in at_s]
    found = growth_share(at_s, levels)
    assert found is not None
    assert found > 0.25


def test_of_too_few_points_and_of_nothing() -> None:
    assert growth_share(list(range(POINTS_MIN - 1)), [1.0] * (POINTS_MIN - 1)) is None
    assert growth_share(list(range(POINTS_MIN)), [0.0] * POINTS_MIN) == 0.0


WINDOW_S = 940
CLIMB_S_MAX = 12 * 60
"""RocksDB's checkpoints climb for so long, to twice their size."""


@given(st.integers(60, CLIMB_S_MAX), st.floats(0, 1))
def test_what_climbs_and_falls_has_not_grown(climb_s: int, phase: float) -> None:
    at_s = [float(at) for at in range(WINDOW_S)]
    levels = [100 + 100 * ((at / climb_s + phase) % 1) for at in at_s]
    share = peak_growth_share(at_s, levels)
    assert share is not None
    assert abs(share) < 0.25


def test_where_nothing_is_forgotten_the_peak_grows() -> None:
    at_s = [float(at) for at in range(14 * 60, 30 * 60)]
    assert peak_growth_share(at_s, at_s) == pytest.approx(0.36, abs=0.01)


def test_a_peak_of_too_few_points_and_of_nothing() -> None:
    assert peak_growth_share(list(range(POINTS_MIN - 1)), [1.0] * (POINTS_MIN - 1)) is None
    assert peak_growth_share(list(range(POINTS_MIN)), [0.0] * POINTS_MIN) == 0.0
