"""The Java side's jars are pinned in ``jars.lock`` by coordinates and sha256, and fetched by jgo.

The first start downloads them into the cache folder; every later one checks that they are there,
and still the same. ``python -m system.runtime.jars`` writes ``jars.lock`` anew from `SETS`.
"""

import hashlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from machine.cache import cache_dir, lock
from machine.errors import StackError

LOG4J = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.3"
SETS = {
    "kafka": ("org.apache.kafka:kafka_2.13:4.1.2", LOG4J),
    # The newest build of the connector is for Flink 2.2; the end-to-end tests prove it on 2.3.
    "connector": ("org.apache.flink:flink-connector-kafka:5.0.0-2.2",),
}
"""Each set of jars is resolved from these. Of two versions of one artifact the later one wins."""

LEFT_OUT = {"connector": {"org.slf4j:slf4j-api"}}
"""Flink brings this one itself; a second copy in the job would log nowhere."""

LOCK_FILE = Path(__file__).with_name("jars.lock")


class Jar(NamedTuple):
    """A jar's `coordinates` are ``group:artifact:version``, `sha256` is the file's, in hex."""

    coordinates: str
    sha256: str

    @property
    def file_name(self) -> str:
        _, artifact, version = self.coordinates.split(":")
        return f"{artifact}-{version}.jar"


def read_lock(path: Path = LOCK_FILE) -> dict[str, tuple[Jar, ...]]:
    """`read_lock` returns the jars of each set; a line of the file is ``set coordinates
    sha256``."""
    sets: dict[str, tuple[Jar, ...]] = {}
    for line in path.read_text().splitlines():
        if line and not line.startswith("#"):
            name, coordinates, sha256 = line.split()
            sets[name] = (*sets.get(name, ()), Jar(coordinates, sha256))
    return sets


def download(coordinates: str, repository: Path) -> Path:
    """`download` fetches one jar into a Maven-style `repository` folder."""
    from jgo.maven import MavenContext

    group, artifact, version = coordinates.split(":")
    context = MavenContext(repo_cache=repository, local_repos=[])
    path: Path = context.project(group, artifact).at_version(version).artifact().resolve()
    return path


def obtain(
    name: str,
    jars: tuple[Jar, ...] | None = None,
    download: Callable[[str, Path], Path] = download,
) -> list[Path]:
    """`obtain` returns the paths of a set's jars, in the lock file's order; it downloads them when
    they are missing.

    Processes may call this at the same time: one downloads, the others wait for it.
    It raises `StackError` when a jar can't be had or is not the one that was pinned.
    """
    jars = read_lock()[name] if jars is None else jars
    # The folder's name changes with its content: a new lock file never meets old jars.
    digest = hashlib.sha256(repr(jars).encode()).hexdigest()[:12]
    folder = cache_dir() / "jars" / f"{name}-{digest}"
    paths = [folder / jar.file_name for jar in jars]
    with lock(folder.with_suffix(".lock"), wait=True):
        if not folder.is_dir():
            _fill(folder, jars, download)
    for jar, path in zip(jars, paths, strict=True):
        found = _sha256(path) if path.is_file() else "none: it is missing"
        if found != jar.sha256:
            raise StackError(
                f"{path} has sha256 {found}, not {jar.sha256} as in {LOCK_FILE.name}: the jar in "
                "the cache was changed"
            )
    return paths


def _fill(folder: Path, jars: tuple[Jar, ...], download: Callable[[str, Path], Path]) -> None:
    """Makes `folder` with all jars in it, or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        complete = Path(temporary, "complete")
        complete.mkdir()
        for jar in jars:
            try:
                path = download(jar.coordinates, Path(temporary, "repository"))
            except (RuntimeError, OSError) as cause:
                raise StackError(
                    f"cannot download {jar.coordinates} ({_first_line(cause)}): "
                    "the first start needs a network that reaches a Maven repository"
                ) from None
            found = _sha256(path)
            if found != jar.sha256:
                raise StackError(
                    f"{jar.coordinates} has sha256 {found}, not {jar.sha256} as in "
                    f"{LOCK_FILE.name}: the repository sent another file"
                )
            shutil.move(path, complete / jar.file_name)
        os.rename(complete, folder)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(cause: BaseException) -> str:
    return (str(cause).splitlines() or [type(cause).__name__])[0][:200]


def write_lock(path: Path = LOCK_FILE) -> None:
    """`write_lock` resolves `SETS`, and pins what comes out."""
    import jgo

    lines = ["# Written by `python -m system.runtime.jars`: set, coordinates, sha256 of the jar."]
    with tempfile.TemporaryDirectory() as repository:
        for name, roots in SETS.items():
            # One root at a time: jgo lets one root's managed versions leak into the others'.
            artifacts: dict[str, Any] = {}
            for artifact in (found for root in roots for found in jgo.resolve(root)):
                key = f"{artifact.groupId}:{artifact.artifactId}"
                if key not in LEFT_OUT.get(name, ()):
                    artifacts[key] = artifact
            for key, artifact in artifacts.items():
                coordinates = f"{key}:{artifact.version}"
                sha256 = _sha256(download(coordinates, Path(repository)))
                lines.append(f"{name} {coordinates} {sha256}")
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    write_lock()
    print(f"wrote {LOCK_FILE}", file=sys.stderr)
