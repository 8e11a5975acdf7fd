"""Runs of two sets are read; they can be compared with the same machine, settings and workload.

Versions of Python and of packages may differ: a change may be one of them. They are named. But what
measures must be the same, or it would be compared too.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import isclose
from pathlib import Path
from typing import Any, NamedTuple

from bench.compare.run_pairs import BROKEN, Fault, Sides, UnfitError, refuse_unfit
from bench.imports.formats import files_in
from bench.imports.runs import read_imported
from bench.records.run_files import ChangedError, MissingFigureError, is_unfinished, read_run
from bench.records.run_record import RunRecord
from bench.records.versioned_json import RunFileError, VersionError

RUNS_MAX = 500
"""A set has at most this many runs; the exact distribution of more takes long, and nobody measures
so many."""
MEMORY_SHARE_MAX = 0.01
"""Memory may differ by this share: a kernel keeps a little more or less for itself at each boot."""
MEASURING_PACKAGES = ("gevent", "httptools", "locust")
"""These packages are the generator's alone."""
SHARED_PACKAGES = ("numpy", "orjson", "uvloop")
"""These are the generator's too, and those of a stack of its own: beside another target they are
the generator's alone."""
IGNORED_SETTINGS = ("seed", "target", "max_failed")
"""These settings may differ. A seed is noise, and a target's address says nothing; whether there is
one does. How many requests may fail before a run counts as failed does not change what it
measures."""


UNFINISHED = (
    "has samples and no run.json: its run was killed, or is still under way; what it would have "
    "said of its side is not known"
)


class Folders(NamedTuple):
    """A folder holds the runs of a side."""

    a: Path
    b: Path
    again: Path | None = None


def read_sides(folders: Folders | None) -> Sides:
    """`read_sides` reads all runs in the folders, none where there are no folders. It raises
    `UnfitError`."""
    places = folders or (None, None, None)
    sides = Sides(*([] if where is None else _read_set(where) for where in places))
    ids = Counter(run.run_id for side in sides for run in side)
    twice = [run_id for run_id, times in ids.items() if times > 1]
    if twice:
        raise UnfitError("invalid", f"run {min(twice)} is on two sides")
    return sides


def refuse_repeated(sides: Sides, fresh: Sides) -> None:
    """`refuse_repeated` raises `UnfitError` where the fresh batch is no batch of its own, measured
    after the first."""
    first, second = ([run for side in each for run in side] for each in (sides, fresh))
    again = {run.run_id for run in first} & {run.run_id for run in second}
    if again:
        raise UnfitError("invalid", f"run {min(again)} is in the batch, and in the fresh one")
    if second and min(run.started_utc for run in second) < max(run.started_utc for run in first):
        raise UnfitError("invalid", "the fresh batch was not measured after the first one")


def _read_set(where: Path) -> list[RunRecord]:
    """The runs of a folder, of its subfolders, or of one file, by time; without the last one where
    it was interrupted. Raises `UnfitError`."""
    if where.is_dir() and not (where / "run.json").exists():
        if unfinished := next(filter(is_unfinished, sorted(where.glob("*/"))), None):
            raise UnfitError("unreadable", f"{unfinished} {UNFINISHED}")
        paths = sorted(where.glob("*/run.json")) or files_in(where)
    else:
        paths = [where]
    if not paths:
        raise UnfitError("unreadable", f"{where} has no run.json, nor has a folder in it")
    if len(paths) > RUNS_MAX:
        raise UnfitError("unreadable", f"{where} has {len(paths)} runs, at most {RUNS_MAX} do")
    runs = sorted(map(_read_run, paths), key=lambda run: (run.started_utc, run.run_id))
    if len(runs) > 1 and runs[-1].verdict == "interrupted":
        del runs[-1]
    for run in runs:
        refuse_unfit(run)
    return runs


def _read_run(where: Path) -> RunRecord:
    is_own = where.is_dir() or where.name == "run.json"
    try:
        return read_run(where) if is_own else read_imported(where)
    except RunFileError as cause:
        raise UnfitError(_fault(cause), str(cause)) from None


