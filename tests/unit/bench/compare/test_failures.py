"""Runs that fail on one side: whose they are, and what is said where nobody knows."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from support.compared import BUDGETS, changed
from support.made_sets import Change, a_run, a_set, every, failed, verdict, write_set

from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.outputs import junit

Run = dict[str, Any]
PAIRS = 24

MONEY = verdict("failed", "money: broken 3 times")
"""It took the place of a whole job's verdict, so such a commit was no regression."""


def test_a_commit_whose_runs_fail_is_a_regression(tmp_path: Path) -> None:
    found = changed(tmp_path / "each", MONEY, pairs=6)
    assert (found.verdict, found.exit_code) == ("regression", 10)
    assert "6 of 6 runs of B failed, and 0 of 6 of A" in found.headline
    assert "money: broken 3 times" in found.headline
    found = changed(tmp_path / "some", every(3, MONEY), pairs=PAIRS)
    assert found.verdict == "regression"
    assert "8 of 24 runs of B failed" in " ".join(found.reasons)
    assert found.metrics, "the pairs that are left are shown"


@pytest.mark.parametrize("looks", [1, 2])
@pytest.mark.parametrize(
    ("again", "expected"),
    [((), "invalid"), ((0, 0), "invalid"), ((1, 1), "invalid"), ((4, 0), "regression")],
)
def test_a_job_asks_another_start_before_it_blames_a_commit(
    tmp_path: Path, again: tuple[int, ...], expected: str, looks: int
) -> None:
    """All runs of a stack that came up bad fail, whatever its commit is; a failure by chance on the
    next start is none that repeats it. `again` are the failures of B and of A there."""
    if not again and looks == 1:
        expected = "regression"  # sets that somebody measured, on as many starts as he says
    batch = Folders(
        write_set(tmp_path / "a", a_set("A", 6)), write_set(tmp_path / "b", a_set("B", 6, MONEY))
    )
    fresh = None
    if again:
        sets = [
            [a_run(50 + index, side, *((MONEY,) if index < failures else ())) for index in range(4)]
            for side, failures in zip("BA", again, strict=True)
        ]
        fresh = Folders(
            write_set(tmp_path / "fresh-a", sets[1]),
            write_set(tmp_path / "fresh-b", sets[0]),
            write_set(tmp_path / "fresh-a2", [again_of(run) for run in a_set("A", 4, begin=50)]),
        )
    found = compare(batch, BUDGETS, fresh, looks=looks)
    assert found.verdict == expected
    assert "money: broken 3 times" in found.headline


def test_runs_that_end_at_once_begin_in_one_second(tmp_path: Path) -> None:
    """Times are in seconds, and pairs that two of began in one were no turns: it was INVALID."""
    sides = [a_set("A", 6), a_set("B", 6, MONEY)]
    for index, pair in enumerate(zip(*sides, strict=True)):
        for run in pair:
            run["started_utc"] = f"2026-01-02T00:00:{(index + 1) // 2:02}+00:00"
    folders = [write_set(tmp_path / name, runs) for name, runs in zip("ab", sides, strict=True)]
    found = compare(Folders(*folders), BUDGETS)
    assert found.verdict == "regression"
    assert "6 of 6 runs of B failed, and 0 of 6 of A" in found.headline


def again_of(run: Run) -> Run:
    return run | {"run_id": f"{run['run_id']}-again"}


def test_failures_now_and_then_are_a_regression_where_another_start_has_them(
    tmp_path: Path,
) -> None:
    batch = Folders(
        write_set(tmp_path / "a", a_set("A", 24)),
        write_set(tmp_path / "b", a_set("B", 24, every(3, MONEY))),
    )
    for failures, expected in ((0, "invalid"), (1, "regression")):
        folder = tmp_path / str(failures)
        runs = [
            a_run(50 + index, "B", *((MONEY,) if index < failures else ())) for index in range(6)
        ]
        fresh = Folders(
            write_set(folder / "a", a_set("A", 6, begin=50)), write_set(folder / "b", runs)
        )
        assert compare(batch, BUDGETS, fresh, looks=2).verdict == expected
    assert compare(batch, BUDGETS, looks=2).verdict == "invalid"


def test_a_commit_that_crashes_is_a_regression(tmp_path: Path) -> None:
    """Its runs end before their phases do, and are INVALID."""

    def crashed(run: Run) -> None:
        verdict("invalid", "gateway ended with exit code 1")(run)
        run["phases"] = []

    found = changed(tmp_path / "each", crashed, pairs=6)
    assert (found.verdict, found.exit_code) == ("regression", 10)
    found = changed(tmp_path / "some", every(3, crashed), pairs=PAIRS)
    assert "8 of 24 runs of B failed" in " ".join(found.reasons)


