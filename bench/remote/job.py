"""A job is what a leader asks of an agent: one generator, and the files both must have alike."""

import hashlib
import os
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from bench.project import PROJECT_DIR
from bench.remote.frames import LinkError

PACKAGES = ("bench", "machine", "system")
"""A generator runs sources of these packages."""
DIGEST_BYTES_MAX = 16 * 1024 * 1024
"""An agent reads at most this much of a file to compare it, more than a workload may name."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PIDS = Path("/proc/self/ns/pid")
NETWORK = Path("/proc/self/ns/net")


class Host(NamedTuple):
    """The host tells where a side runs, and what it runs."""

    sources: str
    """The SHA-256 is that of all sources that a generator may run."""
    machine: str
    """Two sides with the same machine see each other's processes."""
    network: str
    """Two sides with the same network have the same loopback addresses."""


def this_host() -> Host:
    """`this_host` reads all anew: a generator runs what is there when it starts."""
    boot_id = BOOT_ID.read_text().strip()
    places = (f"{boot_id} {os.readlink(path)}" for path in (PIDS, NETWORK))
    return Host(_sources(), *places)


def _sources() -> str:
    found = hashlib.sha256()
    for package in PACKAGES:
        for path in sorted((PROJECT_DIR / package).rglob("*.py")):
            content = path.read_bytes()
            found.update(f"{path.relative_to(PROJECT_DIR)} {len(content)}\n".encode() + content)
    return found.hexdigest()


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
