"""Growth is told through noise, and not where there is none."""

import random

import pytest

from bench.stats.growth import POINTS_MIN, growth_share


@pytest.mark.parametrize("points", [300, 2_000])
@pytest.mark.parametrize("share", [0.0, 0.02, -0.1, 0.3])
def test_growth_is_told_through_noise_and_outliers(points: int, share: float) -> None:
    chance = random.Random(7)
    at_s = [float(place) for place in range(points)]
    levels = [100 * (1 + share * (place / points - 0.5)) + chance.gauss(0, 0.05) for place in at_s]
    for place in chance.sample(range(points), points // 50):
        levels[place] *= 3
    assert growth_share(at_s, levels) == pytest.approx(share, abs=0.01)


def test_of_too_few_points_and_of_nothing() -> None:
    assert growth_share(list(range(POINTS_MIN - 1)), [1.0] * (POINTS_MIN - 1)) is None
    assert growth_share(list(range(POINTS_MIN)), [0.0] * POINTS_MIN) == 0.0
