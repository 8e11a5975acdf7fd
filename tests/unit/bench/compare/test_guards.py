"""What makes a side look better than it is, and readings that all runs lack: nothing is SAME or
FASTER then, whatever the budgets name."""

from pathlib import Path

import pytest
from support.made_sets import Change, Run, a_set, cpu, record, refused, write_set

from bench.compare.budgets import DEFAULT_FILE, Budgets, read_budgets
from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.comparison_record import Comparison
from bench.compare.outcomes import failed_by_side, judge, void_by_side
from bench.compare.run_pairs import Sides

BUDGETS = read_budgets(DEFAULT_FILE)


def sides(a: list[Run], b: list[Run]) -> Sides:
    return Sides([record(run) for run in a], [record(run) for run in b], [])


def budgets_of(folder: Path, text: str) -> Budgets:
    (folder / "own.toml").write_text(text)
    return read_budgets(folder / "own.toml")


def test_a_reading_that_failed_is_missed_however_the_budgets_name_it(tmp_path: Path) -> None:
    """Without a `loop`, it was SAME without a word."""
    own = budgets_of(
        tmp_path, "[metrics]\nper_request.threshold = 0.05\ncpu_ratio.threshold = 0.05\n"
    )

    def unread(run: Run) -> None:
        run["phases"][0]["window"]["per_request"] = {}

    def found_of(name: str, *changes: Change) -> Comparison:
        a, b = (write_set(tmp_path / name / side, a_set(side, 24, *changes)) for side in "AB")
        return compare(Folders(a, b), own)

    assert found_of("whole").verdict == "same"
    found = found_of("unread", unread)
    assert found.verdict == "inconclusive"
    assert "can't tell: per_request.kafka_bytes" in " ".join(found.reasons)


@pytest.mark.parametrize("lost", ["kafka_records", "kafka_bytes"])
def test_one_reading_does_not_stand_for_another(tmp_path: Path, lost: str) -> None:
    def unread(run: Run) -> None:
        del run["phases"][0]["window"]["per_request"][lost]

    a, b = (write_set(tmp_path / side, a_set(side, 24, unread)) for side in "AB")
    found = compare(Folders(a, b), BUDGETS)
    assert found.verdict == "inconclusive"
    assert f"can't tell: per_request.{lost}, which decides" in " ".join(found.reasons)


def test_what_all_runs_do_not_know_of_one_group_is_not_the_same(tmp_path: Path) -> None:
    """Records of before compactions were read apart: Flink's CPU doubled, and it was SAME."""

    def older(run: Run) -> None:
        for group in run["phases"][0]["window"]["cpu"].values():
            group["compacting_s"] = None

    a = write_set(tmp_path / "a", a_set("A", 24, older))
    b = write_set(tmp_path / "b", a_set("B", 24, cpu("flink", 2), older))
    found = compare(Folders(a, b), BUDGETS)
    assert found.verdict == "inconclusive"
    assert "can't tell: open flink CPU ratio, which decides" in " ".join(found.reasons)


def answered_by(status: str, operation: str = "find_user") -> Change:
    def change(run: Run) -> None:
        operations = run["phases"][0]["window"]["operations"]
        for name, figures in operations.items():
            count = figures["answered"] - sum(figures["refused"].values())
            figures["done"] = {status if name == operation else "200": count}

    return change


@pytest.mark.parametrize(
    ("of_a", "of_b", "expected"),
    [
        ([answered_by("200")], [answered_by("200")], "same"),
        ([answered_by("201")], [answered_by("201")], "same"),
        ([answered_by("200")], [answered_by("204"), cpu("flink", 0.8)], "regression"),
        ([answered_by("200")], [answered_by("302", "checkout"), cpu("flink", 0.8)], "regression"),
        ([answered_by("204")], [answered_by("200")], "regression"),
        ([], [answered_by("204")], "same"),
    ],
)
def test_a_status_in_place_of_another(
    tmp_path: Path, of_a: list[Change], of_b: list[Change], expected: str
) -> None:
    """204 in place of 200, with nothing done, was FASTER. Older records don't tell of either."""
    a = write_set(tmp_path / "a", a_set("A", 24, refused(0.05), *of_a))
    b = write_set(tmp_path / "b", a_set("B", 24, refused(0.05), *of_b))
    found = compare(Folders(a, b), BUDGETS)
    assert found.verdict == expected
    moved = "0.00% of A's requests, " in " ".join(found.reasons)
    assert moved == (expected == "regression")


