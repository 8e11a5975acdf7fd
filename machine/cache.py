"""The cache keeps files that outlive a stack; file locks end with the process that holds them."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def cache_dir() -> Path:
    """`cache_dir` returns ``$KAFLINKSHOP_CACHE``, else ``kaflinkshop`` in the user's cache folder
    (XDG)."""
    chosen = os.environ.get("KAFLINKSHOP_CACHE")
    if chosen:
        return Path(chosen).absolute()
    # XDG: a relative path in the variable is invalid and to be ignored.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".cache") / "kaflinkshop"


class LockHeldError(Exception):
    """Another living process holds the lock."""


@contextmanager
def lock(path: Path, *, wait: bool) -> Iterator[int]:
    """`lock` holds an exclusive lock on `path`; the kernel lets go of it when the process dies.

    Yields its descriptor: children that inherit it hold the lock too, until the last one is gone.
    It raises `LockHeldError` when another holds it and `wait` is false.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise LockHeldError(str(path)) from None
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(path: Path) -> bool:
    """`is_held` returns whether a living process holds the lock on `path`."""
    if not path.exists():
        return False
    try:
        with lock(path, wait=False):
            return False
    except LockHeldError:
        return True
