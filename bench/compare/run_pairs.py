"""Sets of recorded runs: from folders to pairs of runs, A and B, in the order of measuring."""

from collections.abc import Sequence
from itertools import pairwise
from math import log
from pathlib import Path
from typing import Any, Literal, NamedTuple

from bench.compare.metrics import controls
from bench.errors import COMPARISON_EXITS, BenchError
from bench.records.run_record import MissingFigureError, RunFileError, VersionError, read_run

Run = dict[str, Any]

RUNS_MAX = 500
"""Of a set; the exact distribution of more takes long, and nobody measures so many."""

Fault = Literal["incomparable", "invalid", "unreadable", "missing_metric", "other_schema"]


class UnfitError(BenchError):
    """Runs that can't be compared, and in which way; a line for each reason."""

    def __init__(self, fault: Fault, *lines: str) -> None:
        super().__init__("\n".join(lines))
        self.fault = fault
        self.exit_code = COMPARISON_EXITS[fault]
        self.lines = lines


def read_set(where: Path) -> list[Run]:
    """The runs of a folder, of its subfolders, or of one run.json, by time. Raises `UnfitError`."""
    if where.is_dir() and not (where / "run.json").exists():
        paths = sorted(where.glob("*/run.json"))
    else:
        paths = [where]
    if not paths:
        raise UnfitError("unreadable", f"{where} has no run.json, nor has a folder in it")
    if len(paths) > RUNS_MAX:
        raise UnfitError("unreadable", f"{where} has {len(paths)} runs, at most {RUNS_MAX} do")
    runs = [_read(path) for path in paths]
    for run in runs:
        refuse_unfit(run)
    return sorted(runs, key=lambda run: (run["started_utc"], run["run_id"]))


def refuse_unfit(run: Run) -> None:
    """Raises `UnfitError` for a run that says nothing, unless it is VOID: then its pair is."""
    if run["verdict"] not in ("valid", "void"):
        why = "; ".join(run["reasons"])
        raise UnfitError("invalid", f"run {run['run_id']} is {run['verdict'].upper()}: {why}")


def _read(where: Path) -> Run:
    try:
        return read_run(where)
    except RunFileError as cause:
        raise UnfitError(_fault(cause), str(cause)) from None


def _fault(cause: RunFileError) -> Fault:
    if isinstance(cause, VersionError):
        return "other_schema"
    return "missing_metric" if isinstance(cause, MissingFigureError) else "unreadable"


class Pair(NamedTuple):
    """Two runs, one after the other, in either order."""

    a: Run
    b: Run

    @property
    def is_a_first(self) -> bool:
        return bool(self.a["started_utc"] < self.b["started_utc"])

    @property
    def started(self) -> tuple[str, str]:
        """The earlier and the later one's time."""
        first, second = sorted((self.a["started_utc"], self.b["started_utc"]))
        return first, second

    def void_because(self, moved_max: float) -> str | None:
        """Why it says nothing: a bottleneck beside the system, or the machine moved.

        `moved_max`: how far the control workload may move, 0.1 for 10 %.
        """
        for run in self:
            if run["verdict"] == "void":
                return f"run {run['run_id']} is VOID: {'; '.join(run['reasons'])}"
        ours, theirs = controls(self.a), controls(self.b)
        for name in ours.keys() & theirs.keys():
            if abs(log(theirs[name] / ours[name])) > log(1 + moved_max):
                moved = theirs[name] / ours[name] - 1
                return f"the machine moved: control {name} {moved:+.0%} from A to B"
        return None


def pair_up(a: Sequence[Run], b: Sequence[Run]) -> list[Pair]:
    """By the order of time; what one set has more stays without a partner."""
    return [Pair(*runs) for runs in zip(a, b, strict=False)]


def is_interleaved(pairs: Sequence[Pair]) -> bool:
    """Each pair was over before the next began, so that a drift of the machine hits both sides."""
    return all(pair.started[1] < after.started[0] for pair, after in pairwise(pairs))


def is_balanced(pairs: Sequence[Pair]) -> bool:
    """As many pairs began with A as with B, or one more: ABBA."""
    a_first = sum(pair.is_a_first for pair in pairs)
    return abs(2 * a_first - len(pairs)) <= 1
