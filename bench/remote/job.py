"""A job is what a leader asks of an agent: one generator, and the files both must have alike."""

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any, NamedTuple

from bench.project import PROJECT_DIR
from bench.remote.frames import LinkError

PACKAGES = ("bench", "machine", "system")
"""A generator runs sources of these packages."""
LIBRARIES = ("aiokafka", "httptools", "numpy", "orjson", "uvloop")
"""A generator sends by these libraries."""
LAST_S = 2.0
"""A generator that nobody waits for any more has so long to end by itself."""
DIGEST_BYTES_MAX = 16 * 1024 * 1024
"""An agent reads at most this much of a file to compare it, more than a workload may name."""
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
PIDS = Path("/proc/self/ns/pid")
NETWORK = Path("/proc/self/ns/net")


class Host(NamedTuple):
    """The host tells where a side runs, and what it runs."""

    sources: str
    """The SHA-256 is that of all sources that a generator may run, and of the versions of Python
    and of the libraries that it sends by."""
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
    versions = [
        platform.python_version(),
        *(f"{each} {metadata.version(each)}" for each in LIBRARIES),
    ]
    found = hashlib.sha256("\n".join(versions).encode())
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
    leader: str
    """It is the same in all jobs of one leader."""

    @classmethod
    def of(cls, fields: object) -> "Job":
        """`of` raises `LinkError` for what is no job."""
        match fields:
            case {"spec": dict(spec), "digests": dict(digests), "leader": str(leader)}:
                return cls(spec, digests, leader)
        raise LinkError("it asks for no job of this version")


def digests(paths: Iterable[Path]) -> dict[str, str]:
    """`digests` raises `OSError`."""
    found = {}
    for path in paths:
        with path.open("rb") as file:
            found[str(path)] = hashlib.sha256(file.read(DIGEST_BYTES_MAX)).hexdigest()
    return found
