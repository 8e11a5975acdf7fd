"""The search for a capacity, played against systems whose capacity is known."""

from hypothesis import given
from hypothesis import strategies as st

from bench.records.run_record import Figures, Latency, Level, OpenFigures, QuantileName, Step
from bench.run.capacity import RATE_RATIO, STEPS_MAX, Capacity, judge, next_rate
from bench.stats.window import Summary


def step(rate_per_s: float, held: bool) -> Step:
    return Step(rate_per_s, held, "", rate_per_s, 1.0, 2.0, 3.0, 0.0, 0, 0.1)


def search(knee_per_s: float, start_per_s: float, largest_per_s: float = 50_000) -> Capacity:
    steps: list[Step] = []
    while (rate := next_rate(steps, start_per_s, largest_per_s)) is not None:
        steps.append(step(rate, rate <= knee_per_s))
    return Capacity(Level(), steps)


@given(st.floats(10, 20_000), st.floats(10, 20_000))
def test_the_knee_is_found_from_either_side(knee_per_s: float, start_per_s: float) -> None:
    found = search(knee_per_s, start_per_s)
    assert len(found.steps) <= STEPS_MAX
    if len(found.steps) < STEPS_MAX:
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
    assert next_rate(steps, 100, 1000) == 200
    assert next_rate([*steps, step(200, True)], 100, 1000) == 400


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


def test_nothing_answered_does_not_hold() -> None:
    nothing = Summary(Figures(0, 0, 0.0, None, {}, {}), {}, OpenFigures(0, 0, 0.0, None, None))
    assert judge(100, Level(), nothing, []).held is False


def test_described_by_rate() -> None:
    described = Capacity(Level(), [step(200, False), step(100, True)]).record()
    assert [each.rate_per_s for each in described.steps] == [100, 200]
    assert described.knee_per_s == 100
