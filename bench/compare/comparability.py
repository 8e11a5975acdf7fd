"""Two sets of runs can be compared with the same machine, settings, schema and workload.

Versions of Python and of packages may differ: a change may be one of them. They are named. But what
measures must be the same, or it would be compared too.
"""

from collections.abc import Iterator, Sequence
from math import isclose
from typing import Any, NamedTuple

from bench.records.run_record import RunRecord

MEMORY_SHARE_MAX = 0.01
"""Memory may differ by this share: a kernel keeps a little more or less for itself at each boot."""
MEASURING_PACKAGES = ("gevent", "httptools", "locust")
IGNORED_SETTINGS = ("seed", "target", "max_failed")
"""These settings may differ. A seed is noise, and a target's address says nothing; whether there is
one does. How many requests may fail before a run counts as failed does not change what it
measures."""


class Difference(NamedTuple):
    field: str
    a: str
    b: str

    def __str__(self) -> str:
        return f"{self.field}: {self.a} | {self.b}"


def differences(a: Sequence[RunRecord], b: Sequence[RunRecord]) -> list[Difference]:
    """`differences` returns what forbids to compare, each field once; none for comparable sets.

    Every run is compared with the first of A: a set must be of one kind, too.
    """
    reference = dict(_fields(a[0]))
    found: dict[str, Difference] = {}
    for run in (*a[1:], *b):
        other = dict(_fields(run))
        for field in [*reference, *(field for field in other if field not in reference)]:
            ours, theirs = reference.get(field, MISSING), other.get(field, MISSING)
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
    for name in MEASURING_PACKAGES:
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
