"""Estimate, interval and p-value: against scipy, published examples, and simulated truth."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from support.machine_noise import Floats, autocorrelated, paired

from bench.stats.signed_rank import (
    distribution,
    interval,
    p_value,
    pairs_needed,
    shift,
    walsh_averages,
)

# Hollander and Wolfe, table 3.1: a depression scale before and after a tranquilizer.
BEFORE = [1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30]
AFTER = [0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29]
# Darwin's maize, crossed minus self-fertilized, in 1/8 inch (Fisher, "The Design of Experiments").
MAIZE = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]

values = st.lists(
    st.floats(-1, 1, allow_nan=False).map(lambda value: round(value, 3)), min_size=6, max_size=15
)


def level_of(pairs: int, outside: int) -> float:
    """The exact level of the interval that leaves so many Walsh averages out at each end."""
    return 1 - 2 * float(distribution(pairs)[outside - 1])


def test_a_published_example() -> None:
    walsh = walsh_averages(np.subtract(AFTER, BEFORE))
    assert shift(walsh) == pytest.approx(-0.46)
    assert interval(walsh, 0.95) == pytest.approx((-0.786, -0.010))
    assert level_of(9, outside=6) == pytest.approx(0.961, abs=5e-4)
    assert p_value(walsh) == pytest.approx(2 * 0.0195, abs=1e-4)


def test_another_published_example() -> None:
    assert p_value(walsh_averages(MAIZE)) == pytest.approx(0.0413, abs=5e-5)


@pytest.mark.parametrize(
    ("alpha", "largest"),
    [
        (0.05, {6: 0, 7: 2, 8: 3, 9: 5, 10: 8, 11: 10, 12: 13, 13: 17, 14: 21, 15: 25, 20: 52}),
        (0.01, {8: 0, 9: 1, 10: 3, 11: 5, 12: 7, 13: 9, 14: 12, 15: 15, 16: 19, 20: 37, 25: 68}),
    ],
)
def test_the_published_critical_values(alpha: float, largest: dict[int, int]) -> None:
    for pairs, t in largest.items():
        assert 2 * distribution(pairs)[t] <= alpha < 2 * distribution(pairs)[t + 1]


@pytest.mark.parametrize("pairs", range(1, 14))
def test_the_distribution_is_that_of_scipy(pairs: int) -> None:
    ranks = np.arange(1, pairs + 1)
    for t in range(pairs * (pairs + 1) // 2 + 1):
        left, signs = t, np.full(pairs, -1)
        for rank in ranks[::-1]:
            if rank <= left:
                signs[rank - 1], left = 1, left - rank
        expected = stats.wilcoxon(signs * ranks, alternative="less", method="exact").pvalue
        assert distribution(pairs)[t] == pytest.approx(expected, rel=1e-9)


@given(st.lists(st.integers(-1000, 1000).filter(bool), unique_by=abs, min_size=6, max_size=15))
def test_the_p_value_is_that_of_scipy(differences: list[int]) -> None:
    expected = stats.wilcoxon(differences, method="exact").pvalue
    assert p_value(walsh_averages(differences)) == pytest.approx(expected)


@given(values, st.floats(0.5, 0.999))
def test_the_interval_excludes_zero_where_the_test_rejects(
    differences: list[float], level: float
) -> None:
    walsh = walsh_averages(differences)
    low, high = interval(walsh, level)
    assert (low > 0 or high < 0) == (p_value(walsh) <= (1 - level) * (1 + 1e-9))
    assert low <= shift(walsh) <= high


@given(values)
def test_swapped_sides_give_the_mirrored_interval(differences: list[float]) -> None:
    walsh, mirrored = walsh_averages(differences), walsh_averages(np.negative(differences))
    low, high = interval(walsh, 0.9)
    assert interval(mirrored, 0.9) == (-high, -low)
    assert shift(mirrored) == -shift(walsh)
    assert p_value(mirrored) == p_value(walsh)


@given(values, st.integers(-8, 8), st.integers(-3, 3))
def test_shift_and_scale_go_through(differences: list[float], moved: int, power: int) -> None:
    walsh = walsh_averages(differences)
    changed = walsh_averages(np.array(differences) * 2.0**power + moved)
    for ours, theirs in zip(interval(walsh, 0.9), interval(changed, 0.9), strict=True):
        assert theirs == pytest.approx(ours * 2.0**power + moved)


@given(values, st.integers(0, 14), st.floats(0, 1))
def test_a_larger_difference_lowers_nothing(
    differences: list[float], place: int, more: float
) -> None:
    raised = list(differences)
    raised[place % len(raised)] += more
    before, after = walsh_averages(differences), walsh_averages(raised)
    assert shift(after) >= shift(before)
    assert np.all(np.array(interval(after, 0.9)) >= np.array(interval(before, 0.9)))


@given(values, st.floats(0.5, 0.9), st.floats(0, 0.099))
def test_a_higher_level_has_a_longer_interval(
    differences: list[float], level: float, more: float
) -> None:
    walsh = walsh_averages(differences)
    low, high = interval(walsh, level)
    lower, higher = interval(walsh, level + more)
    assert lower <= low <= high <= higher


@pytest.mark.parametrize(("level", "pairs"), [(0.95, 6), (0.99, 8), (1 - 0.05 / 6, 8), (0.999, 11)])
def test_how_many_pairs_a_level_needs(level: float, pairs: int) -> None:
    assert pairs_needed(level) == pairs
    assert interval(walsh_averages(np.arange(pairs)), level) == (0, pairs - 1)
    assert interval(walsh_averages(np.arange(pairs - 1)), level) == (-np.inf, np.inf)


def test_a_level_that_is_just_reached() -> None:
    assert pairs_needed(1 - 2 / 2**7) == 7
    assert interval(walsh_averages(np.arange(7)), 1 - 2 / 2**7) == (0, 6)


# ---- coverage

SIMULATIONS = 10_000
UNLIKELY = 1e-6
"""Of the binomial tolerance on both sides."""

Noise = Callable[[np.random.Generator, tuple[int, int]], Floats]


def normal(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return random.standard_normal(shape)


def heavy_tailed(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return random.standard_t(2, shape)


def without_moments(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return random.standard_cauchy(shape)


def skewed(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    return random.exponential(size=shape)


def shared_in_pairs(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Far larger than the noise of a run, and strongly autocorrelated from pair to pair."""
    pairs = autocorrelated(random, (shape[0], shape[1] // 2), 0.95)
    return 20 * np.repeat(pairs, 2, axis=1) + random.standard_t(2, shape)


def covered(differences: Floats, truth: float = 0.25) -> int:
    low, high = interval(walsh_averages(differences + truth), 0.95)
    return int(np.sum((low <= truth) & (truth <= high)))


@pytest.mark.parametrize(("pairs", "outside"), [(8, 4), (10, 9), (15, 26)])
@pytest.mark.parametrize("noise", [normal, heavy_tailed, without_moments, skewed, shared_in_pairs])
def test_the_interval_covers_the_truth(noise: Noise, pairs: int, outside: int) -> None:
    """As often as its exact level says, whatever the noise of a run is."""
    random = np.random.default_rng(pairs)
    found = covered(paired(noise(random, (SIMULATIONS, 2 * pairs))))
    expected = stats.binom(SIMULATIONS, level_of(pairs, outside))
    assert expected.ppf(UNLIKELY) <= found <= expected.isf(UNLIKELY)
    assert 0.93 < found / SIMULATIONS < 0.97


@pytest.mark.parametrize("pairs", [8, 10, 12])
@pytest.mark.parametrize("phi", [0.2, 0.5, 0.9, 0.99])
@pytest.mark.parametrize("own", [0.0, 1.0])
def test_the_interval_covers_the_truth_on_a_machine_that_wanders(
    pairs: int, phi: float, own: float
) -> None:
    """Autocorrelated from run to run, so that a pair shares it only in part."""
    random, shape = np.random.default_rng(pairs), (SIMULATIONS, 2 * pairs)
    noise = autocorrelated(random, shape, phi) + own * heavy_tailed(random, shape)
    assert 0.93 < covered(paired(noise)) / SIMULATIONS < 0.97


def test_a_steady_drift_cancels_out() -> None:
    random, shape = np.random.default_rng(1), (SIMULATIONS, 20)
    noise = normal(random, shape) + np.arange(20)
    assert covered(paired(noise)) / SIMULATIONS > 0.95


def test_it_does_not_hold_where_pairs_depend_on_each_other() -> None:
    """Noise that pairs do not share and that lasts for several of them: see docs/regressions.md."""
    random = np.random.default_rng(1)
    assert covered(autocorrelated(random, (SIMULATIONS, 10), 0.5)) / SIMULATIONS < 0.80
