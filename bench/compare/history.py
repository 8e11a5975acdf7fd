"""A history shows each metric over commits, and where it changed for good.

Change points are found by PELT (Killick, Fearnhead and Eckley, "Optimal detection of changepoints
with a linear computational cost", JASA 107, 2012) in the logarithm of each commit's median run.
Then those are left out that are smaller than the metric's threshold, by the medians on both sides,
so that a single wild commit is none.
"""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
import ruptures

from bench.compare import comparability
from bench.compare.budgets import Budgets
from bench.compare.metric import Metric
from bench.compare.metrics import readings
from bench.compare.run_pairs import BROKEN, UnfitError
from bench.records.run_files import is_unfinished, read_run
from bench.records.run_record import RunRecord
from bench.records.versioned_json import RunFileError

HISTORY_RUNS_MAX = 10_000
"""A history has at most this many runs."""
COMMITS_MIN = 3
"""A change has so many commits on each side: fewer may be an outlier."""
PENALTY = 3.0
"""A change point must explain this many times log(commits) and the noise's variance (Zhang and
Siegmund, "A modified Bayes information criterion", Biometrics 63, 2007)."""
NOISE_THRESHOLDS_MIN = 0.1
"""The noise counts as at least this part of the threshold: rounded figures may show none at all."""


class Point(NamedTuple):
    commit: str
    started_utc: str
    value: float
    """The value is the median of its runs."""
    runs: int


class Shift(NamedTuple):
    """A shift is a change that stayed."""

    place: int
    """The place is that of the first point that has it."""
    before: float
    after: float
    change: float
    """The change is as people say it: 0.1 is 10 % more."""
    is_worse: bool


class Series(NamedTuple):
    metric: Metric
    points: list[Point]
    shifts: list[Shift]

    def levels(self) -> list[tuple[int, int, float]]:
        """`levels` returns first and last point of each stretch between changes, and its median."""
        ends = [0, *(shift.place for shift in self.shifts), len(self.points)]
        return [
            (begin, end - 1, median(point.value for point in self.points[begin:end]))
            for begin, end in pairwise(ends)
        ]


class History(NamedTuple):
    reference: RunRecord
    """The reference is the newest run; all others are comparable with it."""
    series: list[Series]
    runs: int
    left_out: list[str]
    """The lines say why, with the number of runs."""

    def to_json(self) -> dict[str, object]:
        return {
            "reference": self.reference.run_id,
            "runs": self.runs,
            "left_out": self.left_out,
            "series": [
                {
                    "metric": series.metric.name,
                    "unit": series.metric.unit,
                    "is_lower_better": series.metric.is_lower_better,
                    "points": [point._asdict() for point in series.points],
                    "shifts": [shift._asdict() for shift in series.shifts],
                }
                for series in self.series
            ],
        }


def read_history(folder: Path, budgets: Budgets, commits: Sequence[str] = ()) -> History:
    """`read_history` reads all runs below the folder that can be compared with the newest. It
    raises `UnfitError`.

    `commits` are ids in the order in which they build on each other: so the runs are drawn,
    whenever they were measured. Those of a commit that is none of them come last, by time.
    """
    paths = sorted(folder.rglob("run.json"))
    if len(paths) > HISTORY_RUNS_MAX:
        line = f"{folder} has {len(paths)} runs, at most {HISTORY_RUNS_MAX} are drawn"
        raise UnfitError("unreadable", line)
    runs, left_out = [], Counter[str]()
    if unfinished := sum(map(is_unfinished, {path.parent for path in folder.rglob("samples-*")})):
        left_out["killed before its record was written, or still under way"] = unfinished
    for path in paths:
        try:
            run = read_run(path)
        except RunFileError as cause:
            left_out[str(cause)] += 1
            continue
        if run.verdict == "valid":
            runs.append(run)
        else:
            # A commit whose runs fail is in no series: it must not be overlooked.
            whose = f", of commit {run.commit}" if run.verdict in BROKEN else ""
            left_out[f"not valid but {run.verdict}{whose}"] += 1
    if not runs:
        why = next(iter(left_out), "no run.json is in it")
        raise UnfitError("unreadable", f"{folder} has no run to draw: {why}")
    runs.sort(key=lambda run: (run.started_utc, run.run_id))
    alike = []
    for run in runs:
        unlike = comparability.differences(runs[-1:], [run])
        if unlike:
            left_out[f"not comparable with the newest, {unlike[0]}"] += 1
        else:
            alike.append(run)
    alike.sort(key=lambda run: _place(run.commit.id, commits))
    series = _series(alike, budgets, left_out)
    lines = [f"{number} left out: {why}" for why, number in left_out.items()]
    return History(runs[-1], series, len(alike), lines)


def _place(commit: str, commits: Sequence[str]) -> int:
    """Of a run's short id among full ones."""
    found = (place for place, id_ in enumerate(commits) if id_.startswith(commit))
    return next(found, len(commits))


def _series(runs: Sequence[RunRecord], budgets: Budgets, left_out: "Counter[str]") -> list[Series]:
    """Counts in `left_out` what is not drawn."""
    values: dict[Metric, dict[str, list[float]]] = {}
    started: dict[str, str] = {}
    for run in runs:
        commit = str(run.commit)
        started.setdefault(commit, run.started_utc)
        for metric, reading in readings(run, list(budgets.operation_metrics)).items():
            if reading.at_least and budgets.rule(metric) is not None:
                left_out[f"{metric.name} is only known to be at least so much"] += 1
            elif reading.value is not None:
                values.setdefault(metric, {}).setdefault(commit, []).append(reading.value)
    found = []
    for metric, by_commit in values.items():
        points = [
            Point(commit, started[commit], median(own), len(own))
            for commit, own in by_commit.items()
        ]
        rule = budgets.rule(metric)
        if rule is not None:
            shifts = find_shifts([p.value for p in points], metric, rule.of(metric).threshold)
            found.append(Series(metric, points, shifts))
    return found


def find_shifts(values: Sequence[float], metric: Metric, threshold: float) -> list[Shift]:
    """`find_shifts` takes a `threshold` as `Metric.worsening` measures: the smallest change that
    counts."""
    if len(values) < 2 * COMMITS_MIN:
        return []
    signal = np.array([metric.worsening(values[0], value) for value in values])
    steps = np.abs(np.diff(signal))
    noise = max(1.4826 * float(np.median(steps)) / 2**0.5, NOISE_THRESHOLDS_MIN * threshold)
    search = ruptures.KernelCPD(kernel="linear", min_size=COMMITS_MIN).fit(signal / noise)
    places = search.predict(pen=PENALTY * np.log(len(signal)))[:-1]
    while shifts := _shifts(values, places, metric):
        sizes = {shift.place: abs(metric.worsening(shift.before, shift.after)) for shift in shifts}
        smallest = min(sizes, key=sizes.__getitem__)
        if sizes[smallest] >= threshold:
            break
        places.remove(smallest)
    return shifts


def _shifts(values: Sequence[float], places: Sequence[int], metric: Metric) -> list[Shift]:
    ends = [0, *places, len(values)]
    levels = [median(values[begin:end]) for begin, end in pairwise(ends)]
    found = []
    for place, (before, after) in zip(places, pairwise(levels), strict=True):
        worse = metric.worsening(before, after)
        found.append(Shift(place, before, after, metric.shown(worse), worse > 0))
    return found
