"""Pauses of a JVM, as its own log tells them.

The log is of ``-Xlog:gc`` with the decorator ``timenanos``: System.nanoTime(), which is
CLOCK_MONOTONIC on Linux, the clock of all samples (JEP 158; HotSpot's os::javaTimeNanos).

    [2459874032ns] GC(3) Pause Young (Normal) (G1 Evacuation Pause) 84M->24M(512M) 6.212ms
"""

import re
from collections.abc import Iterator
from pathlib import Path

from bench.series import Event

PAUSE_MS_MIN = 1.0
"""Shorter pauses hide in any figure of milliseconds."""

_PAUSE = re.compile(
    rb"^\[(?P<end_ns>\d{1,19})ns\] ?GC\(\d+\) (?P<what>Pause [\w ()-]*?)"
    rb"(?: \d+\w->\d+\w\(\d+\w\))? (?P<ms>\d{1,9}\.\d{3})ms\r?$",
    re.MULTILINE | re.ASCII,
)


def read_pauses(part: str, log: Path) -> list[Event]:
    """All that the log has, and the one before it; none without a log. Raises `OSError`."""
    rotated = log.with_name(log.name + ".0")
    content = b"\n".join(path.read_bytes() for path in (rotated, log) if path.is_file())
    return list(parse(part, content))


def parse(part: str, content: bytes) -> Iterator[Event]:
    """The line is written at the end of its pause."""
    for found in _PAUSE.finditer(content):
        duration_ms = float(found["ms"])
        if duration_ms >= PAUSE_MS_MIN:
            at_ns = int(found["end_ns"]) - round(duration_ms * 1e6)
            yield Event("gc", at_ns, duration_ms, f"{part}: {found['what'].decode()}")
