"""A disk is full: the broker's logs and the checkpoints have small ones of their own."""

import errno
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from bench.faults.fault import CHECKPOINTS, WHOLE_S_MAX, Bite
from bench.faults.up import Scene

FULL = "No space left on device"
CHUNK_BYTES = 1024 * 1024
"""The filler grows by so much at a time, and by bytes at the end."""
POLL_S = 0.1
"""This much time passes between looks."""
REFILL_S = 0.2
"""Room that becomes free meanwhile is taken again after this time."""


def fill(scene: Scene) -> Bite:
    """`fill` takes all room that is left on the disk, and gives it back when the time is over.

    A part that could not write says so in its log: that is the proof.
    """
    disk, logs = scene.up.disk(scene.fault.what), scene.up.logs()
    sizes = {log: log.stat().st_size for log in logs}
    filler = disk / "filler"
    end_s = time.monotonic() + scene.fault.duration_s
    try:
        with filler.open("ab", buffering=0) as file:
            while time.monotonic() < end_s:
                _take_all(file.fileno())
                if scene.stopping.wait(REFILL_S):
                    break
    finally:
        filler.unlink(missing_ok=True)
    healed_ns, healed_s = time.monotonic_ns(), time.time()
    is_whole = _whole_since(scene, healed_s)
    told = {log.stem: _said(log, sizes[log]) for log in logs}
    who = [f"{part} {times} times" for part, times in told.items() if times]
    proof = f"the disk was full, said {', '.join(who)}" if who else ""
    return Bite(
        proof,
        (f"no checkpoint was whole in {WHOLE_S_MAX:g} s of room",) if is_whole is False else (),
        ("the load ended before a checkpoint was whole again",) if is_whole is None else (),
        healed_ns,
    )


def _whole_since(scene: Scene, healed_s: float) -> bool | None:
    """Whether a checkpoint became whole after a time of the wall clock; None where the load ended
    before it had to."""
    folder, until_s = scene.up.disk(CHECKPOINTS), time.monotonic() + WHOLE_S_MAX
    while True:
        with suppress(FileNotFoundError):  # old ones go meanwhile
            if any(path.stat().st_mtime > healed_s for path in folder.glob("*/chk-*/_metadata")):
                return True
        if time.monotonic() > until_s:
            return False
        if scene.stopping.wait(POLL_S):
            return None


def _take_all(descriptor: int) -> None:
    size = CHUNK_BYTES
    while size:
        try:
            os.write(descriptor, bytes(size))
        except OSError as cause:
            if cause.errno != errno.ENOSPC:
                raise
            size //= 2


def _said(log: Path, from_byte: int) -> int:
    with suppress(OSError), log.open("rb") as file:
        file.seek(from_byte)
        return _count(file)
    return 0


def _count(lines: Iterable[bytes]) -> int:
    return sum(FULL.encode() in line for line in lines)
