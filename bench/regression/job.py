"""A job measures two commits: both built, both warm, in turns, until the answer is known.

    comparison = Job(base, head, options, budgets, spreads, measure, progress).execute(folder)

The generator and the judgement are always those of this work tree; only ``system/`` differs. Or the
commits are of a service of one's own, and only that differs.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from bench.compare.budgets import Budgets
from bench.compare.comparability import Folders
from bench.compare.comparison import compare, unfit
from bench.compare.comparison_record import Comparison
from bench.compare.metric_pairs import Spreads
from bench.compare.run_pairs import Pair, UnfitError
from bench.project import PROJECT_DIR
from bench.records.run_record import RunRecord
from bench.regression.pair_loop import Gate, take, warmed
from bench.regression.python_env import install_service, python_of
from bench.regression.runs import Measure, Options, described
from bench.regression.side import Side, SideError, subjects
from bench.regression.stopping_rule import FAILED_PAIRS_MIN, LOOKS_MAX, Plan, Step, turns
from bench.regression.worktree import (
    Commit,
    changed,
    checked_out,
    folder_for_trees,
    is_gateway_only,
)
from bench.run.model import Progress, Subject
from bench.run.record import was_interrupted
from bench.run.settings import Settings
from machine.errors import StackError

BUDGET_S_MIN = 30.0
"""A smaller `--budget-s` is refused: with less, no stack comes up."""
BUDGET_S_MAX = 86_400.0
"""A larger `--budget-s` is refused: it is a day."""
CLOSING_S = 30.0
"""This part of the budget is kept free to end stacks and to compare."""


AGAIN = "A2"
"""The base again has this letter: a system of its own, as no change at all looks."""
PAIRS_MIN = 2
"""A batch has at least so many pairs, even when the time is over: one block of turns, so that
there is something to show."""


class Job:
    def __init__(
        self,
        base: Commit,
        head: Commit,
        options: Options,
        budgets: Budgets,
        spreads: Spreads | None,
        measure: Measure,
        progress: Progress,
        comparisons: int = 1,
        service: Path | None = None,
    ) -> None:
        """The job is one of so many `comparisons`, which share alpha. The commits are of this
        project, or of the package of a `service` of one's own in that folder."""
        self._service = service
        self._project = service or PROJECT_DIR
        self._measure_run = measure
        self._comparisons = comparisons
        self._commits = {"A": base, "B": head}
        self._options = options
        self._budgets = budgets
        self._spreads = spreads or {}
        self._progress = progress
        self._measured = 0
        """So many pairs were measured, over all batches."""
        self._began_s = time.monotonic()

    def execute(self, folder: Path) -> Comparison:
        """`execute` measures and compares. Runs are recorded below `folder`, and stay, as what the
        stacks print.

        A run that fails is a result, and counts against its side. It raises `SideError` where a
        side can't be built or started, `KeyboardInterrupt` where a run was interrupted.
        """
        paths = changed(self._commits["A"], self._commits["B"], self._project)
        shared = self._service is None and is_gateway_only(paths)
        where = "only gateways differ: one Kafka and Flink" if shared else "a whole stack each"
        self._progress(f"{where}; runs are recorded in {folder}")
        with self._built() as sides:
            try:
                self._measure(sides, shared, folder)
            except UnfitError as cause:
                return unfit(cause)
        batch, fresh = (
            Folders(*(folder / name / letter for letter in ("A", "B", AGAIN)))
            for name in ("batch", "fresh")
        )
        return compare(
            batch,
            self._budgets,
            fresh if fresh.a.exists() else None,
            LOOKS_MAX,
            self._spreads,
            self._comparisons,
        )

    @contextmanager
    def _built(self) -> Iterator[list[Side]]:
        with folder_for_trees() as parent, ExitStack() as trees:
            base, head = (
                self._side(letter, commit, trees.enter_context(
                    checked_out(commit, parent / letter, self._project)))
                for letter, commit in self._commits.items()
            )  # fmt: skip
            yield [base, base._replace(letter=AGAIN), head]

    def _side(self, letter: str, commit: Commit, tree: Path) -> Side:
        side = Side(letter, commit, tree, Path(sys.executable))
        try:
            if self._service is None:
                return side._replace(python=python_of(tree, self._progress))
            packages = tree.with_name(f"{tree.name}-packages")
            self._progress(f"{letter}: installing the package of {commit.short}")
            install_service(tree, packages)
            return side._replace(packages=packages)
        except StackError as cause:
            raise SideError(side, str(cause)) from None

    def _measure(self, sides: list[Side], shared: bool, folder: Path) -> None:
        options, started_s = self._options, time.monotonic()
        with self._batch(sides, shared, folder / "batch") as batch:
            gated = warmed(batch.warm, self._budgets, self._spreads, self._progress)
            ready_s = time.monotonic()
            spent_before_s = ready_s - self._began_s
            budget_s = max(0.0, options.budget_s - CLOSING_S - spent_before_s)
            plan = Plan.of(
                len(gated.rules), budget_s, ready_s - started_s, comparisons=self._comparisons
            )
            stacks = [batch]

            def measure(step: Step) -> list[Pair]:
                if step.action == "repeat" and len(stacks) == 1:
                    batch.close()
                    fresh = self._batch(sides, shared, folder / "fresh")
                    stacks.append(fresh.__enter__())
                    fresh.warm()

                def is_enough(found: Sequence[Pair]) -> bool:
                    moved_max = self._budgets.moved_max
                    kept = sum(each.void_because(moved_max) is None for each in found)
                    return plan.is_enough(step, len(found), kept, time.monotonic() - ready_s)

                number, deadline_s = self._number(step), ready_s + budget_s
                return stacks[-1].measure(step.pairs, number, deadline_s, is_enough)

            try:
                taken = take(
                    Gate(*gated),
                    plan,
                    self._budgets,
                    self._spreads,
                    measure,
                    lambda: time.monotonic() - ready_s,
                    self._progress,
                )
            finally:
                for fresh in stacks[1:]:
                    fresh.close()
            self._progress(f"{len(taken.pairs) + len(taken.fresh)} pairs: {taken.why}")

    def _batch(self, sides: list[Side], shared: bool, folder: Path) -> "Batch":
        context = subjects(sides, shared, folder / "stacks", self._progress)
        return Batch(context, folder, self._options, self._measure_run, self._progress)

    def _number(self, step: Step) -> int:
        first, self._measured = self._measured, self._measured + step.pairs
        return first


