"""How requests ended on both sides: frauds that were SAME or FASTER."""

from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest
from support.made_sets import (
    Change,
    a_set,
    control,
    cpu,
    every,
    failed,
    phase,
    record,
    refused,
    settings,
    verdict,
    write_set,
)

from bench.compare.budgets import DEFAULT_FILE, BudgetError, read_budgets
from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.comparison_record import Comparison
from bench.compare.metric import Rule
from bench.compare.outcomes import RUNS_MIN, judge, void_by_side
from bench.compare.run_pairs import Sides
from bench.judge.generator_health import GENERATOR_BUSY
from bench.regression.stopping_rule import Plan, Sequential, Step

BUDGETS = read_budgets(DEFAULT_FILE)
Run = dict[str, Any]


def sides(a: list[Run], b: list[Run]) -> Sides:
    return Sides([record(run) for run in a], [record(run) for run in b], [])


def also(share: float, kind: str) -> Change:
    """So large a share of all checkouts is refused as well."""

    def change(run: Run) -> None:
        figures = run["phases"][0]["window"]["operations"]["checkout"]
        figures["refused"][kind] = round(share * figures["requests"])

    return change


def compared(tmp_path: Path, *changes: Change, pairs: int = 24) -> Comparison:
    a = write_set(tmp_path / "a", a_set("A", pairs, refused(0.05)))
    b = write_set(tmp_path / "b", a_set("B", pairs, refused(0.05), *changes))
    return compare(Folders(a, b), BUDGETS)


def test_sides_that_answer_alike(tmp_path: Path) -> None:
    found = compared(tmp_path)
    assert (found.verdict, found.outcomes) == ("same", [])


def test_a_commit_that_refuses_every_order(tmp_path: Path) -> None:
    """It was FASTER, exit 0: less CPU, fewer records, and every refusal was expected."""
    found = compared(tmp_path, refused(1.0), cpu("flink", 0.9), cpu("gateway", 0.9))
    assert (found.verdict, found.exit_code) == ("regression", 10)
    assert "checkout: done: 95.00% of A's requests, 0.00% of B's" in " ".join(found.reasons)


@pytest.mark.parametrize("share", [0.02, 0.08, 0.15, 0.5])
def test_refused_work_counts_in_either_direction(tmp_path: Path, share: float) -> None:
    found = compared(tmp_path, refused(share))
    assert found.verdict == ("same" if 0.02 <= share <= 0.08 else "regression")


def test_another_reason_to_refuse_is_another_outcome(tmp_path: Path) -> None:
    found = compared(tmp_path, refused(0.3), refused(0.3, "409 out_of_stock"))
    assert found.verdict == "regression"
    assert "409 out_of_stock" in " ".join(found.reasons)


@pytest.mark.parametrize(("nth", "number"), [(10, 400), (3, 400), (8, 40)])
def test_failures_that_come_now_and_then(tmp_path: Path, nth: int, number: int) -> None:
    """4 of 40 pairs with a tenth failed were SAME: the median of the pairs hides them."""
    found = compared(tmp_path, every(nth, failed(number)), pairs=40)
    assert found.verdict in ("regression", "inconclusive")
    assert any("failed" in reason for reason in found.reasons)


def test_a_single_failure_is_none(tmp_path: Path) -> None:
    assert compared(tmp_path, every(40, failed(3)), pairs=24).verdict == "same"


@pytest.mark.parametrize(("share", "expected"), [(0.04, "regression"), (0.0, "same")])
def test_what_could_not_be_sent_is_not_served(tmp_path: Path, share: float, expected: str) -> None:
    """Too many were under way: the side that is slower is asked less."""

    def not_sent(run: Run) -> None:
        kept = run["phases"][0]["window"]["open"]
        kept["not_sent"] = kept["dropped"] = round(share * 4000)

    found = compared(tmp_path, not_sent)
    assert found.verdict == expected
    assert (f"failed: 0.00% of A's requests, {share / (1 + share):.2%} of B's" in
            " ".join(found.reasons)) == bool(share)  # fmt: skip


def test_fewer_failures_are_no_harm() -> None:
    a, b = a_set("A", 8, failed(200)), a_set("B", 8)
    assert [each for each in judge(sides(a, b)) if each.outcome.kind == "failed"] == []
    assert [each.state for each in judge(sides(b, a)) if each.outcome.kind == "failed"]


