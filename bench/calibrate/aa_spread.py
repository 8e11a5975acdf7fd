"""The spread is how far comparisons of a commit with itself scatter, from their files."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from math import expm1, log1p
from pathlib import Path
from typing import NamedTuple

from bench.compare.comparison_record import Comparison
from bench.compare.metric import Scale
from bench.compare.verdict import aa_spread_of
from bench.errors import UnreadableError
from bench.records.typed_json import read_plain

COMPARISONS_MIN = 10
"""Fewer comparisons say too little about a spread."""


class SpreadError(UnreadableError):
    """Comparisons can't tell a spread; the message says why."""


def read_spreads(folder: Path) -> dict[str, float]:
    """`read_spreads` returns them by name of a metric, as the `aa_spread` of a budget file. It
    raises `SpreadError`."""
    changes: dict[Spread, list[float]] = defaultdict(list)
    paths = sorted(folder.rglob("comparison.json"))
    for path in paths:
        for metric, change in _changes(path):
            changes[metric].append(change)
    spreads = {
        metric.name: metric.of(found)
        for metric, found in changes.items()
        if len(found) >= COMPARISONS_MIN
    }
    if not spreads:
        raise SpreadError(
            f"{folder} has {len(paths)} comparisons of a commit with itself (comparison.json): "
            f"a spread needs at least {COMPARISONS_MIN}"
        )
    return spreads


def read_verdicts(folder: Path) -> Counter[str]:
    """`read_verdicts` returns how often comparisons below the folder ended how. It raises
    `SpreadError`."""
    return Counter(_read(path).verdict for path in sorted(folder.rglob("comparison.json")))


class Spread(NamedTuple):
    name: str
    scale: Scale

    def of(self, changes: Sequence[float]) -> float:
        """`of` returns the spread of changes; of a ratio, 10 % more and its inverse are as far."""
        if self.scale == "difference":
            return aa_spread_of(changes)
        return expm1(aa_spread_of([log1p(change) for change in changes]))


def _changes(path: Path) -> list[tuple[Spread, float]]:
    comparison = _read(path)
    if comparison.a is None or comparison.b is None:
        return []
    if comparison.a.commit != comparison.b.commit:
        raise SpreadError(f"{path} compares two commits, not one with itself")
    return [
        (Spread(metric.name, metric.scale), metric.change)
        for metric in comparison.metrics
        if metric.change is not None
    ]


def _read(path: Path) -> Comparison:
    return read_plain(Comparison, path, SpreadError, "is not a comparison")
