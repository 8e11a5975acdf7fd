"""Shares of all requests of a side, where runs are not alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.stats.pooled_share import Count, dispersion, pooled

ALPHA = 0.01
CLEAN = [Count(0, 1000)] * 40
COUNTS = st.lists(
    st.integers(1, 1000).flatmap(lambda n: st.integers(0, n).map(lambda hits: Count(hits, n))),
    min_size=2,
    max_size=20,
)


def test_a_few_runs_that_fail_are_not_hidden_by_the_others() -> None:
    """Of 40 pairs, 4 with a tenth of all requests failed once were SAME, interval [0, 0]."""
    found = pooled(CLEAN, [Count(100, 1000)] * 4 + CLEAN[4:], ALPHA)
    assert found is not None
    assert found.change == pytest.approx(0.01)
    assert found.dispersion > 50, "the failures came together"
    assert found.high > 0.01


def test_the_same_number_spread_over_all_runs_is_sure() -> None:
    found = pooled(CLEAN, [Count(10, 1000)] * 40, ALPHA)
    assert found is not None
    assert found.low > 0.008
    assert found.p_value < 1e-6


def test_nothing_on_both_sides_is_nothing() -> None:
    found = pooled(CLEAN, CLEAN, ALPHA)
    assert found is not None
    assert found.low <= 0 <= found.high < 0.001
    assert found.p_value == pytest.approx(1)


def test_a_side_that_asked_nothing() -> None:
    assert pooled(CLEAN, [Count(0, 0)] * 3, ALPHA) is None
    assert dispersion([Count(0, 0)] * 3) == dispersion([]) == 1


@given(COUNTS, COUNTS)
def test_the_interval_holds_the_estimate_and_turns_with_the_sides(
    a: list[Count], b: list[Count]
) -> None:
    ours, theirs = pooled(a, b, ALPHA), pooled(b, a, ALPHA)
    assert ours is not None
    assert theirs is not None
    assert ours.low - 1e-9 <= ours.change <= ours.high + 1e-9
    assert (ours.low, ours.high) == pytest.approx((-theirs.high, -theirs.low))
    assert ours.dispersion == theirs.dispersion >= 1


@pytest.mark.parametrize("between", [0.0, 0.5])
def test_unchanged_sides_are_rarely_told_apart(between: float) -> None:
    """Also where runs scatter: each has a share of its own, of the same mean on both sides."""
    random = np.random.default_rng(1)

    def side() -> list[Count]:
        shares = 0.02 * (1 + between * random.choice([-1, 1], 20))
        return [Count(int(random.binomial(500, share)), 500) for share in shares]

    found = [pooled(side(), side(), 0.05) for _ in range(300)]
    apart = sum(not each.low <= 0 <= each.high for each in found if each is not None)
    assert apart / 300 <= 0.05
