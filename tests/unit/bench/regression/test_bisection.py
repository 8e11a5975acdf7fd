"""A search for the first bad commit, in a repository that the test makes; made-up runs in place of
measured ones, slower by what each commit's own file says."""

import subprocess
from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.compared import BUDGETS
from support.made_sets import a_set, cpu, record, refused

from bench.compare.comparison import compare_sets
from bench.compare.comparison_record import Comparison
from bench.compare.run_pairs import Sides
from bench.errors import BenchError, UnreadableError, UsageError
from bench.git import git as quiet_git
from bench.regression.bisection import (
    STEPS_FILE,
    Bisection,
    Search,
    comparisons,
    only,
    read_search,
    report,
)
from bench.regression.side import Side, SideError
from bench.regression.stopping_rule import LOOKS_MAX
from bench.regression.worktree import Commit, resolve
from machine.errors import StackError

AUTHOR = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
FACTOR = Path("system") / "factor"
BROKEN, REFUSING = "broken", "refusing"
METRIC = "open gateway CPU ratio"


def git(where: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *AUTHOR, *arguments], cwd=where, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def repository(root: Path, *states: str) -> list[Commit]:
    """A commit for each state: by which factor its gateway takes more, or how it is broken."""
    root.mkdir(parents=True)
    git(root, "init", "--quiet", "--initial-branch", "main")
    return [committed(root, state, str(number)) for number, state in enumerate(states)]


def committed(root: Path, state: str, number: str = "") -> Commit:
    (root / FACTOR.parent).mkdir(exist_ok=True)
    (root / FACTOR).write_text(f"{state}\n{number}\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", f"number {number} | {state}")
    return resolve("HEAD", root)


class Measured:
    """What `Bisection` asks to be compared."""

    def __init__(self, root: Path, pairs: int = 20) -> None:
        self.root, self.pairs = root, pairs
        self.asked: list[str] = []
        self.metrics: list[set[str]] = []

    def __call__(self, commit: Commit, metrics: Collection[str], count: int) -> Comparison:
        self.asked.append(commit.id)
        self.metrics.append(set(metrics))
        state = quiet_git(self.root, "show", f"{commit.id}:./{FACTOR.as_posix()}").split()[0]
        if state == BROKEN:
            side = Side("B", commit, self.root, Path())
            raise SideError(side, "its gateway does not start")
        change = refused(1.0) if state == REFUSING else cpu("gateway", float(state))
        both = [
            Sides(
                [record(run) for run in a_set("A", pairs, begin=begin)],
                [record(run) for run in a_set("B", pairs, change, begin=begin)],
                [],
            )
            for pairs, begin in ((self.pairs, 0), (6, 100))
        ]
        return compare_sets(*both, only(BUDGETS, metrics), LOOKS_MAX, None, count)


def search(root: Path, good: Commit, bad: Commit, compare: Measured, folder: str = "") -> Search:
    where = root.parent / (folder or "search")
    where.mkdir(exist_ok=True)
    return Bisection(good, bad, compare, where, "options", lambda _: None, root).find()


def test_the_first_slow_commit_is_found(tmp_path: Path) -> None:
    commits = repository(tmp_path / "p", *["1"] * 6, *["1.2"] * 5)
    compare = Measured(tmp_path / "p")
    found = search(tmp_path / "p", commits[0], commits[-1], compare)
    assert found.first_bad == [commits[6].id]
    assert compare.asked[0] == commits[-1].id, "first it is made sure that there is something"
    assert compare.metrics == [set(), *[{METRIC}] * (len(compare.asked) - 1)]
    assert len(compare.asked) <= comparisons(10) == 5
    assert {step.commit: step.code for step in found.steps}[commits[6].id] == 1
    text = report(found, tmp_path / "p")
    assert text.startswith(f"## FIRST BAD COMMIT: {commits[6].short}\n")
    assert "number 6 | 1.2" in text
    assert git(tmp_path / "p", "status", "--porcelain") == ""
    assert "BISECT" not in "".join(path.name for path in (tmp_path / "p" / ".git").iterdir())


