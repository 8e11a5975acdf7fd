"""The search for a capacity, played against systems whose capacity is known."""

from collections.abc import Iterable
from dataclasses import replace
from heapq import heappop, heappush
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.run_record import Figures, Latency, Level, OpenFigures, QuantileName, Step
from bench.run.capacity import RATE_RATIO, STEPS_MAX, UNKNOWN_MAX, Capacity, judge
from bench.stats.window import Summary

LATE = "requests were sent 15.2 ms late at p99"


def step(rate_per_s: float, held: bool, unknown: bool = False) -> Step:
    doubts = [LATE] * unknown
    return Step(
        *(rate_per_s, held and not unknown, "", rate_per_s, 1.0, 2.0, 3.0, 0.0, 0, 0.1),
        *(unknown, doubts),
    )


def search(
    knee_per_s: float,
    start_per_s: float,
    largest_per_s: float = 50_000,
    unknown: Iterable[bool] = (),
) -> Capacity:
    """Of the steps that are `unknown` nobody can tell."""
    found, disturbed = Capacity(Level(), [], start_per_s, largest_per_s), iter(unknown)
    while (rate := found.next_per_s) is not None:
        found.steps.append(step(rate, rate <= knee_per_s, next(disturbed, False)))
    return found


def tried(found: Capacity) -> list[float]:
    return [step.rate_per_s for step in found.steps]


@given(st.floats(10, 20_000), st.floats(10, 20_000), st.lists(st.booleans(), max_size=40))
def test_the_knee_is_found_from_either_side(
    knee_per_s: float, start_per_s: float, unknown: list[bool]
) -> None:
    found = search(knee_per_s, start_per_s, unknown=unknown)
    assert len(found.steps) <= STEPS_MAX
    assert found.knee_per_s is None or found.knee_per_s <= knee_per_s
    if len(found.steps) < STEPS_MAX and not any(unknown):
        assert (found.void, found.problems) == ([], [])
    if not found.record().at_least:
        assert found.knee_per_s is not None
        assert knee_per_s / (RATE_RATIO * 1.01) <= found.knee_per_s <= knee_per_s


def test_the_usual_search_is_short() -> None:
    assert len(search(1234, 50).steps) <= 16


def test_nothing_holds() -> None:
    assert search(0.5, 4).knee_per_s is None


def test_no_rate_above_the_largest() -> None:
    found = search(10**9, 50, largest_per_s=300)
    assert found.knee_per_s == 300
    assert max(step.rate_per_s for step in found.steps) == 300


def test_one_stall_is_not_a_limit() -> None:
    steps = [step(100, True), step(200, False)]
    assert Capacity(Level(), steps, 100, 1000).next_per_s == 200
    assert Capacity(Level(), [*steps, step(200, True)], 100, 1000).next_per_s == 400


GOOD, BAD, UNKNOWN = step(0, True), step(0, False), step(0, False, unknown=True)


@pytest.mark.parametrize(
    ("steps", "rates"),
    [
        # One hiccup of the machine costs a step, and decides nothing.
        ([UNKNOWN, GOOD, BAD, BAD], [100, 100, 200, 200]),
        ([GOOD, UNKNOWN, GOOD, BAD, BAD], [100, 200, 200, 400, 400]),
        # What failed while it was disturbed has not failed once.
        ([GOOD, UNKNOWN, BAD, BAD], [100, 200, 200, 200]),
        ([GOOD, BAD, UNKNOWN, GOOD, BAD], [100, 200, 200, 200, 400]),
        ([GOOD, BAD, UNKNOWN, BAD], [100, 200, 200, 200]),
        # Three times in all ends the search.
        ([UNKNOWN, UNKNOWN, GOOD], [100, 100, 100]),
        ([UNKNOWN, UNKNOWN, UNKNOWN], [100, 100, 100]),
        ([GOOD, UNKNOWN, GOOD, UNKNOWN, UNKNOWN, UNKNOWN], [100, 200, 200, 400, 400, 400]),
        ([GOOD, BAD, UNKNOWN, UNKNOWN, UNKNOWN], [100, 200, 200, 200, 200]),
        ([UNKNOWN, UNKNOWN, BAD, UNKNOWN], [100, 100, 100, 100]),
    ],
)
def test_a_step_of_which_nobody_can_tell_is_tried_again(
    steps: list[Step], rates: list[float]
) -> None:
    """A search ended VOID at its first step, for a generator that was late once."""
    found = Capacity(Level(), [], 100, 100_000)
    for each in steps:
        rate = found.next_per_s
        assert rate is not None
        found.steps.append(replace(each, rate_per_s=rate))
    assert tried(found) == rates
    last = [each.unknown for each in found.steps if each.rate_per_s == rates[-1]]
    if steps[-1].unknown and sum(last) == UNKNOWN_MAX:
        assert found.next_per_s is None
        assert found.void == [f"{rates[-1]:,.1f}/s: {LATE}"]
        assert found.record().at_least
    else:
        assert found.next_per_s is not None


