"""Both sides' outcomes are compared: a system that refuses its work is no faster one.

For each operation, the share of each way in which its requests ended is compared, pooled over all
runs. A change of what is refused counts in either direction, as the sides send the same kinds of
requests; fewer failures are no harm. So does a side whose runs fail, or are void, more often than
the other's: both were measured in turns, on one machine.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from scipy.stats import fisher_exact

from bench.compare.run_pairs import BROKEN, Sides
from bench.judge.generator_health import GENERATOR_BUSY
from bench.records.run_record import Figures, RunRecord
from bench.records.samples import kind_of
from bench.stats.pooled_share import Count, PooledShare, pooled
from bench.stats.window import asked, failures, successes

OUTCOMES_ALPHA = 0.01
"""Any outcome of unchanged sides counts as changed with this chance, in all comparisons that share
it: no fresh batch repeats it."""
REFUSED_POINTS_MAX = 0.05
"""An operation's refused share may differ by so much: what is refused depends a little on who meets
whom, and when."""
FAILED_POINTS_MAX = 0.001
"""The failed share of all requests of a phase may differ by so much, as the threshold of the metric
`failed`."""
OPERATION_FAILED_POINTS_MAX = 0.01
"""The failed share of one operation's requests, of which there are fewer, may differ by so much."""
RUNS_MIN = 4
"""A side needs so many runs: fewer can't tell how much runs scatter, so what looks changed is only
suspected."""
BURSTS = 4.0
"""Runs that scatter so many times as much as their requests would alone are no chance: 12 of them
do in 1 of 100,000 times."""
DONE, FAILED, VOID = "done", "failed", "void"

State = Literal["same", "changed", "suspected"]


class Outcome(NamedTuple):
    phase: str
    operation: str
    """The operation is empty for all of a phase."""
    kind: str
    """The kind is a status below 400, or `DONE` where runs don't tell which; `FAILED`; or a refusal
    as "409 out_of_stock"."""

    @property
    def limit(self) -> float:
        if self.kind != FAILED:
            return REFUSED_POINTS_MAX
        return OPERATION_FAILED_POINTS_MAX if self.operation else FAILED_POINTS_MAX

    @property
    def is_done(self) -> bool:
        return self.kind == DONE or kind_of(self.kind) == "ok"

    def __str__(self) -> str:
        return f"{self.phase} {self.operation or 'all requests'}: {self.kind}"


Side = Sequence[tuple[Mapping[Outcome, int], Mapping[tuple[str, str], int]]]
"""A side has a pair for each run: how often what came out, and how often what was asked."""


class Finding(NamedTuple):
    outcome: Outcome
    share: PooledShare
    state: State

    @property
    def line(self) -> str:
        share = self.share
        moved = f"{share.a:.2%} of A's requests, {share.b:.2%} of B's"
        between = f"{share.low * 100:+.2g} to {share.high * 100:+.2g} points"
        if self.state == "changed":
            return f"{self.outcome}: {moved} ({between}), pooled over all runs"
        runs = f"; runs scatter {share.dispersion:.0f} times as much as their requests would alone"
        more = runs if share.dispersion >= 2 else ""
        return f"{self.outcome}: {moved} ({between}): too far apart, and not surely so{more}"


def judge(sides: Sides, comparisons: int = 1) -> list[Finding]:
    """`judge` returns what looks changed, by pooled shares; nothing where both answer alike."""
    a, b = sides.base, sides.b
    untold = _untold((*a, *b))
    ours, theirs = ([(dict(_counts(run, untold)), _asked(run)) for run in side] for side in (a, b))
    alpha = OUTCOMES_ALPHA / comparisons
    outcomes = list(dict.fromkeys(outcome for run, _ in (*ours, *theirs) for outcome in run))
    found = []
    for outcome in outcomes:
        place = outcome.phase, outcome.operation
        of_a, of_b = (
            [Count(run.get(outcome, 0), asked[place]) for run, asked in side]
            for side in (ours, theirs)
        )
        share = pooled(of_a, of_b, alpha / len(outcomes))
        if share is not None:
            state = _state(outcome, share, min(len(a), len(b)))
            if outcome.is_done and share.change > 0:  # what failed before may be done now
                failed = outcome._replace(kind=FAILED)
                fell = _share(ours, failed) - _share(theirs, failed)
                state = "same" if share.change - fell <= outcome.limit else state
            if state == "suspected" and outcome.kind != FAILED and share.dispersion < BURSTS:
                moved = abs(_over_phases(outcome, ours, theirs))
                state = "same" if moved <= outcome.limit else state
            if state != "same":
                found.append(Finding(outcome, share, state))
    return found


def _share(side: Side, outcome: Outcome) -> float:
    asked = sum(each[outcome.phase, outcome.operation] for _, each in side)
    return sum(run.get(outcome, 0) for run, _ in side) / max(1, asked)


