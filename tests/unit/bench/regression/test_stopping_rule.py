"""How many pairs are measured, played back without measuring."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.machine_noise import Floats, machine, paired, quiet_machine

from bench.compare.metric import Rule
from bench.compare.verdict import ALPHA, overall
from bench.regression.stopping_rule import MORE_PAIRS_MAX, Plan, Sequential, Step, turns
from bench.stats.signed_rank import pairs_needed

RULE = Rule(threshold=0.05)
PLAN = Plan(budget_s=1000, first_pairs=8, more_pairs=4, fresh_pairs=6, looks_max=3)
PAIR_S = 20.0

Draw = Callable[[int], list[float]]


def quiet(shift: float) -> Draw:
    return lambda pairs: [shift + 0.001 * (-1) ** place * (place + 1) for place in range(pairs)]


def noisy(pairs: int) -> list[float]:
    return [0.3 * (-1) ** place * (place + 1) for place in range(pairs)]


def play(draw: Draw, plan: Plan = PLAN, pair_s: float = PAIR_S) -> tuple[Sequential, list[Step]]:
    """Measures as told; the steps end with the stop."""
    sequential, steps, spent_s = Sequential({"cpu": RULE}, ["cpu"], plan), [], 0.0
    while (step := sequential.next(spent_s)).action != "stop":
        steps.append(step)
        sequential.add(step, {"cpu": draw(step.pairs)})
        spent_s += step.pairs * pair_s
    return sequential, [*steps, step]


def actions(steps: list[Step]) -> list[tuple[str, int]]:
    return [(step.action, step.pairs) for step in steps]


def test_what_is_the_same_needs_the_first_batch_only() -> None:
    sequential, steps = play(quiet(0))
    assert actions(steps) == [("measure", 8), ("stop", 0)]
    assert sequential.findings()["cpu"].verdict == "same"
    assert steps[-1].why == "all that decides is settled"


def test_what_is_slower_is_repeated_by_a_fresh_batch() -> None:
    sequential, steps = play(quiet(0.1))
    assert actions(steps) == [("measure", 8), ("repeat", 6), ("stop", 0)]
    found = sequential.findings()["cpu"]
    assert (found.verdict, found.pairs) == ("regression", 8)
    assert found.level == 1 - ALPHA / 3


def test_what_is_noisy_is_measured_until_all_looks_are_taken() -> None:
    sequential, steps = play(noisy)
    assert actions(steps) == [("measure", 8), ("measure", 18), ("measure", 18), ("stop", 0)]
    assert steps[-1].why == "3 looks were taken"
    assert sequential.findings()["cpu"].pairs == 44


def test_much_time_makes_no_endless_batch() -> None:
    _, steps = play(noisy, PLAN._replace(budget_s=1e6))
    assert [step.pairs for step in steps] == [8, MORE_PAIRS_MAX, MORE_PAIRS_MAX, 0]


def test_the_time_for_a_fresh_batch_is_kept_free() -> None:
    _, steps = play(noisy, PLAN._replace(budget_s=PAIR_S * (8 + 2 + 6)))
    assert actions(steps) == [("measure", 8), ("measure", 2), ("stop", 0)]
    assert steps[-1].why == "the time budget is used up"


@pytest.mark.parametrize(
    ("shift", "looks", "more"), [(0.0, 2, 8), (0.02, 2, 8), (0.03, 2, 2), (0.0, 3, 2)]
)
def test_before_the_last_look_no_time_is_kept_for_what_hardly_comes(
    shift: float, looks: int, more: int
) -> None:
    """What scatters around nothing needs pairs, to be told to be the same, and no fresh batch."""

    def draw(pairs: int) -> list[float]:
        return [shift + 0.1 * (-1) ** place for place in range(pairs)]

    _, steps = play(draw, PLAN._replace(budget_s=PAIR_S * (8 + 2 + 6), looks_max=looks))
    assert [step.pairs for step in steps[:2]] == [8, more]


@pytest.mark.parametrize(
    ("better", "more"), [((0.16, 0.17), 8), ((0.14,), 2)], ids=["p = 0.74", "p = 0.08"]
)
def test_time_is_kept_for_an_alarm_that_is_likely(better: tuple[float, ...], more: int) -> None:
    rules = {"cpu": RULE, "p99": RULE}
    plan = PLAN._replace(budget_s=PAIR_S * (8 + 2 + 6), looks_max=2)
    sequential = Sequential(rules, ["cpu"], plan)
    sizes = [0.10 + place / 100 for place in range(8)]
    p99 = [-size if round(size, 2) in better else size for size in sizes]
    cpu = [0.1 * (-1) ** place for place in range(8)]
    sequential.add(sequential.next(0), {"cpu": cpu, "p99": p99})
    assert sequential.findings()["p99"].estimate > RULE.threshold
    assert sequential.next(8 * PAIR_S) == Step("measure", more, "not settled yet")


@pytest.mark.parametrize(("broken", "more"), [(0, 8), (1, 2)])
def test_time_is_kept_where_runs_fail(broken: int, more: int) -> None:
    """Whether B's do, freshly started stacks must repeat."""
    plan = PLAN._replace(budget_s=PAIR_S * (8 + 2 + 6), looks_max=2)
    sequential = Sequential({"cpu": RULE}, ["cpu"], plan)
    wide = [0.1 * (-1) ** place for place in range(8)]
    sequential.add(sequential.next(0), {"cpu": wide}, broken)
    assert sequential.next(8 * PAIR_S) == Step("measure", more, "not settled yet")