@settings(max_examples=8, deadline=None)
@given(st.data())
def test_wherever_it_is(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    root = tmp_path_factory.mktemp("bisect") / "p"
    count = data.draw(st.integers(2, 9))
    slow = data.draw(st.integers(1, count - 1))
    commits = repository(root, *["1"] * slow, *["1.15"] * (count - slow))
    found = search(root, commits[0], commits[-1], Measured(root))
    assert found.first_bad == [commits[slow].id]


def test_a_branch_that_lacks_what_good_has_is_not_to_blame(tmp_path: Path) -> None:
    """Each of its commits is worse than GOOD, which made the system faster; its merge is not."""
    root = tmp_path / "p"
    (slow,) = repository(root, "1.2")
    git(root, "switch", "--quiet", "--create", "branch")
    for number in range(3):
        (root / "system" / "other").write_text(str(number))
        git(root, "add", ".")
        git(root, "commit", "--quiet", "--message", f"of the branch {number}")
    git(root, "switch", "--quiet", "main")
    good = committed(root, "1")
    git(root, "merge", "--quiet", "--no-edit", "branch")
    merge, first_bad = resolve("HEAD", root), committed(root, "1.2", "bad")
    last = committed(root, "1.2", "last")
    compare = Measured(root)
    assert search(root, good, last, compare).first_bad == [first_bad.id]
    assert {*compare.asked} <= {merge.id, first_bad.id, last.id}, "none that lacks GOOD"
    assert search(root, slow, good, compare, "faster").first_bad == []


def test_a_merge_is_the_first_bad_commit_where_its_branch_brought_it(tmp_path: Path) -> None:
    root = tmp_path / "p"
    repository(root, "1")
    git(root, "switch", "--quiet", "--create", "branch")
    committed(root, "1.2")
    git(root, "switch", "--quiet", "main")
    (root / "system" / "other").write_text("main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "good")
    good = resolve("HEAD", root)
    git(root, "merge", "--quiet", "--no-edit", "branch")
    merge, last = resolve("HEAD", root), committed(root, "1.2", "last")
    assert search(root, good, last, Measured(root)).first_bad == [merge.id]


def test_the_project_may_be_a_folder_of_a_repository(tmp_path: Path) -> None:
    root = tmp_path / "p" / "within"
    root.mkdir(parents=True)
    git(root.parent, "init", "--quiet", "--initial-branch", "main")
    commits = [
        committed(root, state, str(place)) for place, state in enumerate(["1", "1", "1.2", "1.2"])
    ]
    found = search(root, commits[0], commits[-1], Measured(root))
    assert found.first_bad == [commits[2].id]


def test_a_commit_that_can_not_tell_is_skipped(tmp_path: Path) -> None:
    commits = repository(tmp_path / "p", "1", "1", BROKEN, "1.2", "1.2")
    found = search(tmp_path / "p", commits[0], commits[-1], Measured(tmp_path / "p"))
    assert sorted(found.first_bad) == sorted(commit.id for commit in commits[2:4])
    (skipped,) = [step for step in found.steps if step.answer == "skip"]
    assert (skipped.code, skipped.why) == (125, "its gateway does not start")
    assert report(found, tmp_path / "p").startswith("## CAN'T TELL: the first bad commit is one of")


@pytest.mark.parametrize(
    ("step", "bad", "answer"),
    [("1.01", "1.2", "good"), ("1.049", "1.2", "good"), ("1.06", "1.2", "bad"),
     ("1.049", "1.09", "skip")],
)  # fmt: skip
def test_a_step_is_good_that_surely_has_less_than_half_of_it(
    tmp_path: Path, step: str, bad: str, answer: str
) -> None:
    commits = repository(tmp_path / "p", "1", step, bad)
    found = search(tmp_path / "p", commits[0], commits[-1], Measured(tmp_path / "p"))
    assert {step.commit: step.answer for step in found.steps}[commits[1].id] == answer


def test_another_fault_that_was_mended_since_is_not_the_one(tmp_path: Path) -> None:
    """A commit that refused its work, and cost no more, was good; the search went on behind it, and
    its mend was the first bad commit."""
    states = ["1", "1.2", REFUSING, "1.2"]
    commits = repository(tmp_path / "p", *states)
    found = search(tmp_path / "p", commits[0], commits[-1], Measured(tmp_path / "p"))
    assert {step.commit: step.answer for step in found.steps}[commits[2].id] == "skip"
    assert found.first_bad == [commits[1].id]


def test_a_slowdown_that_was_mended_since_does_not_refuse(tmp_path: Path) -> None:
    commits = repository(tmp_path / "p", "1", "1.2", "1", REFUSING)
    found = search(tmp_path / "p", commits[0], commits[-1], Measured(tmp_path / "p"))
    answers = {step.commit: step.answer for step in found.steps}
    assert answers.get(commits[1].id, "skip") == "skip"
    assert found.first_bad == [commits[3].id]


def test_a_bad_commit_that_changes_words_alone_is_none_of_those_searched(tmp_path: Path) -> None:
    """git asked for the same commit again, without end, where the last one was called good."""
    root = tmp_path / "p"
    commits = repository(root, "1", "1", "1.2")
    (root / "README.md").write_text("words\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "words")
    compare = Measured(root)
    found = search(root, commits[0], resolve("HEAD", root), compare)
    assert found.first_bad == [commits[2].id]
    assert compare.asked[0] == commits[2].id
    assert len(compare.asked) == comparisons(2)


def test_answers_that_contradict_each_other_end_the_search(tmp_path: Path, monkeypatch) -> None:
    commits = repository(tmp_path / "p", "1", "1", "1", "1.2")
    monkeypatch.setattr(Bisection, "_git", lambda self, tree, *words: words[0] == "start" and (
        quiet_git(tree, "bisect", *words)))  # fmt: skip
    with pytest.raises(BenchError, match=r"^git bisect asks for .* again, which it was told of"):
        search(tmp_path / "p", commits[0], commits[-1], Measured(tmp_path / "p"))


def test_requests_that_end_otherwise_are_searched_for_too(tmp_path: Path) -> None:
    commits = repository(tmp_path / "p", "1", "1", REFUSING, REFUSING)
    compare = Measured(tmp_path / "p")
    found = search(tmp_path / "p", commits[0], commits[-1], compare)
    assert found.first_bad == [commits[2].id]
    assert found.metrics == {}


def test_nothing_to_search(tmp_path: Path) -> None:
    commits = repository(tmp_path / "p", "1", "1.2", "1")
    compare = Measured(tmp_path / "p")
    found = search(tmp_path / "p", commits[0], commits[-1], compare)
    assert (found.first_bad, compare.asked) == ([], [commits[-1].id])
    assert report(found, tmp_path / "p").startswith("## NOTHING TO SEARCH: ")
    broken = repository(tmp_path / "q", "1", BROKEN)
    with pytest.raises(StackError, match="its gateway does not start"):
        search(tmp_path / "q", *broken, Measured(tmp_path / "q"), "q-search")


@pytest.mark.parametrize("letter", ["A", "A2", None])
def test_what_is_not_the_commits_doing_is_not_held_against_it(
    tmp_path: Path, letter: str | None
) -> None:
    """The good one's stack did not come up once: that commit was skipped for ever."""
    commits = repository(tmp_path / "p", *["1"] * 5, *["1.2"] * 4)

    class Short(Measured):
        def __call__(self, commit: Commit, metrics: Collection[str], count: int) -> Comparison:
            if len(self.asked) == 1:
                line = "there is no memory for it"
                side = Side(letter or "", commit, self.root, Path())
                raise SideError(side, line) if letter else StackError(line)
            return super().__call__(commit, metrics, count)

    with pytest.raises(StackError, match="there is no memory for it"):
        search(tmp_path / "p", commits[0], commits[-1], Short(tmp_path / "p"))
    found = search(tmp_path / "p", commits[0], commits[-1], Measured(tmp_path / "p"))
    assert found.first_bad == [commits[5].id]


def test_a_commit_that_did_not_start_is_tried_again(tmp_path: Path) -> None:
    commits = repository(tmp_path / "p", "1", BROKEN, "1.2")
    first, again = Measured(tmp_path / "p"), Measured(tmp_path / "p")
    found = search(tmp_path / "p", commits[0], commits[-1], first)
    assert {*found.first_bad} == {commits[1].id, commits[2].id}
    assert search(tmp_path / "p", commits[0], commits[-1], again) == found
    assert again.asked == [commits[1].id], "what was measured is not measured again"


def test_an_interrupted_search_goes_on(tmp_path: Path) -> None:
    commits = repository(tmp_path / "p", *["1"] * 5, *["1.2"] * 4)
    compare = Measured(tmp_path / "p")

    class Interrupted(Measured):
        def __call__(self, *given: object) -> Comparison:
            if len(self.asked) == 2:
                raise KeyboardInterrupt
            return super().__call__(*given)  # type: ignore[arg-type]

    first = Interrupted(tmp_path / "p")
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "p", commits[0], commits[-1], first)
    found = search(tmp_path / "p", commits[0], commits[-1], compare)
    assert found.first_bad == [commits[5].id]
    assert set(first.asked).isdisjoint(compare.asked), "no commit is measured twice"
    again = Measured(tmp_path / "p")
    assert search(tmp_path / "p", commits[0], commits[-1], again) == found
    assert again.asked == []


def test_what_a_person_can_do_wrong(tmp_path: Path) -> None:
    root = tmp_path / "p"
    good, bad, other = repository(root, "1", "1.2", "1.3")
    compare = Measured(root)
    with pytest.raises(UsageError, match="does not build on"):
        search(root, bad, good, compare)
    with pytest.raises(UsageError, match="changes what is measured"):
        search(root, good, good, compare)
    (root / "README.md").write_text("words\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "--message", "words")
    with pytest.raises(UsageError, match="changes what is measured"):
        search(root, other, resolve("HEAD", root), compare)
    search(root, good, bad, compare)
    with pytest.raises(UsageError, match="a search of other commits or options"):
        search(root, good, other, compare)
    kept = tmp_path / "search" / STEPS_FILE
    kept.write_text("{}")
    with pytest.raises(UnreadableError, match="is no search: remove it"):
        search(root, good, bad, compare)
    with pytest.raises(UnreadableError, match="cannot read"):
        read_search(tmp_path / "none")


@pytest.mark.parametrize(("commits", "count"), [(1, 1), (2, 2), (3, 3), (8, 4), (9, 5)])
def test_how_many_comparisons_share_alpha(commits: int, count: int) -> None:
    assert comparisons(commits) == count
