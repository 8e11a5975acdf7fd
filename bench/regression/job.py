"""Two commits measured side by side: both built, both warm, in turns, until the answer is known.

    comparison = Job(base, head, options, progress).execute(folder)

The generator and the judgement are always those of this work tree; only ``system/`` differs.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from bench.compare.budgets import Budgets
from bench.compare.comparison import Comparison, compare, unfit
from bench.compare.metric_pairs import Spreads
from bench.compare.run_pairs import Pair, UnfitError
from bench.compare.stopping_rule import LOOKS_MAX, Plan, Step, turns
from bench.regression.pair_loop import Gate, gate, take
from bench.regression.python_env import python_of
from bench.regression.side import Side, subjects
from bench.regression.worktree import (
    Commit,
    changed,
    checked_out,
    folder_for_trees,
    is_gateway_only,
)
from bench.run.model import Progress, Subject
from bench.run.run import Run
from bench.run.settings import Settings

RATE_PER_S = 200.0
"""Default of `--rate`: about half of what two cores answer, next to everything else on them."""
DURATION_S = 5.0
"""Measured of each run of a regression job: many short runs tell more than few long ones."""
WARMUP_S = 1.0
"""Before each window: connections open, and caches hold this run's entities."""
FIRST_WARMUP_S = 40.0
"""At most, of a stack that was just started: until it is steady."""
BUDGET_S = 1080.0
"""Of a whole job, all included, so that it takes less than 20 minutes."""
BUDGET_S_MIN = 30.0
"""The smallest one: with less, no stack comes up."""
BUDGET_S_MAX = 86_400.0
"""The largest `--budget-s`: a day."""
CLOSING_S = 30.0
"""Of the budget, kept free to end stacks and to compare."""


PAIRS_MIN = 2
"""Of a batch, even when the time is over: one block of ABBA, so that there is something to show."""


class Options(NamedTuple):
    rate_per_s: float = RATE_PER_S
    duration_s: float = DURATION_S
    warmup_s: float = WARMUP_S
    first_warmup_s: float = FIRST_WARMUP_S
    budget_s: float = BUDGET_S
    seed: int = 1

    def settings(self, number: int) -> Settings:
        """Of both runs of a pair: they send the same requests at the same times."""
        return Settings(
            rate=f"{self.rate_per_s:g}",
            first_warmup_s=0.0,
            warmup_s=self.warmup_s,
            duration_s=self.duration_s,
            seed=self.seed + number,
        )


class Job:
    def __init__(
        self,
        base: Commit,
        head: Commit,
        options: Options,
        budgets: Budgets,
        spreads: Spreads | None,
        progress: Progress,
    ) -> None:
        self._commits = {"A": base, "B": head}
        self._options = options
        self._budgets = budgets
        self._spreads = spreads or {}
        self._progress = progress
        self._measured = 0
        """Pairs, over all batches."""
        self._began_s = time.monotonic()

    def execute(self, folder: Path) -> Comparison:
        """Runs are recorded below `folder`, and stay, as what the stacks print.

        Raises `StackError` where a side can't be built or started, `KeyboardInterrupt` where a run
        was interrupted.
        """
        shared = is_gateway_only(changed(self._commits["A"], self._commits["B"]))
        where = "only gateways differ: one Kafka and Flink" if shared else "a whole stack each"
        self._progress(f"{where}; runs are recorded in {folder}")
        with self._built() as sides:
            try:
                self._measure(sides, shared, folder)
            except UnfitError as cause:
                return unfit(cause)
        batch, fresh = ((folder / name / "A", folder / name / "B") for name in ("batch", "fresh"))
        return compare(
            *batch,
            self._budgets,
            fresh if fresh[0].exists() else None,
            LOOKS_MAX,
            self._spreads,
        )

    @contextmanager
    def _built(self) -> Iterator[list[Side]]:
        with folder_for_trees() as parent:
            a, b = self._commits.values()
            with checked_out(a, parent / "A") as a_tree, checked_out(b, parent / "B") as b_tree:
                yield [
                    Side(letter, commit, tree, python_of(tree, self._progress))
                    for (letter, commit), tree in zip(
                        self._commits.items(), (a_tree, b_tree), strict=True
                    )
                ]

    def _measure(self, sides: list[Side], shared: bool, folder: Path) -> None:
        options, started_s = self._options, time.monotonic()
        with Batch(sides, shared, folder / "batch", options, self._progress) as batch:
            gated = gate(batch.warm(), self._budgets, self._spreads)
            ready_s = time.monotonic()
            spent_before_s = ready_s - self._began_s
            budget_s = max(0.0, options.budget_s - CLOSING_S - spent_before_s)
            plan = Plan.of(len(gated.rules), budget_s, fresh_start_s=ready_s - started_s)
            stacks = [batch]

            def measure(step: Step) -> list[Pair]:
                if step.action == "repeat" and len(stacks) == 1:
                    batch.close()
                    fresh = Batch(sides, shared, folder / "fresh", options, self._progress)
                    stacks.append(fresh.__enter__())
                    fresh.warm()
                return stacks[-1].measure(step.pairs, self._number(step), ready_s + budget_s)

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

    def _number(self, step: Step) -> int:
        first, self._measured = self._measured, self._measured + step.pairs
        return first


