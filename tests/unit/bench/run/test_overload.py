"""When a rate is out of reach."""

import numpy as np
import pytest

from bench.records.samples import DROPPED_IN_FLIGHT, Samples
from bench.run.overload import OVERLOAD_S, Overload

S = 1_000_000_000


def second(at_s: float, answered: int, dropped: int) -> Samples:
    outcome = np.array([0] * answered + [1] * dropped, dtype=np.int64)
    times = np.full(len(outcome), int(at_s * S), dtype=np.int64)
    names = ["200", DROPPED_IN_FLIGHT]
    return Samples(["a"], names, np.zeros_like(outcome), outcome, times, times, times)


@pytest.mark.parametrize(
    ("answered", "dropped", "out_of_reach"), [(4, 6, True), (5, 5, False), (9, 0, False)]
)
def test_most_must_have_been_dropped_for_long(answered, dropped, out_of_reach) -> None:
    overload = Overload()
    length = int(OVERLOAD_S)
    before = [overload.is_over(second(1 + at, answered, dropped)) for at in range(length)]
    assert before == [False] * length
    assert overload.is_over(second(1 + length, answered, dropped)) is out_of_reach
    assert overload.found is out_of_reach


def test_a_stall_is_measured() -> None:
    overload = Overload()
    seconds = [second(1 + at, 10, 0) for at in range(20)]
    seconds += [second(21 + at, 0, 10) for at in range(int(OVERLOAD_S / 2))]
    seconds += [second(40 + at, 10, 0) for at in range(20)]
    assert not any(overload.is_over(samples) for samples in seconds)


def test_nothing_yet() -> None:
    overload = Overload()
    assert not overload.is_over(second(1, 0, 0))
