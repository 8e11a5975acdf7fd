"""The bisection finds the first commit that is worse than a good one, by `git bisect`.

    found = Bisection(good, bad, compare, folder, progress).find()

Each step compares one commit with the good one, on systems that were started for it. Runs of the
good commit are never paired with those of another step: only what follows each other shares the
machine's speed. What is kept over the steps is the level of their intervals, which all share; the
metrics by which BAD is worse, which alone are gated from then on; and each verdict, so that a
search goes on where it was interrupted.
"""

import re
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from math import ceil, inf, log2
from pathlib import Path
from typing import Literal

from bench.compare.budgets import Budgets
from bench.compare.comparison_record import Comparison, MetricRecord
from bench.errors import BenchError, UnreadableError, UsageError
from bench.git import git
from bench.project import PROJECT_DIR
from bench.records.typed_json import read_plain, to_plain
from bench.regression.side import SideError
from bench.regression.worktree import (
    MEASURED,
    Commit,
    ancestors,
    checked_out,
    folder_for_trees,
)
from bench.result_files import to_json
from bench.run.model import Progress
from machine.errors import StackError
from machine.whole_files import write

STEPS_FILE = "bisect.json"
COMMITS_MAX = 10_000
"""A search is through at most so many commits: more is a mistake in a name."""
FIRST_BAD = re.compile(r"^# (?:possible )?first bad commit: \[([0-9a-f]+)\]", re.MULTILINE)

Answer = Literal["good", "bad", "skip"]
NOT_STARTED = "stack_failed"
"""A step of this verdict did not start: whoever goes on with its search tries it again."""
CODES: dict[Answer, int] = {"good": 0, "bad": 1, "skip": 125}
"""These are the exit codes of a command that ``git bisect run`` calls."""


@dataclass(frozen=True)
class Step:
    """A step is a commit that was compared with the good one."""

    commit: str
    answer: Answer
    code: int
    """The code is that of ``git bisect run``: 0 good, 1 bad, 125 can't tell."""
    verdict: str
    why: str


@dataclass(frozen=True)
class Search:
    """A search is what its file holds: whoever begins the same again goes on with it."""

    good: str
    bad: str
    options: str
    """The options are those of each comparison; another search has others."""
    metrics: dict[str, float]
    """BAD is worse by these metrics, and by so much; none where only its requests end otherwise."""
    steps: list[Step]
    first_bad: list[str]
    """The first bad commit is one of these: a single one where no step was skipped."""


Compare = Callable[[Commit, Collection[str], int], Comparison]
"""A comparison is of a commit with the good one, by metrics of these names (none: all), as one of
so many that share alpha. It raises `SideError` where one of both can't be built or started."""