def test_what_is_mended_is_done_by_the_same_status() -> None:
    """What failed and is answered now is no change of how the rest is answered."""

    def failing(run: Run) -> None:
        figures = run["phases"][0]["window"]["operations"]["checkout"]
        figures["failed"] = {"504 timeout": 100}
        figures["answered"] -= 100

    a = a_set("A", 8, failing, answered_by("200"))
    b = a_set("B", 8, answered_by("200"))
    assert judge(sides(a, b)) == []
    assert {each.outcome.kind for each in judge(sides(b, a))} == {"200", "failed"}


def test_a_redirect_mends_nothing() -> None:
    """What failed is sent to a login page instead: as many fail less, and nothing more is done."""

    def answered(*, failed: int, redirected: int) -> Change:
        def change(run: Run) -> None:
            figures = run["phases"][0]["window"]["operations"]["checkout"]
            figures["failed"] = {"503 x": failed} if failed else {}
            figures["refused"] = {"302 redirect": redirected} if redirected else {}
            figures["answered"] = figures["requests"] - failed
            figures["done"] = {"200": figures["answered"] - redirected}

        return change

    a = a_set("A", 8, answered_by("200"), answered(failed=100, redirected=0))
    b = a_set("B", 8, answered_by("200"), answered(failed=0, redirected=100))
    assert [(each.outcome.kind, each.state) for each in judge(sides(a, b))] == [
        ("302 redirect", "changed")
    ]


OWN = """
[metrics]
cpu_ratio.threshold = 0.05
failed.threshold = 0.001
"""
"""What somebody would act on, and no more."""


@pytest.mark.parametrize("text", [OWN, DEFAULT_FILE.read_text()], ids=["own", "default"])
def test_budgets_of_ones_own_keep_the_guards(tmp_path: Path, text: str) -> None:
    """Both were FASTER, where the budgets did not name what tells of it."""
    budgets = budgets_of(tmp_path, text)
    compiling: Change = lambda run: run["phases"][0]["window"]["cpu"]["flink"].update(  # noqa: E731
        compiling_s=run["phases"][0]["window"]["cpu"]["flink"]["cpu_s"] * 0.5
    )
    for name, of_a, of_b, why in (
        ("dearer", [], [cpu("generator", 1.5)], "what B takes looks smaller beside it"),
        ("cold", [cpu("flink", 2.4), compiling], [], "A was not warm when it was measured"),
    ):
        a = write_set(tmp_path / name / "a", a_set("A", 24, refused(0.05), *of_a))
        b = write_set(tmp_path / name / "b", a_set("B", 24, refused(0.05), *of_b))
        found = compare(Folders(a, b), budgets)
        assert found.verdict == "inconclusive", name
        assert why in " ".join(found.reasons)


# ---- comparisons that share what they may err


@pytest.mark.parametrize(("comparisons", "is_told"), [(1, True), (6, False)])
def test_what_one_comparison_may_err_is_shared(comparisons: int, is_told: bool) -> None:
    """7 of 12 against 0 of 12 come by chance once in 437 times: enough for one comparison, and
    not for one of a search of six."""

    def side(letter: str, name: str, voids: int) -> list[Run]:
        runs = a_set(letter, 12)
        for run in runs[:voids]:
            run |= {"verdict": name, "reasons": ["so it is"]}
        return runs

    void = sides(side("A", "void", 0), side("B", "void", 7))
    broken = sides(side("A", "failed", 0), side("B", "failed", 7))
    assert bool(void_by_side(void, {}, comparisons)) == is_told
    assert bool(failed_by_side(broken, comparisons)) == is_told


def test_shares_of_a_search_are_held_to_a_stricter_level() -> None:
    a, b = a_set("A", 8), a_set("B", 8)
    for runs, shares in ((a, (0.03, 0.07)), (b, (0.08, 0.144))):
        for index, run in enumerate(runs):
            refused(shares[index % 2])(run)
    states = [
        {each.state for each in judge(sides(a, b), comparisons)} for comparisons in (1, 10_000)
    ]
    assert states == [{"changed"}, {"suspected"}]