class Batch:
    """A batch is systems that are up, and the pairs of runs that are measured on them."""

    def __init__(
        self,
        subjects: AbstractContextManager[Mapping[str, Subject]],
        folder: Path,
        options: Options,
        measure: Measure,
        progress: Progress,
    ) -> None:
        self._context = subjects
        self._folder = folder
        self._measure_run = measure
        self._options = options
        self._progress = progress
        self._is_open = False

    def __enter__(self) -> "Batch":
        self._subjects: Mapping[str, Subject] = self._context.__enter__()
        self._is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """`close` ends the systems; once is enough."""
        if self._is_open:
            self._is_open = False
            self._progress("ending the stacks")
            self._context.__exit__(None, None, None)

    def warm(self) -> Pair:
        """`warm` loads each side until it is steady, and measures it once; these runs do not
        count."""
        settings = replace(self._options.settings(0), first_warmup_s=self._options.first_warmup_s)
        found = {}
        for letter in self._subjects:
            self._progress(f"{letter}: warming up, {settings.first_warmup_s:g} s at most")
            found[letter] = self.run(letter, settings, self._folder / "warm-up", "warm")
        return _pair(found)

    def measure(
        self, pairs: int, first: int, deadline_s: float, is_enough: Callable[[Sequence[Pair]], bool]
    ) -> list[Pair]:
        """`measure` measures pairs in turns, from number `first` on; fewer where the time is over
        before, where those so far are enough, or where each of the first ones has a run that
        failed."""
        found: list[Pair] = []
        orders = turns(list(self._subjects), pairs, self._options.seed + first)
        for place, letters in enumerate(orders):
            if place >= PAIRS_MIN and (time.monotonic() > deadline_s or is_enough(found)):
                break
            settings, what = self._options.settings(first + place + 1), f"{place + 1} of {pairs}"
            runs = {
                letter: self.run(letter, settings, self._folder / letter, what)
                for letter in letters
            }
            found.append(_pair(runs))
            if len(found) >= FAILED_PAIRS_MIN and all(pair.broken for pair in found):
                break
        return found

    def run(self, letter: str, settings: Settings, folder: Path, what: str) -> RunRecord:
        """`run` makes one run, recorded. It raises `KeyboardInterrupt` where it was interrupted."""
        run = self._measure_run(settings, folder, self._subjects[letter])
        self._progress(f"{letter} {what}: {described(run)}")
        if was_interrupted(run):
            raise KeyboardInterrupt
        return run


def _pair(runs: Mapping[str, RunRecord]) -> Pair:
    return Pair(runs["A"], runs["B"], runs[AGAIN])