class Bisection:
    def __init__(
        self,
        good: Commit,
        bad: Commit,
        compare: Compare,
        folder: Path,
        options: str,
        progress: Progress,
        project: Path = PROJECT_DIR,
    ) -> None:
        self._good = good
        self._bad = bad
        self._compare = compare
        self._path = folder / STEPS_FILE
        self._progress = progress
        self._project = project
        self._search = Search(good.id, bad.id, options, {}, [], [])
        between = self._between()
        self._end = self._newest(between)
        self._comparisons = comparisons(len(between))

    def find(self) -> Search:
        """`find` returns the search, with the first bad commits where BAD is worse.

        It raises `UsageError` where nothing that is measured differs, or the folder is of another
        search; `StackError` where BAD or the good commit does not start; and `KeyboardInterrupt`,
        after which the steps so far are kept.
        """
        self._resume()
        end = self._step(self._end)
        if end.answer != "bad":
            return self._search
        with (
            folder_for_trees() as parent,
            checked_out(self._end, parent / "bisect", self._project) as project,
        ):
            tree = parent / "bisect"  # git bisect works at the top of a repository alone
            measured = [str(project.relative_to(tree) / path) for path in MEASURED]
            ends = (self._end.id, self._good.id, *self._without_good())
            self._git(tree, "start", "--no-checkout", *ends, "--", *measured)
            told = set[str]()
            while not (found := FIRST_BAD.findall(git(tree, "bisect", "log"))):
                candidate = git(tree, "rev-parse", "BISECT_HEAD").strip()
                if candidate in told:
                    raise BenchError(
                        f"git bisect asks for {candidate[:10]} again, which it was told of: "
                        f"the answers in {self._path} contradict each other"
                    )
                told.add(candidate)
                step = self._step(Commit(candidate, candidate))
                with suppress(BenchError):  # git ends with 2 where only skipped ones are left
                    self._git(tree, step.answer)
        return self._keep(first_bad=found)

    def _git(self, tree: Path, *arguments: str) -> None:
        lines = git(tree, "bisect", *arguments).strip().splitlines()
        if lines:
            self._progress(lines[0])

    def _between(self) -> list[str]:
        """The commits that may be it, newest first."""
        good, bad = self._good, self._bad
        if good.id not in ancestors(bad, self._project):
            raise UsageError(f"{bad.name} does not build on {good.name}: there is nothing between")
        reach = f"{good.id}..{bad.id}"
        found = git(self._project, "rev-list", "--ancestry-path", reach, "--", *MEASURED).split()
        if not found:
            raise UsageError(f"no commit of {good.name}..{bad.name} changes what is measured")
        if len(found) > COMMITS_MAX:
            raise UsageError(f"{len(found)} commits are between, at most {COMMITS_MAX} may be")
        return found

    def _without_good(self) -> list[str]:
        """The last commits of branches that were begun before GOOD, and merged after it: what GOOD
        made better is not in them, so beside it each would be worse. They count as good: what such
        a branch brought is then its merge's."""
        reach = f"{self._good.id}..{self._end.id}"
        lines = git(self._project, "rev-list", "--ancestry-path", "--parents", reach).splitlines()
        commits = [line.split() for line in lines]
        building_on = {own for own, *_ in commits}
        parents = {parent for _, *own in commits for parent in own}
        return sorted(parents - building_on - {self._good.id})

    def _newest(self, between: list[str]) -> Commit:
        """The newest that changes what is measured, in place of BAD where that is the same system:
        git searches among those alone, and BAD may only change words."""
        newest = between[0]
        is_same = not git(
            self._project, "diff", "--name-only", newest, self._bad.id, "--", *MEASURED
        )
        return Commit(newest, newest) if is_same else self._bad

    def _step(self, commit: Commit) -> Step:
        known = [step for step in self._search.steps if step.commit == commit.id]
        if known:
            return known[0]
        self._progress(f"{commit.short}: against {self._good.short}")
        is_end, metrics = commit.id == self._end.id, self._search.metrics
        try:
            comparison = self._compare(commit, metrics, self._comparisons)
        except StackError as cause:
            if is_end or not (isinstance(cause, SideError) and cause.letter == "B"):
                raise
            step = Step(commit.id, "skip", CODES["skip"], NOT_STARTED, str(cause))
        else:
            is_worse = comparison.verdict == "regression"
            answer = "bad" if is_end and is_worse else answer_of(comparison, metrics)
            why = told(comparison, metrics)
            step = Step(commit.id, answer, CODES[answer], comparison.verdict, why)
            if is_end and answer == "bad":
                metrics = worse(comparison)
        self._progress(f"{commit.short}: {step.answer} ({step.code}): {step.why}")
        self._keep(steps=[*self._search.steps, step], metrics=metrics)
        return step

    def _keep(self, **changes: object) -> Search:
        self._search = Search(**{**vars(self._search), **changes})
        write(self._path, to_json(to_plain(self._search)))
        return self._search

    def _resume(self) -> None:
        if not self._path.exists():
            return
        found = read_search(self._path)
        ours = (self._search.good, self._search.bad, self._search.options)
        if (found.good, found.bad, found.options) != ours:
            raise UsageError(
                f"{self._path.parent} has a search of other commits or options: name another folder"
            )
        steps = [step for step in found.steps if step.verdict != NOT_STARTED]
        self._progress(f"going on after {len(steps)} steps: {self._path}")
        self._search = replace(found, steps=steps)


