"""How often ``regression`` is right, on real runs: recorded once, then drawn from again and again.

`record` makes many short runs of the system as it is, and of slowed down ones, in turn.
`resample` draws comparisons from them, and counts their verdicts.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.calibrate.recorder import SETS, Recorder
from bench.calibrate.resample import BASE, Rates, Round, achieved, rates, read_rounds, table
from bench.calibrate.slowdowns import SLOWDOWNS, Group
from bench.compare.budgets import Budgets
from bench.compare.metric_pairs import Spreads
from bench.errors import BenchError
from bench.regression.job import Options
from bench.regression.worktree import Commit

COMPARISONS = 40
CYCLES, ROUNDS = 13, 2
DURATION_S, WARMUP_S = 3.0, 0.5
"""Of a run: shorter than those of ``regression``, and so noisier."""
FIRST_WARMUP_S = 40.0
"""At most, of a stack that was just started, where error rates are recorded."""
SHOWN: dict[Group, str] = {"gateway": "open gateway CPU ratio", "service": "open flink CPU ratio"}
"""The metric that a slowdown of the group adds to."""
RECORDS = "open kafka_records per request"

Progress = Callable[[str], object]


def record(
    folder: Path,
    commit: Commit,
    options: Options,
    sets: Sequence[str],
    rounds: int,
    cycles: int,
    progress: Progress,
) -> None:
    """Adds rounds of each set to the folder. Raises `StackError` and `BenchError`."""
    recorder = Recorder(folder, commit, options, cycles, progress)
    for _ in range(rounds):
        for name in sets:
            recorder.record(name)


class Verdicts(NamedTuple):
    """How the comparisons ended, a row for each variant."""

    rates: list[Rates]
    texts: dict[str, str]
    """`texts` says what slows a variant down."""
    shares: dict[str, str]
    """`shares` says how much a variant really was slower, by its own metrics."""

    def __str__(self) -> str:
        """Markdown."""
        return table(self.rates, self.texts, self.shares)

    def to_json(self) -> list[dict[str, Any]]:
        return [
            {
                "system": row.variant,
                "slowdown": self.texts.get(row.variant),
                "measured_change": self.shares.get(row.variant),
                "comparisons": row.comparisons,
                "verdicts": dict(row.verdicts),
                "pairs": row.pairs,
                "changed_metrics": dict(row.causes),
            }
            for row in self.rates
        ]


def resample(
    folder: Path,
    comparisons: int,
    budgets: Budgets,
    spreads: Spreads,
    seed: int,
    progress: Progress,
) -> Verdicts:
    """Draws so many comparisons of each variant that was recorded. Raises `BenchError`."""
    found = Verdicts([], {}, {})
    for name, up in SETS.items():
        recorded = folder / name
        rounds = read_rounds(recorded) if recorded.is_dir() else []
        if len(rounds) < 2:
            progress(f"{recorded} has {len(rounds)} rounds; a fresh batch needs a second one")
            continue
        for variant in [BASE, *up.slowdowns] if up.bases > 1 else up.slowdowns:
            row = rates(rounds, variant, comparisons, budgets, spreads, seed)
            if variant == BASE:
                where = "on one Kafka and Flink" if up.is_shared else "a whole stack each"
                row = row._replace(variant=f"unchanged, {where}")
            else:
                found.texts[variant] = SLOWDOWNS[variant].text
                found.shares[variant] = _measured(rounds, variant)
            found.rates.append(row)
    if not found.rates:
        raise BenchError(f"{folder} has no two rounds of any set: record them first")
    return found


def _measured(rounds: Sequence[Round], variant: str) -> str:
    """What the slowdown really added, by its own metric."""
    parts = []
    for metric in (SHOWN[SLOWDOWNS[variant].group], RECORDS):
        share = achieved(rounds, variant, metric)
        if share is not None:
            parts.append(f"{metric.removeprefix('open ')} {share:+.1%}")
    return ", ".join(parts)