class Batch:
    """Systems that are up, and the pairs of runs that are measured on them."""

    def __init__(
        self, sides: list[Side], shared: bool, folder: Path, options: Options, progress: Progress
    ) -> None:
        self._folder = folder
        self._options = options
        self._progress = progress
        self._context = subjects(sides, shared, folder / "stacks", progress)
        self._is_open = False

    def __enter__(self) -> "Batch":
        self._subjects: Mapping[str, Subject] = self._context.__enter__()
        self._is_open = True
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the systems; once is enough."""
        if self._is_open:
            self._is_open = False
            self._progress("ending the stacks")
            self._context.__exit__(None, None, None)

    def warm(self) -> Pair:
        """Loads each side until it is steady, and measures it once; these runs do not count."""
        settings = replace(self._options.settings(0), first_warmup_s=self._options.first_warmup_s)
        found = []
        for letter in self._subjects:
            self._progress(f"{letter}: warming up, {settings.first_warmup_s:g} s at most")
            found.append(self.run(letter, settings, self._folder / "warm-up", "warm"))
        return Pair(*found)

    def measure(self, pairs: int, first: int, deadline_s: float) -> list[Pair]:
        """Pairs in turns, from number `first` on; fewer where the time is over before."""
        found: list[Pair] = []
        order = turns(pairs, self._options.seed + first)
        for place in range(pairs):
            if place >= PAIRS_MIN and time.monotonic() > deadline_s:
                break
            settings = self._options.settings(first + place + 1)
            letters = order[2 * place : 2 * place + 2]
            runs = {
                letter: self.run(
                    letter, settings, self._folder / letter, f"pair {place + 1} of {pairs}"
                )
                for letter in letters
            }
            found.append(Pair(runs["A"], runs["B"]))
        return found

    def run(self, letter: str, settings: Settings, folder: Path, what: str) -> dict[str, Any]:
        """One run, recorded. Raises `KeyboardInterrupt` where it was interrupted."""
        run, _ = Run(settings, folder, _nothing, subject=self._subjects[letter]).execute()
        self._progress(f"{letter} {what}: {described(run)}")
        if run["verdict"] == "interrupted":
            raise KeyboardInterrupt
        return run


def described(run: Mapping[str, Any]) -> str:
    """A run in a line."""
    parts = []
    for phase in run["phases"]:
        window = phase["window"]
        if window is None:
            continue
        latency = window["latency_ms"]
        if latency:
            parts.append(f"p50 {latency['p50']:.1f} ms, p99 {latency['p99']:.1f} ms")
        parts += [
            f"{group} {cpu['us_per_request']:,.0f} µs"
            for group, cpu in window["cpu"].items()
            if cpu["us_per_request"] is not None
        ]
    verdict = run["verdict"].upper()
    why = f": {'; '.join(run['reasons'])}" if run["reasons"] else ""
    return f"{', '.join(parts) or 'nothing was measured'} - {verdict}{why}"


def _nothing(_: str) -> None:
    return None