@pytest.mark.parametrize(
    ("usable", "measured", "budget_pairs", "is_enough"),
    [
        (6, 6, 10.5, True),  # 4 to repeat it would not fit after a seventh
        (6, 6, 11.5, False),
        (5, 6, 10.5, False),  # a void one: no look without a spare one
        (6, 7, 11.5, True),
        (0, 0, 0.0, False),
    ],
)
def test_spare_pairs_do_not_take_the_time_for_a_fresh_batch(
    usable: int, measured: int, budget_pairs: float, is_enough: bool
) -> None:
    plan = PLAN._replace(budget_s=PAIR_S * budget_pairs)
    first = Step("measure", 8, "the first batch", spare=2)
    assert plan.is_enough(first, measured, usable, measured * PAIR_S) == is_enough
    whole = first._replace(spare=0)
    assert not plan.is_enough(whole, measured, usable, measured * PAIR_S)


def test_no_time_for_a_fresh_batch() -> None:
    sequential, steps = play(quiet(0.1), PLAN._replace(budget_s=PAIR_S * 12 - 1))
    assert actions(steps) == [("measure", 8), ("stop", 0)]
    assert steps[-1].why == "no time is left for a fresh batch"
    assert sequential.findings()["cpu"].verdict == "inconclusive"
    started = PLAN._replace(budget_s=PAIR_S * 12, fresh_start_s=1)
    assert play(quiet(0.1), started)[1][-1].why == "no time is left for a fresh batch"


@pytest.mark.parametrize(("pairs", "start_s"), [(4, 0), (5, 0), (5, 1), (6, 0)])
def test_a_fresh_batch_is_as_large_as_there_is_time_for(pairs: int, start_s: float) -> None:
    """The default budget of two slow cores ended a few seconds before six more pairs, and what was
    slower was INCONCLUSIVE."""
    plan = PLAN._replace(budget_s=PAIR_S * (8 + pairs) + start_s, fresh_start_s=start_s)
    sequential, steps = play(quiet(0.1), plan)
    assert actions(steps) == [("measure", 8), ("repeat", pairs), ("stop", 0)]
    assert sequential.findings()["cpu"].verdict == "regression"


