"""Batches of pairs, and comparisons drawn from recorded runs: made-up runs in place of measured."""

import re
from pathlib import Path

import pytest
from support.compared import BUDGETS
from support.made_sets import Change, Run, a_run, cpu, record, verdict, write_set

from bench.calibrate.recorder import WHOLE_FILE
from bench.calibrate.resample import BASE, Round, achieved, rates, read_rounds, table
from bench.compare.run_pairs import Pair, UnfitError
from bench.errors import BenchError
from bench.regression.pair_loop import gate, take, warmed
from bench.regression.stopping_rule import MORE_PAIRS_MAX, Plan, Step
from machine.errors import StackError

METRIC = "open gateway CPU ratio"


def pairs(count: int, *changes: Change, begin: int = 0) -> list[Pair]:
    return [
        Pair(record(a_run(index, "A")), record(a_run(index, "B", *changes)))
        for index in range(begin, begin + count)
    ]


def test_what_is_gated_is_what_the_first_runs_have() -> None:
    spreads = dict.fromkeys(gate(pairs(1)[0], BUDGETS, {}).rules, 0.0)
    found = gate(pairs(1)[0], BUDGETS, spreads | {METRIC: 0.04})
    assert len(found.rules) == 9
    assert METRIC in found.deciding
    assert found.rules[METRIC].aa_spread > 0


def test_what_is_gated_is_what_the_base_has_where_the_other_side_fails() -> None:
    (first,) = pairs(1, verdict("failed", "money"), lambda run: run.update(phases=[]))
    assert gate(first, BUDGETS, {}) == gate(pairs(1)[0], BUDGETS, {})
    with pytest.raises(UnfitError, match="is FAILED: money"):
        gate(Pair(first.b, first.a), BUDGETS, {})


@pytest.mark.parametrize(("changes", "fresh"), [((), 0), ((cpu("gateway", 1.1),), 6)])
def test_a_finding_asks_for_a_fresh_batch(changes: tuple[Change, ...], fresh: int) -> None:
    plan, drawn = Plan.of(5, 1e6), pairs(60, *changes)
    gated = gate(drawn[0], BUDGETS, {})
    taken = take(gated, plan, BUDGETS, {}, lambda step: popped(drawn, step), lambda: 1.0)
    assert (len(taken.pairs), len(taken.fresh)) == (plan.first_pairs, fresh)


def popped(drawn: list[Pair], step: Step) -> list[Pair]:
    taken, drawn[:] = drawn[: step.pairs], drawn[step.pairs :]
    return taken


def test_time_that_is_over_ends_it() -> None:
    gated, told = gate(pairs(1)[0], BUDGETS, {}), list[str]()
    taken = take(gated, Plan.of(5, 1e6), BUDGETS, {}, lambda _: pairs(4), lambda: 1.0, told.append)
    assert len(taken.pairs) == 4
    assert taken.why == "the time budget is used up"
    assert told == ["measure 12 pairs: the first batch"]


def test_a_batch_of_which_each_pair_has_a_failed_run_ends_it() -> None:
    """A fresh one follows: all runs of one start may fail for that start alone."""
    gated, broken = gate(pairs(1)[0], BUDGETS, {}), verdict("invalid", "the ledger")
    batches = {"measure": pairs(6, broken), "repeat": pairs(6, broken, begin=50)}
    steps: list[Step] = []

    def measure(step: Step) -> list[Pair]:
        steps.append(step)
        return batches[step.action]

    plan = Plan.of(5, 1000.0, fresh_start_s=100.0)
    taken = take(gated, plan, BUDGETS, {}, measure, lambda: 400.0)
    why = "each of the last pairs has a run that failed"
    assert taken == (batches["measure"], batches["repeat"], why)
    assert [(step.action, step.pairs) for step in steps] == [("measure", 12), ("repeat", 6)]
    taken = take(gated, plan, BUDGETS, {}, measure, lambda: 600.0)
    late = f"{why}, and no time is left for a fresh batch"
    assert taken == (batches["measure"], [], late)

    def never_again(step: Step) -> list[Pair]:
        if step.action == "repeat":
            raise StackError("B ended with exit code 1")
        return measure(step)

    taken = take(gated, plan, BUDGETS, {}, never_again, lambda: 400.0)
    no_start = f"{why}, and a fresh stack did not start: B ended with exit code 1"
    assert taken == (batches["measure"], [], no_start), "what was measured is a result"