def _fault(cause: RunFileError) -> Fault:
    if isinstance(cause, VersionError):
        return "other_schema"
    if isinstance(cause, ChangedError):
        return "invalid"
    return "missing_metric" if isinstance(cause, MissingFigureError) else "unreadable"


class Difference(NamedTuple):
    field: str
    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.field}: {self.a} | {self.b}"


def differences(a: Sequence[RunRecord], b: Sequence[RunRecord]) -> list[Difference]:
    """`differences` returns what forbids to compare, each field once; none for comparable sets.

    Every run is compared with the first one that neither failed nor is INVALID: a set must be of
    one kind, too. Those that did, or are, may have ended early, so their phases say nothing.
    """
    runs = [*a, *b]
    first = next((run for run in runs if run.verdict not in BROKEN), runs[0])
    reference = dict(_fields(first))
    found: dict[str, Difference] = {}
    for run in runs:
        other = dict(_fields(run))
        is_whole = not {run.verdict, first.verdict} & {*BROKEN}
        for field in [*reference, *(field for field in other if field not in reference)]:
            ours, theirs = reference.get(field, MISSING), other.get(field, MISSING)
            if field.startswith("phase") and not is_whole:
                continue
            if field not in found and not _is_same(field, ours, theirs):
                found[field] = Difference(field, _text(field, ours), _text(field, theirs))
    return list(found.values())


def software(a: RunRecord, b: RunRecord) -> list[Difference]:
    """`software` returns what the change itself may have brought: versions that differ between A
    and B."""
    ours, theirs = dict(_versions(a)), dict(_versions(b))
    return [
        Difference(name, ours.get(name, MISSING), theirs.get(name, MISSING))
        for name in sorted(ours.keys() | theirs.keys())
        if ours.get(name, MISSING) != theirs.get(name, MISSING)
    ]


MISSING = "none"


def _fields(run: RunRecord) -> Iterator[tuple[str, Any]]:
    where, settings = run.environment, run.settings
    yield "schema_version", run.schema_version
    yield "machine cpu_model", where.cpu_model
    yield "machine cores", where.cores
    yield "machine memory_bytes", where.memory_bytes
    yield "machine kernel", where.kernel
    for name in (*MEASURING_PACKAGES, *(SHARED_PACKAGES if settings.target else ())):
        yield f"generator {name}", where.packages.get(name, MISSING)
    for name, value in vars(settings).items():
        if name not in IGNORED_SETTINGS:
            yield f"setting {name}", value
    yield "setting target", "elsewhere" if settings.target else "a stack of its own"
    if run.capacity is not None:
        for name, value in vars(run.capacity.level).items():
            yield f"capacity level {name}", value
    phases = run.fixed_phases
    yield "phases", ", ".join(phase.name for phase in phases)
    for phase in phases:
        here = f"phase {phase.name}"
        yield f"{here} loop", phase.loop
        yield f"{here} users", phase.users
        yield f"{here} schedule", phase.schedule
        yield f"{here} duration_s", phase.duration_s
        yield f"{here} generators", phase.generators


def _versions(run: RunRecord) -> Iterator[tuple[str, str]]:
    where = run.environment
    yield "python", where.python
    yield "kafka", where.kafka or MISSING
    yield "flink", where.flink or MISSING
    for name, version in where.packages.items():
        if name not in MEASURING_PACKAGES:
            yield name, version


def _is_same(field: str, ours: Any, theirs: Any) -> bool:
    if field.startswith("phase ") and MISSING in (ours, theirs):
        return True  # said once, by the field "phases"
    if field == "machine memory_bytes" and MISSING not in (ours, theirs):
        return isclose(ours, theirs, rel_tol=MEMORY_SHARE_MAX)
    return bool(ours == theirs)


def _text(field: str, value: Any) -> str:
    if field == "machine memory_bytes" and value != MISSING:
        return f"{value / 2**30:.1f} GiB"
    return MISSING if value is None else str(value)