def test_void_pairs_take_time_and_are_replaced() -> None:
    sequential = Sequential({"cpu": RULE}, ["cpu"], PLAN)
    sequential.add(sequential.next(0), {"cpu": quiet(0)(5)})
    assert sequential.next(8 * PAIR_S) == Step("measure", 12, "not settled yet")
    sequential.add(Step("measure", 4, ""), {"cpu": []})
    sequential.add(Step("measure", 4, ""), {"cpu": quiet(0)(4)})
    assert sequential.next(16 * PAIR_S).why == "all that decides is settled"


@pytest.mark.parametrize(("left", "pairs"), [(2, 0), (4, 4), (5, 4), (9, 6)])
def test_where_too_many_are_void_to_look_no_time_is_kept_to_repeat(left: int, pairs: int) -> None:
    """A job of 12 pairs, of which 4 could be used, ended as INCONCLUSIVE with five minutes left:
    not enough for a fresh batch, which SAME does not need."""
    plan = PLAN._replace(budget_s=PAIR_S * (8 + left), fresh_start_s=200)
    sequential = Sequential({"cpu": RULE}, ["cpu"], plan)
    sequential.add(sequential.next(0), {"cpu": quiet(0)(4)})
    step = sequential.next(8 * PAIR_S)
    assert (step.action, step.pairs) == ("measure" if pairs else "stop", pairs)
    if pairs:
        sequential.add(step, {"cpu": quiet(0)(pairs)})
        assert sequential.next((8 + pairs) * PAIR_S).why == "all that decides is settled"
        assert sequential.findings()["cpu"].verdict == "same"


def test_a_fresh_batch_that_is_mostly_void_is_added_to() -> None:
    sequential = Sequential({"cpu": RULE}, ["cpu"], PLAN)
    sequential.add(sequential.next(0), {"cpu": quiet(0.1)(8)})
    repeat = sequential.next(8 * PAIR_S)
    sequential.add(repeat, {"cpu": quiet(0.1)(3)})
    more = sequential.next(14 * PAIR_S)
    assert more == Step("repeat", 6, "too much of the fresh batch is void")
    assert sequential.next(PLAN.budget_s - 5 * PAIR_S).action == "stop"
    sequential.add(more, {"cpu": quiet(0.1)(1)})
    assert sequential.next(20 * PAIR_S).why == "the fresh batch is measured"
    assert sequential.findings()["cpu"].verdict == "regression"


def test_only_void_pairs_end_with_the_budget() -> None:
    _, steps = play(lambda pairs: [])
    assert steps[-1].why == "the time budget is used up"
    assert sum(step.pairs for step in steps) * PAIR_S <= PLAN.budget_s


def test_what_does_not_decide_is_not_waited_for() -> None:
    rules = {"cpu": RULE, "p99": RULE}
    for deciding, action in ((["cpu"], "stop"), (["cpu", "p99"], "measure")):
        sequential = Sequential(rules, deciding, PLAN)
        sequential.add(sequential.next(0), {"cpu": quiet(0)(10), "p99": noisy(10)})
        assert sequential.next(PAIR_S * 8).action == action


@given(st.floats(10, 10_000), st.floats(0.1, 100), st.integers(1, 30), st.integers(0, 2**31))
def test_never_longer_than_the_budget_after_the_first_batch(
    budget_s: float, pair_s: float, metrics: int, seed: int
) -> None:
    random, plan = np.random.default_rng(seed), Plan.of(metrics, budget_s)
    shift = random.choice([0.0, 0.1])
    _, steps = play(lambda n: list(random.normal(shift, 0.05, n)), plan, pair_s)
    spent_s = sum(step.pairs for step in steps) * pair_s
    assert spent_s <= max(budget_s, plan.first_pairs * pair_s) * (1 + 1e-9)
    assert [step.action for step in steps].count("repeat") <= 1, "no pair is void here"


