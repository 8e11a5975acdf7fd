"""These clocks are a task's: one that somebody may set, and one that nobody can."""

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
TIME_NAMESPACE = Path("/proc/self/ns/time")
BOOT_MS = 2**40
"""A machine runs on for less than so many ms, 35 years."""
BOOTS = 2**20
"""Boots of machines have so many places on the clock, each of `BOOT_MS`: two have the same one by
a chance of one in a million."""


def place() -> int:
    """`place` returns that of this boot of the machine, or of this process where Linux does not
    tell. A time namespace has one of its own, as it has clocks of its own."""
    with suppress(OSError):
        boot = BOOT_ID.read_text() + os.readlink(TIME_NAMESPACE)
        return crc32(boot.encode()) % BOOTS
    return int.from_bytes(os.urandom(4)) % BOOTS


def _elapsed_ms(begin_ms: int) -> Callable[[], int]:
    return lambda: begin_ms + time.monotonic_ns() // 1_000_000


class Clocks(NamedTuple):
    """Both are in ms."""

    now_ms: Callable[[], int] = lambda: time.time_ns() // 1_000_000
    """This one counts from 1970, and timers go by it. Somebody may set it."""
    elapsed_ms: Callable[[], int] = _elapsed_ms(place() * BOOT_MS)
    """This one runs on as long as the machine does, whatever becomes of processes and of the other
    clock."""

    def since_ms(self, elapsed_ms: int) -> int | None:
        """`since_ms` returns how long ago that was; None where it was another boot."""
        now_ms = self.elapsed_ms()
        is_this_boot = now_ms // BOOT_MS == elapsed_ms // BOOT_MS and elapsed_ms <= now_ms
        return now_ms - elapsed_ms if is_this_boot else None


CLOCKS = Clocks()