def read_search(path: Path) -> Search:
    """`read_search` reads what a search keeps. It raises `UnreadableError`."""
    return read_plain(Search, path, UnreadableError, "is no search: remove it to begin anew")


def comparisons(commits: int) -> int:
    """`comparisons` returns how many a search through so many commits makes: BAD, and one for each
    halving."""
    return 1 + ceil(log2(commits)) if commits > 1 else 1


def worse(comparison: Comparison) -> dict[str, float]:
    """`worse` returns the metrics that are a regression, and by how much."""
    return {
        metric.name: abs(metric.change)
        for metric in comparison.metrics
        if metric.verdict == "regression" and metric.role != "shown" and metric.change is not None
    }


def answer_of(comparison: Comparison, metrics: Mapping[str, float]) -> Answer:
    """`answer_of` returns what git is told of a commit, where BAD is worse by these metrics: bad
    where one of them is a regression, and without any where requests end otherwise, or runs fail.

    It is good where the comparison says that it is no worse, or where each metric surely got worse
    by less than half of what it did in BAD. A commit that is worse in another way, or can't be
    judged, tells nothing about this one: skip.
    """
    found = [each for each in comparison.metrics if each.name in metrics]
    if comparison.verdict == "regression":
        by_outcome = any(each.verdict == "regression" for each in comparison.outcomes)
        is_bad = by_outcome or not worse(comparison)
        if metrics:
            is_bad = any(each.verdict == "regression" for each in found)
        return "bad" if is_bad else "skip"
    if len(found) < len(metrics):
        return "skip"
    if comparison.verdict in ("same", "faster"):
        return "good"
    is_judged = comparison.verdict == "inconclusive" and not comparison.outcomes
    is_little = all(_worse_at_most(each) < metrics[each.name] / 2 for each in found)
    return "good" if metrics and is_judged and is_little else "skip"


def _worse_at_most(metric: MetricRecord) -> float:
    """It is not known where the base is not the same as itself: B is compared with its mean."""
    is_base_known = metric.base is None or metric.base.state == "same"
    if metric.low is None or metric.high is None or not is_base_known:
        return inf
    return metric.high if metric.is_lower_better else -metric.low


def told(comparison: Comparison, metrics: Collection[str]) -> str:
    """`told` returns why, in a line."""
    found = [each.reason for each in comparison.metrics if each.name in metrics]
    return "; ".join(found) or comparison.headline


def only(budgets: Budgets, comparison_metrics: Collection[str]) -> Budgets:
    """`only` returns budgets that gate these metrics, which then decide; none: as they are.

    Fewer gated metrics need fewer pairs, and so less time.
    """
    if not comparison_metrics:
        return budgets
    return budgets._replace(names=frozenset(comparison_metrics), levels=[])


def report(search: Search, project: Path = PROJECT_DIR) -> str:
    """`report` returns Markdown: the first bad commit, and how it was found."""
    lines = [f"## {headline(search)}", ""]
    for commit in search.first_bad:
        about = git(project, "log", "-1", "--format=%an, %as: %s", commit).strip()
        lines.append(f"- `{commit}`: {about}")
    lines += ["", "| commit | git bisect | verdict | why |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{step.commit[:10]}` | {step.answer} ({step.code}) | {step.verdict} "
        f"| {step.why.replace('|', chr(92) + '|')} |"
        for step in search.steps
    ]
    return "\n".join([*lines, ""])


def headline(search: Search) -> str:
    """`headline` returns what was found, in a line."""
    found, good = search.first_bad, search.good[:10]
    if not found:
        end = search.steps[0]
        return (
            f"NOTHING TO SEARCH: {end.commit[:10]} is not known to be worse than {good}: {end.why}"
        )
    if len(found) == 1:
        return f"FIRST BAD COMMIT: {found[0][:10]}"
    names = ", ".join(commit[:10] for commit in found)
    return f"CAN'T TELL: the first bad commit is one of {names}, as steps between them were skipped"