def _over_phases(outcome: Outcome, ours: Side, theirs: Side) -> float:
    """How far its share moved in all phases, each by its weight (Mantel and Haenszel, J. Natl.
    Cancer Inst. 22, 1959): a rare operation has a dozen requests in one of them, of which chance
    alone moves more than any limit, and hundreds in another."""
    moved, weights = 0.0, 0.0
    for place in {place for _, requests in (*ours, *theirs) for place in requests}:
        phase, operation = place
        of_a, of_b = (sum(requests[place] for _, requests in side) for side in (ours, theirs))
        if operation == outcome.operation and of_a and of_b:
            weight = of_a * of_b / (of_a + of_b)
            there = outcome._replace(phase=phase)
            moved += weight * (_share(theirs, there) - _share(ours, there))
            weights += weight
    return moved / weights


def _state(outcome: Outcome, share: PooledShare, runs: int) -> State:
    is_worse = share.change > 0 or outcome.kind != FAILED
    if abs(share.change) <= outcome.limit or not is_worse:
        return "same"
    is_sure = not share.low <= 0 <= share.high
    return "changed" if is_sure and runs >= RUNS_MIN else "suspected"


def _windows(run: RunRecord) -> Iterator[tuple[str, str, Figures]]:
    for phase in run.fixed_phases:
        if phase.window is not None:
            yield phase.name, "", phase.window
            for operation, figures in phase.window.operations.items():
                yield phase.name, operation, figures


def _asked(run: RunRecord) -> Counter[tuple[str, str]]:
    return Counter({(phase, name): asked(figures) for phase, name, figures in _windows(run)})


def _untold(runs: Sequence[RunRecord]) -> set[str]:
    """The operations of which a run does not tell by which statuses they were done."""
    found = (each for run in runs for each in _windows(run))
    return {operation for _, operation, figures in found if successes(figures) and not figures.done}


def _counts(run: RunRecord, untold: Collection[str]) -> Iterator[tuple[Outcome, int]]:
    for phase, operation, figures in _windows(run):
        yield Outcome(phase, operation, FAILED), failures(figures)
        if operation:
            done = {DONE: successes(figures)} if operation in untold else figures.done
            for kind, count in {**done, **figures.refused}.items():
                yield Outcome(phase, operation, kind), count


def blamed(batch: Sides, fresh: Sides, looks: int, comparisons: int) -> str | None:
    """`blamed` returns a line where B is why its runs fail.

    All of one start may fail for that start alone: another one must show it, where there is one,
    and where a job could have asked it.
    """
    line = failed_by_side(batch + fresh, comparisons)
    if line is None or not fresh.b:
        return line if looks == 1 else None
    if all(run.verdict in BROKEN for run in batch.b):
        return line if failed_by_side(fresh) else None
    return line if any(run.verdict in BROKEN for run in fresh.b) else None


def failed_by_side(sides: Sides, comparisons: int = 1) -> str | None:
    """`failed_by_side` returns a line where runs of B are FAILED or INVALID surely more often than
    A's: B is why they are."""
    of_a, of_b = ([_failed_because(run) for run in side] for side in (sides.base, sides.b))
    return _more_often("failed", of_a, of_b, comparisons)


def void_by_side(sides: Sides, lost: Mapping[str, str], comparisons: int = 1) -> str | None:
    """`void_by_side` returns a line where B's runs are void surely more often than A's: B is why
    they are. So is a run in `lost`, run_id → why.

    Runs that failed are left out, and those whose generator was too busy: the faster a system, the
    busier who loads it.
    """
    told = [
        [_void_because(run, lost) for run in side if run.verdict not in BROKEN]
        for side in (sides.base, sides.b)
    ]
    of_a, of_b = ([why for why in side if GENERATOR_BUSY not in (why or "")] for side in told)
    return _more_often("are void", of_a, of_b, comparisons)


def _more_often(
    did: str, of_a: Sequence[str | None], of_b: Sequence[str | None], comparisons: int
) -> str | None:
    """A line where more runs of B have a reason than chance allows (Fisher's exact test)."""
    sides = of_a, of_b
    spoilt = [len(side) - side.count(None) for side in sides]
    table = [[some, len(side) - some] for some, side in zip(spoilt, sides, strict=True)]
    alpha = OUTCOMES_ALPHA / comparisons
    if not all(sides) or fisher_exact(table, alternative="less").pvalue > alpha:
        return None
    why = next(why for why in of_b if why is not None)
    return (
        f"{spoilt[1]} of {len(of_b)} runs of B {did}, and {spoilt[0]} of {len(of_a)} of A: "
        f"the reason is B's ({why})"
    )


def _failed_because(run: RunRecord) -> str | None:
    return "; ".join(run.reasons) if run.verdict in BROKEN else None


def _void_because(run: RunRecord, lost: Mapping[str, str]) -> str | None:
    if run.verdict != VOID:
        return lost.get(run.run_id)
    return next((why for why in run.reasons if GENERATOR_BUSY not in why), run.reasons[0])
