"""Runs are recorded under a folder that is writable, with space left for what must be kept."""

import os
import tempfile
from pathlib import Path

from bench.errors import BenchError

FREE_BYTES_MIN = 64 * 1024 * 1024
"""The disk of a run's folder must have this free space. With less, the load ends while run.json,
the series and the histories' packed copies still fit: a minute of the shop's load writes about as
much."""


def prepare(folder: Path) -> None:
    """`prepare` makes the folder, and notices before anything starts that a run can't be kept.

    It raises `BenchError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"\n")
    except OSError as cause:
        raise BenchError(
            f"cannot write to {folder}: {cause.strerror}; name another folder with --out"
        ) from None
    check_space(folder)


def check_space(folder: Path) -> None:
    """`check_space` raises `BenchError` where the disk is nearly full."""
    found = os.statvfs(folder)
    free = found.f_bavail * found.f_frsize
    if free < FREE_BYTES_MIN:
        raise BenchError(
            f"the disk of {folder} is full: {free / 2**20:.0f} MiB are free, at least "
            f"{FREE_BYTES_MIN / 2**20:.0f} must be; make room, or name another folder with --out"
        )