def test_a_search_that_runs_out_of_steps_cannot_tell() -> None:
    """It was VALID, with a knee that was as low as it happened to be."""
    found = search(10**9, 1.0, 10**12, unknown=[True, False] * STEPS_MAX)
    assert len(found.steps) == STEPS_MAX
    assert found.problems == [
        f"the search had its {STEPS_MAX} steps, and is not at its end: --start nearer to it"
    ]
    assert (found.void, found.record().at_least) == ([], True)


def test_a_search_may_end_with_its_last_step() -> None:
    to_its_end = search(10**9, 1.0, 2.0 ** (STEPS_MAX // 2 - 1), unknown=[True, False] * STEPS_MAX)
    assert len(to_its_end.steps) == STEPS_MAX
    assert (to_its_end.problems, to_its_end.void) == ([], [])
    assert not to_its_end.record().at_least


def test_the_last_step_may_be_one_of_which_nobody_can_tell() -> None:
    found = search(10**9, 1.0, 10**12, unknown=[True, True, False] * STEPS_MAX)
    assert len(found.steps) == STEPS_MAX
    assert found.void
    assert found.problems


def summary(p99_ms: float, failed: int, dropped: int, at_least: list[QuantileName]) -> Summary:
    latency = Latency(1.0, 2.0, p99_ms, 90.0, 99.0, at_least)
    total = Figures(1000, 1000, 100.0, latency, {}, {"503 x": failed})
    return Summary(total, {}, OpenFigures(1000, dropped, 1.0, None, None, dropped))


def test_what_a_level_asks() -> None:
    level, calm = Level(p99_ms=50, failed_share=0.01), [5.0] * 10
    assert judge(100, level, summary(50, 10, 0, []), calm).held
    assert "above 50" in judge(100, level, summary(50.1, 0, 0, []), calm).why
    assert ">= 40" in judge(100, level, summary(40, 0, 0, ["p99"]), calm).why
    assert "failed or were dropped" in judge(100, level, summary(5, 8, 3, []), calm).why
    growing = [10.0] * 5 + [40.0] * 5
    assert "in flight grew from 10 to 40" in judge(100, level, summary(5, 0, 0, []), growing).why


def test_what_the_generator_was_late_with_is_not_the_systems() -> None:
    found = summary(5, 0, 0, [])
    late = Summary(found.total, {}, OpenFigures(1000, 1, 0.999, None, None, not_sent=0))
    assert judge(100, Level(), late, [5.0] * 10).held


def ended(sent_s: list[float], taken_s: list[float], servers: int) -> list[float]:
    """When each request ends of a queue that is first in, first out."""
    free_s, done_s = [0.0] * servers, []
    for at_s, own_s in zip(sent_s, taken_s, strict=True):
        begun_s = max(at_s, heappop(free_s))
        heappush(free_s, begun_s + own_s)
        done_s.append(begun_s + own_s)
    return done_s


TIMES_S = st.tuples(st.floats(0, 1), st.floats(0.001, 1), st.floats(0, 1))


@given(st.lists(TIMES_S, min_size=1), st.integers(1, 4))
def test_who_is_sent_late_ends_later_by_that_at_most(
    requests: list[tuple[float, float, float]], servers: int
) -> None:
    """Of this a search concludes that a level did not hold, with a generator that was late."""
    gaps_s, taken_s, lags_s = map(list, zip(*requests, strict=True))
    due_s = [*accumulate(gaps_s)]
    sent_s = [*accumulate((at_s + lag_s for at_s, lag_s in zip(due_s, lags_s, strict=True)), max)]
    longest_s = max(sent - due for sent, due in zip(sent_s, due_s, strict=True))
    on_time, late = (ended(times_s, taken_s, servers) for times_s in (due_s, sent_s))
    for in_time_s, late_s in zip(on_time, late, strict=True):
        assert in_time_s - 1e-9 <= late_s <= in_time_s + longest_s + 1e-9


def test_nothing_answered_does_not_hold() -> None:
    nothing = Summary(Figures(0, 0, 0.0, None, {}, {}), {}, OpenFigures(0, 0, 0.0, None, None))
    assert judge(100, Level(), nothing, []).held is False


def test_described_by_rate() -> None:
    described = Capacity(Level(), [step(200, False), step(100, True)]).record()
    assert [each.rate_per_s for each in described.steps] == [100, 200]
    assert described.knee_per_s == 100
