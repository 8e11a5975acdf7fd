"""Disk use is what files take, which may be less than their length."""

import os
from contextlib import suppress
from pathlib import Path

BLOCK_BYTES = 512
"""A file's blocks are counted in these, whatever the disk's own are."""


def size_bytes(folder: Path) -> int:
    """`size_bytes` returns how much room its files take; of those that go meanwhile nothing."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(parent, name)).st_blocks * BLOCK_BYTES
    return total