def test_what_is_done_more_often_is_no_harm(tmp_path: Path) -> None:
    """A commit that mends what was refused or failed in one operation was a REGRESSION."""

    def failing(run: Run) -> None:
        figures = run["phases"][0]["window"]["operations"]["checkout"]
        figures["failed"] = {"504 timeout": 100}
        figures["answered"] -= 100

    a, b = a_set("A", 8, failing), a_set("B", 8)
    assert judge(sides(a, b)) == []
    worse = {each.outcome.kind for each in judge(sides(b, a))}
    assert worse == {"done", "failed"}
    less = a_set("A", 8, refused(0.04), also(0.04, "409 out_of_stock"))
    (found,) = judge(sides(less, b))
    assert found.outcome.kind == "done", "each refusal by itself moved by less than its limit"


def rare(refused: float, *, saturated: int, refused_there: float = 0.09) -> Change:
    """`cancel_payment` has 10 requests of a run, and so many at saturation."""

    def change(run: Run) -> None:
        run["phases"].append(phase("users-64", 1.0, users=64))
        for one, count, share in zip(
            run["phases"], (10, saturated), (refused, refused_there), strict=True
        ):
            figures = one["window"]["operations"]["find_user"] | {"requests": count}
            kinds = {"409 not_paid": round(share * count)} if round(share * count) else {}
            one["window"]["operations"]["cancel_payment"] = figures | {
                "answered": count,
                "refused": kinds,
            }

    return change


@pytest.mark.parametrize(
    ("saturated", "refused", "refused_there", "states"),
    [
        (400, 0.2, 0.09, set()),
        (400, 0.2, 0.0, set()),
        (4, 0.2, 0.09, {"suspected"}),
        (0, 0.2, 0.09, {"suspected"}),
        (400, 0.1, 0.3, {"changed"}),
        (400, 1.0, 0.09, {"changed"}),
    ],
)
def test_a_rare_operation_is_judged_in_all_phases_together(
    saturated: int, refused: float, refused_there: float, states: set[str]
) -> None:
    """Where 1 of 13 was refused of A and none of B, an unchanged system was not the SAME in any of
    three such jobs: at the fixed rate chance moves what is rare by more than the limit."""
    of_b = rare(refused, saturated=saturated, refused_there=refused_there)
    of_a = rare(0.1, saturated=saturated, refused_there=0.09 if refused_there else 0.0)
    a, b = a_set("A", 12, of_a), a_set("B", 12, of_b)
    found = [each for each in judge(sides(a, b)) if each.outcome.operation == "cancel_payment"]
    assert {each.state for each in found} == states


def test_what_some_runs_refuse_altogether_is_no_chance() -> None:
    """In 3 of 12 runs of B all was refused at the rate; at saturation, where there are more of the
    operation, nothing was. It was the SAME."""
    of_a = rare(0.0, saturated=125, refused_there=0.0)
    a, b = a_set("A", 12, of_a), a_set("B", 12, of_a)
    for run in b[::4]:
        figures = run["phases"][0]["window"]["operations"]["cancel_payment"]
        figures["refused"] = {"409 not_paid": 10}
    found = [each for each in judge(sides(a, b)) if each.outcome.operation == "cancel_payment"]
    assert {each.state for each in found} == {"suspected"}


def test_few_runs_can_only_be_suspected() -> None:
    def states(runs: int) -> set[str]:
        return {
            each.state for each in judge(sides(a_set("A", runs), a_set("B", runs, refused(1.0))))
        }

    assert states(RUNS_MIN) == {"changed"}
    assert states(RUNS_MIN - 1) == {"suspected"}


def test_sides_that_were_not_measured_in_turns(tmp_path: Path) -> None:
    a = write_set(tmp_path / "a", a_set("A", 10))
    b = write_set(tmp_path / "b", a_set("B", 10, refused(1.0), begin=50))
    assert compare(Folders(a, b), BUDGETS).verdict == "inconclusive"


# ---- void by the side


def test_a_slowdown_that_makes_its_own_runs_void(tmp_path: Path) -> None:
    """Pairs dropped, INCONCLUSIVE, a warning, CI green."""
    void = verdict("void", "50 processes waited for 2 cores")
    found = compared(tmp_path, every(2, void))
    assert (found.verdict, found.exit_code) == ("regression", 10)
    assert "12 of 24 runs of B are void, and 0 of 24 of A" in " ".join(found.reasons)
    all_of_it = compared(tmp_path / "all", void, pairs=12)
    assert all_of_it.verdict == "regression"


