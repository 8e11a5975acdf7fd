"""Files that are whole or not there: who reads one never finds half of it."""

import os
import uuid
from pathlib import Path


def write(path: Path, content: bytes) -> None:
    """`write` writes all of it or nothing, in place of what was there. A file has one writer at a
    time; one that is killed leaves ``<name>.partial``, for the next to write over."""
    partial = partial_of(path)
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def create(path: Path, content: bytes) -> None:
    """`create` is for several writers: it raises `FileExistsError` where the file is there, and
    `FileNotFoundError` where somebody clears the folder meanwhile."""
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        partial.write_bytes(content)
        os.link(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def partial_of(path: Path) -> Path:
    """`partial_of` returns where `write` writes at first."""
    return path.with_name(f"{path.name}.partial")