@pytest.mark.parametrize("side", "AB")
def test_a_failure_that_may_be_of_either_side_is_no_verdict(tmp_path: Path, side: str) -> None:
    """One run in 24: nobody can say whose it is, and it must not pass either."""
    runs = {letter: a_set(letter, 24) for letter in "AB"}
    MONEY(runs[side][3])
    folders = Folders(*(write_set(tmp_path / each, runs[each]) for each in "AB"))
    found = compare(folders, BUDGETS)
    assert (found.verdict, found.exit_code) == ("invalid", 13)
    assert found.reasons == [f"run {runs[side][3]['run_id']} is FAILED: money: broken 3 times"]
    assert found.pairs is not None
    assert found.pairs.used + found.pairs.fresh == 23
    root = ElementTree.fromstring(junit(found))
    assert (root.attrib["failures"], root.attrib["errors"]) == ("0", "1"), "CI must not be green"


def test_a_run_that_ended_early_hides_no_service_level(tmp_path: Path) -> None:
    runs = {letter: a_set(letter, 12) for letter in "AB"}
    runs["B"][0] |= {"verdict": "failed", "reasons": ["it ended"], "phases": []}
    folders = Folders(*(write_set(tmp_path / each, runs[each]) for each in "AB"))
    found = compare(folders, BUDGETS)
    assert found.verdict == "invalid"
    assert {level.operation for level in found.levels} == {"find_user", "checkout"}


def test_a_base_that_fails_can_not_be_compared_with(tmp_path: Path) -> None:
    runs = a_set("A", 8, MONEY)
    folders = Folders(write_set(tmp_path / "a", runs), write_set(tmp_path / "b", a_set("B", 8)))
    found = compare(folders, BUDGETS)
    assert (found.verdict, found.exit_code) == ("invalid", 13)
    assert [reason.partition(" is ")[0] for reason in found.reasons[:3]] == [
        f"run {run['run_id']}" for run in runs[:3]
    ]
    assert found.reasons[3:] == ["and 5 more runs"]


@pytest.mark.parametrize(("number", "is_told"), [(400, True), (60, True), (3, False)])
def test_the_requests_of_runs_that_failed_are_counted(
    tmp_path: Path, number: int, is_told: bool
) -> None:
    """A run in which a hundredth fails is FAILED, and the others look as if none ever did."""

    def failing(run: Run) -> None:
        failed(number)(run)
        verdict("failed", f"open: {number} of 4,000 requests")(run)

    found = changed(tmp_path, every(2, failing), pairs=8)
    assert found.verdict == "invalid"
    assert any("all requests: failed" in each.line for each in found.outcomes) == is_told


def test_runs_that_fail_on_another_day_are_nobody_s(tmp_path: Path) -> None:
    for what in (MONEY, verdict("void", "50 processes waited for 2 cores")):
        folder = tmp_path / str(what)
        a = write_set(folder / "a", a_set("A", 10))
        b = write_set(folder / "b", a_set("B", 10, what, begin=50))
        assert compare(Folders(a, b), BUDGETS).verdict != "regression"


def test_one_pair_that_is_left_is_in_turns_with_nobody(tmp_path: Path) -> None:
    """Nine of ten failed a little: the pair that was left made turns of them all."""

    def failing(run: Run) -> None:
        failed(400)(run)
        verdict("failed", "open: 400 of 4,000 requests")(run)

    b = a_set("B", 10, failing, begin=50)
    b[0] |= {"verdict": "valid", "reasons": []}
    folders = Folders(write_set(tmp_path / "a", a_set("A", 10)), write_set(tmp_path / "b", b))
    assert compare(folders, BUDGETS).verdict == "invalid"


@pytest.mark.parametrize("what", [MONEY, verdict("void", "50 processes waited for 2 cores")])
def test_runs_without_a_partner_blame_nobody(tmp_path: Path, what: Change) -> None:
    """Nine good pairs in turns, and ten runs of B alone on another evening."""
    b = [*a_set("B", 9), *a_set("B", 10, what, begin=50)]
    folders = Folders(write_set(tmp_path / "a", a_set("A", 9)), write_set(tmp_path / "b", b))
    assert compare(folders, BUDGETS).verdict != "regression"