@pytest.mark.parametrize("metrics", [1, 4, 7, 20])
def test_a_plan_has_pairs_enough_for_its_looks(metrics: int) -> None:
    plan = Plan.of(metrics, 900)
    needed = pairs_needed(1 - ALPHA / plan.looks_max / metrics)
    assert needed + 2 <= plan.first_pairs <= needed + 3
    assert plan.first_pairs % 2 == plan.more_pairs % 2 == 0


# ---- turns


LETTERS = ("A", "A2", "B")


@given(st.sampled_from([2, 3]), st.integers(0, 40), st.integers(0, 1000))
def test_the_sides_take_turns(sides: int, rounds: int, seed: int) -> None:
    letters = LETTERS[-sides:]
    order = turns(letters, rounds, seed)
    assert len(order) == rounds
    assert all(sorted(each) == sorted(letters) for each in order)
    for first, then in zip(order[::2], order[1::2], strict=False):
        assert list(then) == list(reversed(first)), "a steady drift cancels out"
    assert turns(letters, rounds, seed) == order


def test_a_coin_chooses_who_begins() -> None:
    begins = Counter(turns(LETTERS, 2, seed)[0][0] for seed in range(300))
    assert all(70 < begins[letter] < 130 for letter in LETTERS)


# ---- looking again and again: a smaller version of the table in docs/regressions.md

COMPARISONS = 250
METRICS = [str(metric) for metric in range(6)]
START_S = 60.0


class Machine(NamedTuple):
    noise: Callable[[np.random.Generator, tuple[int, int]], Floats]
    start_spread: float
    """Of each metric from one start of the stack to the next."""
    aa_spread: float


NOISY, QUIET = Machine(machine, 0.01, 0.02), Machine(quiet_machine, 0.004, 0.008)


def batch(
    random: np.random.Generator, found: Machine, pairs: int, slower: float, start: Floats
) -> dict[str, list[float]]:
    """Of six metrics that share half of their noise; the first one is slower."""
    seed = int(random.integers(2**31))
    shared, *own = (paired(found.noise(random, (1, 2 * pairs)), seed)[0] for _ in range(7))
    moved = [slower, *[0.0] * 5]
    return {
        name: list((shared + own[place]) / 2**0.5 + start[place] + np.log1p(moved[place]))
        for place, name in enumerate(METRICS)
    }


def verdicts(found: Machine, slower: float, deciding: list[str] = METRICS) -> Counter[str]:
    """Of whole sequential comparisons."""
    random, counted = np.random.default_rng(1), Counter[str]()
    rules = dict.fromkeys(METRICS, Rule(np.log(1.05), found.aa_spread))
    for _ in range(COMPARISONS):
        sequential = Sequential(rules, deciding, Plan.of(len(rules), 900, START_S))
        spent_s, start = 0.0, random.normal(0, found.start_spread * 2**0.5, 6)
        while (step := sequential.next(spent_s)).action != "stop":
            if step.action == "repeat":
                start = random.normal(0, found.start_spread * 2**0.5, 6)
                spent_s += START_S
            sequential.add(step, batch(random, found, step.pairs, slower, start))
            spent_s += step.pairs * 30
        counted[overall(sequential.findings(), deciding)] += 1
    return counted


@pytest.mark.parametrize("found", [NOISY, QUIET])
def test_a_commit_is_not_slower_than_itself(found: Machine) -> None:
    counted = verdicts(found, slower=0.0)
    assert counted["regression"] <= 0.02 * COMPARISONS
    assert counted["faster"] <= 0.02 * COMPARISONS


@pytest.mark.parametrize("found", [NOISY, QUIET])
def test_ten_percent_more_are_found(found: Machine) -> None:
    assert verdicts(found, slower=0.10)["regression"] >= 0.95 * COMPARISONS


def test_five_percent_more_are_never_the_same() -> None:
    assert verdicts(QUIET, slower=0.05)["same"] <= 0.01 * COMPARISONS


def test_on_a_quiet_machine_it_can_tell_that_nothing_changed() -> None:
    assert verdicts(QUIET, slower=0.0)["same"] >= 0.7 * COMPARISONS