def test_answers_that_cost_the_client_more_are_no_faster_system(tmp_path: Path) -> None:
    """As with `Connection: close`, or a few KiB more of each reply."""
    found = compared(tmp_path, cpu("generator", 1.5))
    assert (found.verdict, found.exit_code) == ("inconclusive", 11)
    assert "what B takes looks smaller beside it than it is" in " ".join(found.reasons)
    assert compared(tmp_path / "less", cpu("generator", 1.01)).verdict == "same"


def test_a_reading_that_failed_in_every_run_is_missed(tmp_path: Path) -> None:
    def unread(run: Run) -> None:
        for one in run["phases"]:
            one["window"]["per_request"] = {}

    a, b = a_set("A", 24, unread), a_set("B", 24, unread)
    folders = Folders(write_set(tmp_path / "a", a), write_set(tmp_path / "b", b))
    found = compare(folders, BUDGETS)
    assert found.verdict == "inconclusive"
    for kind in ("per_request.kafka_records", "per_request.kafka_bytes"):
        assert f"can't tell: {kind}, which decides, as no run has it" in " ".join(found.reasons)

    target = settings(target="http://localhost:1")
    a, b = a_set("A", 24, unread, target), a_set("B", 24, unread, target)
    found = compare(Folders(write_set(tmp_path / "c", a), write_set(tmp_path / "d", b)), BUDGETS)
    assert "not compared: per_request, which no run has of its target" in found.notes
    assert not any("cpu_ratio" in note for note in found.notes), "it was read"
    assert found.verdict == "same"


def test_a_system_that_is_too_fast_for_its_generator(tmp_path: Path) -> None:
    """It is no slower for that."""
    void = verdict("void", "users-64: generator 0 used 95% of a core: " + GENERATOR_BUSY)
    found = compared(tmp_path, void, pairs=12)
    assert (found.verdict, found.exit_code) == ("inconclusive", 11)
    assert "give more --generators" in found.headline
    assert compared(tmp_path / "half", every(2, void)).verdict == "same"

    def crowded(run: Run) -> None:
        void(run)
        run["reasons"].append("users-64: 50 processes waited for 2 cores")

    assert compared(tmp_path / "crowded", crowded, pairs=12).verdict == "regression"


def test_only_what_there_was_to_read_is_missed(tmp_path: Path) -> None:
    """A search for the capacity has no window; a rule may be of one group alone."""

    def searched(run: Run) -> None:
        level = {"p99_ms": 50, "failed_share": 0.0}
        run["capacity"] = {"level": level, "knee_per_s": 900.0, "steps": []}
        for one in run["phases"]:
            one["name"] = "step-1"

    text = '[metrics."cpu_ratio.gateway"]\nthreshold = 0.05\nloop = "closed"\n'
    (tmp_path / "budgets.toml").write_text(text)
    own = read_budgets(tmp_path / "budgets.toml")
    for name, budgets, changes in (("searched", BUDGETS, [searched]), ("own", own, [])):
        a = write_set(tmp_path / name / "a", a_set("A", 24, *changes))
        b = write_set(tmp_path / name / "b", a_set("B", 24, *changes))
        assert compare(Folders(a, b), budgets).verdict == "same", name


def test_the_service_level_of_a_pair_that_is_void_is_not_checked(tmp_path: Path) -> None:
    b = a_set("B", 24)
    for figures in b[3]["phases"][0]["window"]["operations"].values():
        figures["failed"] = {"503 unavailable": figures["answered"]}
    a = write_set(tmp_path / "a", a_set("A", 24))
    failing = write_set(tmp_path / "b", b)
    assert compare(Folders(a, failing), BUDGETS).verdict == "over_budget"
    b[3]["probes"] = [control(400.0)]
    moved = write_set(tmp_path / "moved", b)
    assert compare(Folders(a, moved), BUDGETS).verdict == "same"


@pytest.mark.parametrize(("of_a", "of_b", "is_told"), [(0, 3, False), (8, 9, False), (9, 0, False)])
def test_void_runs_that_tell_nothing_of_a_side(of_a: int, of_b: int, is_told: bool) -> None:
    def side(letter: str, voids: int) -> list[Run]:
        runs = a_set(letter, 12)
        for run in runs[:voids]:
            run |= {"verdict": "void", "reasons": ["the machine was busy"]}
        return runs

    assert bool(void_by_side(sides(side("A", of_a), side("B", of_b)), {})) == is_told


# ---- what could never settle


