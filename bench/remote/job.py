"""A job is what a leader asks of an agent: one generator, and the files both must have alike."""

import hashlib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import BenchError
from bench.git import git
from bench.project import PROJECT_DIR
from bench.remote.frames import LinkError

GIT_TIMEOUT_S = 10.0
"""Asking git for the commit may take this long."""
DIGEST_BYTES_MAX = 16 * 1024 * 1024
"""An agent reads at most this much of a file to compare it, more than a workload may name."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PIDS = Path("/proc/self/ns/pid")


class Host(NamedTuple):
    """The host tells where a side runs, and what it runs."""

    commit: str
    """The commit is "unknown" outside a git work tree."""
    machine: str
    """Two sides with the same machine see each other's processes."""


@cache
def this_host() -> Host:
    try:
        commit = git(PROJECT_DIR, "rev-parse", "HEAD", timeout_s=GIT_TIMEOUT_S).strip()
    except BenchError:
        commit = "unknown"
    return Host(commit, f"{BOOT_ID.read_text().strip()} {os.readlink(PIDS)}")


class Job(NamedTuple):
    spec: Mapping[str, Any]
    """The spec is a `bench.generator.spec.Spec`, whose paths are the leader's."""
    digests: Mapping[str, str]
    """Both sides must have these files with this SHA-256."""

    @classmethod
    def of(cls, fields: object) -> "Job":
        """`of` raises `LinkError` for what is no job."""
        match fields:
            case {"spec": dict(spec), "digests": dict(digests)}:
                return cls(spec, digests)
        raise LinkError("it asks for no job of this version")


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """`digests` raises `OSError`."""
    found = {}
    for path in paths:
        with path.open("rb") as file:
            found[str(path)] = hashlib.sha256(file.read(DIGEST_BYTES_MAX)).hexdigest()
    return found


def files_of(workload: Path) -> Iterator[Path]:
    """`files_of` yields the workload file and those of values and bodies that it names; what a
    header is made of is a secret of each machine's own. The file has been read before."""
    yield workload
    yield from (workload.parent / name for name in _named(tomllib.loads(workload.read_text())))


def _named(part: object) -> Iterator[str]:
    if isinstance(part, list):
        for each in part:
            yield from _named(each)
    elif isinstance(part, dict):
        for key, value in part.items():
            match key, value:
                case ("body", {"file": str(name)}):
                    yield name
                case ("csv", str(name)):
                    yield name
                case ("headers", _):
                    pass
                case _:
                    yield from _named(value)
