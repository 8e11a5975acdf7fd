"""A JVM's own log tells of its pauses.

The log is of ``-Xlog:gc`` with the decorator ``timenanos``: System.nanoTime(), which is
CLOCK_MONOTONIC on Linux, the clock of all samples (JEP 158; HotSpot's os::javaTimeNanos).

    [2459874032ns] GC(3) Pause Young (Normal) (G1 Evacuation Pause) 84M->24M(512M) 6.212ms
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bench.records.series import Event

PAUSE_MS_MIN = 1.0
"""Shorter pauses hide in any figure of milliseconds."""

_PAUSE = re.compile(
    rb"^\[(?P<end_ns>\d{1,19})ns\] ?GC\(\d+\) (?P<what>Pause [\w ()-]*?)"
    rb"(?: (?P<before>\d{1,9}[KMG])->(?P<after>\d{1,9}[KMG])\(\d+\w\))?"
    rb" (?P<ms>\d{1,9}\.\d{3})ms\r?$",
    re.MULTILINE | re.ASCII,
)
_UNITS = {b"K": 1 << 10, b"M": 1 << 20, b"G": 1 << 30}


class Pause(NamedTuple):
    what: str
    end_ns: int
    duration_ms: float
    freed_bytes: int
    """The heap has so many bytes less in it after than before; 0 where the line does not say."""


def read_pauses(part: str, log: Path) -> list[Event]:
    """`read_pauses` returns all that are not short, of the log and the one before it. It raises
    `OSError`."""
    return [
        Event(
            "gc",
            pause.end_ns - round(pause.duration_ms * 1e6),
            pause.duration_ms,
            f"{part}: {pause.what}",
        )
        for pause in parse(_content(log))
        if pause.duration_ms >= PAUSE_MS_MIN
    ]


def freed_bytes(log: Path, from_ns: int, to_ns: int) -> int:
    """`freed_bytes` adds up the collections that ended in this time. It raises `OSError`."""
    pauses = parse(_content(log))
    return sum(pause.freed_bytes for pause in pauses if from_ns <= pause.end_ns < to_ns)


def _content(log: Path) -> bytes:
    """Nothing without a log."""
    rotated = log.with_name(log.name + ".0")
    return b"\n".join(path.read_bytes() for path in (rotated, log) if path.is_file())


def parse(content: bytes) -> Iterator[Pause]:
    """The line is written at the end of its pause."""
    for found in _PAUSE.finditer(content):
        freed = _bytes(found["before"]) - _bytes(found["after"])
        yield Pause(found["what"].decode(), int(found["end_ns"]), float(found["ms"]), freed)


def _bytes(size: bytes | None) -> int:
    """0 where the line does not say."""
    return 0 if size is None else int(size[:-1]) * _UNITS[size[-1:]]