def test_a_spread_that_makes_the_same_impossible_is_refused_at_once(tmp_path: Path) -> None:
    """It printed "not within -2.8 %" after a quarter of an hour."""
    path = tmp_path / "budgets.toml"
    path.write_text("[metrics.cpu_ratio]\nthreshold = 0.05\naa_spread = 0.078\n")
    with pytest.raises(BudgetError, match=r"metrics.cpu_ratio: .* 7.8% .* could never be the same"):
        read_budgets(path)
    path.write_text('[metrics.cpu_ratio]\nthreshold = 0.05\naa_spread = 0.078\nrole = "alarms"\n')
    assert read_budgets(path).metrics["cpu_ratio"].aa_spread == 0.078


def test_a_metric_that_vanishes_is_waited_for_no_longer() -> None:
    rules = {name: Rule(0.05) for name in ("cpu", "lost")}
    sequential = Sequential(rules, ["cpu"], Plan.of(2, 1000.0))
    step = sequential.next(0.0)
    zeros = [0.001 * (-1) ** index for index in range(step.pairs)]
    sequential.add(step, {"cpu": zeros})
    after = sequential.next(10.0)
    assert (after.action, after.why) == ("stop", "all that decides is settled")
    sequential.add(Step("measure", 2, ""), {"cpu": [0.0, 0.0], "lost": [0.0, 0.0]})
    assert sequential.findings().keys() == {"cpu"}


# ---- what the CPU ratio leaves out


def apart(what: str, cores: Callable[[], float]) -> Change:
    """Compilers, or RocksDB's compactions, take so many cores more."""

    def change(run: Run) -> None:
        window = run["phases"][0]["window"]
        flink = window["cpu"]["flink"]
        more_s = cores() * window["length_s"]
        assert flink[what] == 0.0
        flink |= {"cpu_s": flink["cpu_s"] + more_s, what: flink[what] + more_s}

    return change


def compiling(cores: float) -> Change:
    return apart("compiling_s", lambda: cores)


def lumps(cores: float, seed: int) -> Change:
    """One window in five has a compaction of all the state, of these cores."""
    random = Random(seed)
    return apart("compacting_s", lambda: cores * (random.random() < 0.2))


def test_compilation_that_never_ends(tmp_path: Path) -> None:
    found = compared(tmp_path, compiling(0.4))
    assert found.verdict == "regression"
    assert any(reason.startswith("open compiling: ") for reason in found.reasons)
    assert compared(tmp_path / "less", compiling(0.02)).verdict == "same"


def test_compactions_that_became_dearer(tmp_path: Path) -> None:
    """Each checkpoint has more to flush, so each window has more of it."""
    generator_s = a_set("A", 1)[0]["phases"][0]["window"]["cpu"]["generator"]["cpu_s"]
    found = compared(tmp_path, apart("compacting_s", lambda: 0.2 * generator_s / 10))
    assert found.verdict == "regression"
    assert any(reason.startswith("open compacting: ") for reason in found.reasons)
    less = apart("compacting_s", lambda: 0.02 * generator_s / 10)
    assert compared(tmp_path / "less", less).verdict == "same"


def test_what_an_older_record_did_not_tell_is_no_zero(tmp_path: Path) -> None:
    """Its Flink's CPU has compactions in it, that of a newer one has not."""

    def older(run: Run) -> None:
        for group in run["phases"][0]["window"]["cpu"].values():
            del group["compacting_s"]

    a = write_set(tmp_path / "a", a_set("A", 24, older))
    b = write_set(tmp_path / "b", a_set("B", 24))
    assert compare(Folders(a, b), BUDGETS).verdict not in ("same", "faster", "regression")


@pytest.mark.parametrize("seed", range(5))
def test_a_compaction_now_and_then_is_no_change(tmp_path: Path, seed: int) -> None:
    """Each side has its own; three cores in one window of five moved Flink's CPU ratio as far as
    a regression does."""
    a = write_set(tmp_path / "a", a_set("A", 14, lumps(3.0, seed)))
    b = write_set(tmp_path / "b", a_set("B", 14, lumps(3.0, seed + 100)))
    assert compare(Folders(a, b), BUDGETS).verdict == "same"


# ---- warm beside cold


def test_a_warm_side_beside_a_cold_one(tmp_path: Path) -> None:
    """A's JVMs still compiled while it was measured: B is faster, and no better for it."""
    pairs = 24
    a = write_set(tmp_path / "a", a_set("A", pairs, cpu("flink", 1.3), compiling(0.6)))
    b = write_set(tmp_path / "b", a_set("B", pairs))
    assert compare(Folders(a, b), BUDGETS).verdict != "faster"