def test_a_finding_that_no_fresh_stack_can_repeat_is_a_result() -> None:
    """The job ended with exit code 3, and all that it had measured was in no comparison."""
    drawn = pairs(60, cpu("gateway", 1.1))

    def measure(step: Step) -> list[Pair]:
        if step.action == "repeat":
            raise StackError("stack A2 took longer than 300 s")
        return popped(drawn, step)

    gated = gate(pairs(1)[0], BUDGETS, {})
    plan = Plan.of(5, 1e6)
    taken = take(gated, plan, BUDGETS, {}, measure, lambda: 1.0)
    assert (len(taken.pairs), taken.fresh) == (plan.first_pairs, [])
    assert taken.why.endswith("and a fresh stack did not start: stack A2 took longer than 300 s")

    def never(step: Step) -> list[Pair]:
        raise StackError("stack A ended")

    with pytest.raises(StackError, match="stack A ended"):
        take(gated, plan, BUDGETS, {}, never, lambda: 1.0)


def test_failures_now_and_then_are_repeated_too() -> None:
    gated = gate(pairs(1)[0], BUDGETS, {})
    some = [
        pair for index in range(24)
        for pair in pairs(1, *([verdict("failed", "money")] if index % 3 == 0 else []), begin=index)
    ]  # fmt: skip
    steps: list[Step] = []

    def measure(step: Step) -> list[Pair]:
        steps.append(step)
        return popped(some, step) if step.action == "measure" else pairs(6, begin=50)

    taken = take(gated, Plan.of(5, 1e6), BUDGETS, {}, measure, lambda: 1.0)
    assert steps[-1].action == "repeat"
    assert "runs of B failed, and 0 of" in steps[-1].why
    assert len(taken.fresh) == 6


def test_a_failed_run_takes_its_pair_alone() -> None:
    gated, told = gate(pairs(1)[0], BUDGETS, {}), list[str]()
    drawn = [*pairs(3), *pairs(1, verdict("failed", "money"), begin=3), *pairs(100, begin=4)]
    plan = Plan.of(5, 1e6)
    taken = take(
        gated, plan, BUDGETS, {}, lambda step: popped(drawn, step), lambda: 1.0, told.append
    )
    assert len(taken.pairs) == plan.first_pairs
    assert [line for line in told if "void" in line] == [
        f"a pair is void: run {taken.pairs[3].b.run_id} is FAILED: money"
    ]


def test_void_pairs_do_not_count() -> None:
    gated, void = gate(pairs(1)[0], BUDGETS, {}), pairs(12, verdict("void", "too busy"))
    steps: list[Step] = []

    def measure(step: Step) -> list[Pair]:
        steps.append(step)
        return void if len(steps) == 1 else pairs(step.pairs, begin=20)

    take(gated, Plan.of(5, 1e6), BUDGETS, {}, measure, lambda: 1.0)
    assert [step.pairs for step in steps] == [12, MORE_PAIRS_MAX]


UNREAD = cpu("gateway", 0)
"""A reading of METRIC was lost."""


def test_a_pair_that_lost_a_reading_is_void_though_it_is_all_of_a_step() -> None:
    gated, told = gate(pairs(1)[0], BUDGETS, {}), list[str]()
    steps: list[Step] = []

    def measure(step: Step) -> list[Pair]:
        steps.append(step)
        begin = sum(step.pairs for step in steps)
        return pairs(step.pairs, *([UNREAD] if len(steps) == 1 else []), begin=begin)

    take(gated, Plan.of(5, 1e6), BUDGETS, {}, measure, lambda: 1.0, told.append)
    assert [step.pairs for step in steps] == [12, MORE_PAIRS_MAX]
    assert sum("has lost a reading that decides: " + METRIC in line for line in told) == 12


