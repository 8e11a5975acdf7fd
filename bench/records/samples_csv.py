"""A generator's samples become CSV, for spreadsheets: a row for each request that was due."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TextIO

from bench.errors import BenchError
from bench.records.samples import Reader, Samples, SamplesError, kind_of

HEADS = (
    "phase", "operation", "outcome", "kind", "intended_unix_s", "response_ms", "service_ms",
    "schedule_lag_ms",
)  # fmt: skip
"""The `kind` is that of `bench.records.samples.kind_of`. A request that was never sent has no times
but the intended one; one that had no answer has the times that were waited."""
CHUNK = 10_000
"""So many rows are made at a time."""


def write_csv(path: Path, phases: Iterable[tuple[str, Sequence[Path]]]) -> int:
    """`write_csv` writes the samples of each phase, by name; it returns how many there are.

    It raises `SamplesError` for what can't be read, `BenchError` where the file can't be written.
    """
    count = 0
    try:
        with path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(HEADS)
            for phase, sources in phases:
                for source in sources:
                    count += _write(file, phase, source)
    except OSError as cause:
        raise BenchError(f"cannot write to {path}: {cause.strerror}") from None
    return count


def _write(file: TextIO, phase: str, source: Path) -> int:
    if not source.exists():
        raise SamplesError(f"{source} is missing")
    reader = Reader(source)
    samples = reader.read()
    ahead_ns = reader.wall_ns - reader.monotonic_ns
    for begin in range(0, len(samples), CHUNK):
        part = Samples(
            samples.operations,
            samples.outcomes,
            *(column[begin : begin + CHUNK] for column in samples[2:]),
        )
        csv.writer(file).writerows(_rows(phase, part, ahead_ns))
    return len(samples)


def _rows(phase: str, samples: Samples, ahead_ns: int) -> Iterable[Sequence[str]]:
    kinds = [kind_of(outcome) for outcome in samples.outcomes]
    columns = zip(
        samples.operation.tolist(),
        samples.outcome.tolist(),
        samples.intended_ns.tolist(),
        samples.response_ns.tolist(),
        samples.service_ns.tolist(),
        samples.schedule_lag_ns.tolist(),
        strict=True,
    )
    for operation, outcome, intended_ns, *times_ns in columns:
        kind = kinds[outcome]
        shown = ["" if kind == "dropped" else f"{ns / 1e6:.6f}" for ns in times_ns]
        seconds, rest_ns = divmod(intended_ns + ahead_ns, 10**9)
        names = samples.operations[operation], samples.outcomes[outcome]
        yield phase, *names, kind, f"{seconds}.{rest_ns:09d}", *shown
