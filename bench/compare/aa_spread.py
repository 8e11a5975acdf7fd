"""How far comparisons of a commit with itself scatter, from their comparison.json files."""

from collections import defaultdict
from collections.abc import Sequence
from math import expm1, log1p
from pathlib import Path
from typing import NamedTuple

import orjson

from bench.compare.verdict import aa_spread_of
from bench.errors import UnreadableError

COMPARISONS_MIN = 10
"""Fewer say too little about a spread."""


class SpreadError(UnreadableError):
    """Comparisons that can't tell a spread; the message says why."""


def read_spreads(folder: Path) -> dict[str, float]:
    """By name of a metric, as the `aa_spread` of a budget file. Raises `SpreadError`."""
    changes: dict[Metric, list[float]] = defaultdict(list)
    paths = sorted(folder.rglob("comparison.json"))
    for path in paths:
        for metric, change in _changes(path):
            changes[metric].append(change)
    spreads = {
        metric.name: metric.spread(found)
        for metric, found in changes.items()
        if len(found) >= COMPARISONS_MIN
    }
    if not spreads:
        raise SpreadError(
            f"{folder} has {len(paths)} comparisons of a commit with itself (comparison.json): "
            f"a spread needs at least {COMPARISONS_MIN}"
        )
    return spreads


class Metric(NamedTuple):
    name: str
    scale: str

    def spread(self, changes: Sequence[float]) -> float:
        """Of a ratio, 10 % more and its inverse are as far."""
        if self.scale == "difference":
            return aa_spread_of(changes)
        return expm1(aa_spread_of([log1p(change) for change in changes]))


def _changes(path: Path) -> list[tuple[Metric, float]]:
    try:
        content = orjson.loads(path.read_bytes())
        if content["a"] is None:
            return []
        if content["a"]["commit"] != content["b"]["commit"]:
            raise SpreadError(f"{path} compares two commits, not one with itself")
        return [
            (Metric(metric["name"], metric["scale"]), metric["change"])
            for metric in content["metrics"]
            if metric["change"] is not None
        ]
    except OSError as cause:
        raise SpreadError(f"cannot read {path}: {cause.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise SpreadError(f"{path} is not a comparison") from None