def test_a_batch_that_lost_a_reading_in_every_run_is_void() -> None:
    """What decides was dropped, as if nobody had asked for it, and the look was a traceback."""

    def lacking(begin: int) -> list[Pair]:
        both = zip(pairs(6, UNREAD, begin=begin), pairs(6, begin=begin), strict=True)
        return [Pair(record(a_run(at, "A", UNREAD)), unread.b) for at, (unread, _) in
                enumerate(both, begin)]  # fmt: skip

    gated, told = gate(pairs(1)[0], BUDGETS, {}), list[str]()
    batches = [pairs(6), lacking(6), pairs(12, begin=20)]
    plan = Plan.of(5, 1e6)._replace(first_pairs=6, more_pairs=6)
    taken = take(gated, plan, BUDGETS, {}, lambda _: batches.pop(0) if batches else [],
                 lambda: 1.0, told.append)  # fmt: skip
    assert sum("has lost a reading that decides: " + METRIC in line for line in told) == 6
    assert len(taken.pairs) > 6


def test_the_first_runs_are_measured_again_where_a_reading_was_lost() -> None:
    told = list[str]()
    found = [*pairs(1, UNREAD), *pairs(1)]
    gated = warmed(lambda: found.pop(0), BUDGETS, {}, told.append)
    assert METRIC in gated.deciding
    (line,) = told
    assert re.fullmatch(rf"once more, as {METRIC} is missing in run \S+, and other runs .*", line)
    found = pairs(3, UNREAD)
    with pytest.raises(UnfitError, match=METRIC):
        warmed(lambda: found.pop(0), BUDGETS, {}, told.append)
    assert len(found) == 1


# ---- drawn from recorded runs


def recorded(folder: Path, rounds: int, cycles: int, **variants: float) -> list[Round]:
    """Rounds with three unchanged systems, and others whose gateway takes more by a factor."""
    for number in range(rounds):
        bases = dict.fromkeys(("base-1", "base-2", "base-3"), 1.0)
        for place, (name, factor) in enumerate({**bases, **variants}.items()):
            runs: list[Run] = []
            for cycle in range(cycles):
                index = (number * cycles + cycle) * 8 + place
                run = a_run(index, "A", cpu("gateway", factor))
                run["seed"] = cycle
                runs.append(run)
            write_set(folder / f"round-{number + 1}" / name, runs)
        (folder / f"round-{number + 1}" / WHOLE_FILE).touch()
    return read_rounds(folder)


def test_drawn_comparisons_are_judged_as_measured_ones(tmp_path: Path) -> None:
    rounds = recorded(tmp_path, 2, 14, slow=1.12, fast=0.85)
    found = {name: rates(rounds, name, 4, BUDGETS, {}, 1) for name in (BASE, "slow", "fast")}
    assert found[BASE].verdicts == {"same": 4}
    assert found["slow"].verdicts == {"regression": 4}
    assert found["slow"].causes == {METRIC: 4}
    assert found["fast"].verdicts == {"faster": 4}
    assert found["slow"].pairs == 16
    share = achieved(rounds, "slow", METRIC)
    assert share == pytest.approx(0.12, abs=0.005)
    shown = table([found["slow"]], {"slow": "gateway +12 %"}, {"slow": "+12 %"})
    assert shown.splitlines()[-1] == (
        f"| gateway +12 % | +12 % | 4 | 100 % | 0 % | 0 % | 0 % | 0 % | 16 | {METRIC} (4) |"
    )


def test_a_round_of_few_pairs_is_for_fresh_batches_only(tmp_path: Path) -> None:
    few = recorded(tmp_path / "few", 2, 5, slow=1.5)
    with pytest.raises(BenchError, match=r"slow: no round has pairs enough .* record more"):
        rates(few, "slow", 2, BUDGETS, {}, 1)
    many = recorded(tmp_path / "many", 1, 12, slow=1.5)
    assert rates([*many, few[0]], "slow", 4, BUDGETS, {}, 1).verdicts == {"regression": 4}
