"""A disk is filled to the last byte, and freed again; who could not write is told by its log."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.faults import disks
from bench.faults.disks import fill
from bench.faults.fault import FAULTS
from bench.faults.up import Scene


def scene(folder: Path) -> Scene:
    up: Any = SimpleNamespace(disk=lambda name: folder, logs=lambda: sorted(folder.glob("*.log")))
    fault = FAULTS["full-disk-broker"]._replace(duration_s=0.1)
    return Scene(fault, up, 1, threading.Event())


def test_who_could_not_write_is_the_proof(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "kafka.log"
    log.write_text("No space left on device, long ago\n")

    def take_all(descriptor: int) -> None:
        with log.open("a") as file:
            file.write("IOException: No space left on device\n")

    monkeypatch.setattr(disks, "WHOLE_S_MAX", 0.3)
    monkeypatch.setattr(disks, "_take_all", take_all)
    bite = fill(scene(tmp_path))
    assert bite.proof.startswith("the disk was full, said kafka ")
    assert bite.healed_ns
    assert (bite.broken, bite.unsure) == (("no checkpoint was whole in 0.3 s of room",), ())
    assert not (tmp_path / "filler").exists()
    monkeypatch.setattr(disks, "_take_all", lambda descriptor: None)
    assert fill(scene(tmp_path)).proof == ""


def test_a_checkpoint_is_whole_again_after_the_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that was full may leave a job that answers and never makes a checkpoint again."""
    monkeypatch.setattr(disks, "_take_all", lambda descriptor: None)
    old, new = (tmp_path / "job" / f"chk-{number}" / "_metadata" for number in (1, 2))
    for path in (old, new):
        path.parent.mkdir(parents=True)
    old.touch()
    begun = scene(tmp_path)
    ended = threading.Event()

    def make_checkpoints() -> None:
        while not ended.wait(0.05):
            new.touch()

    making = threading.Thread(target=make_checkpoints)
    making.start()
    bite = fill(begun)
    ended.set()
    making.join()
    assert (bite.broken, bite.unsure) == ((), ())
    os.utime(new, (1, 1))
    threading.Timer(0.4, begun.stopping.set).start()
    assert fill(begun).unsure == ("the load ended before a checkpoint was whole again",)


def test_all_room_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    left = 3 * disks.CHUNK_BYTES + 5

    def write(descriptor: int, content: bytes) -> int:
        nonlocal left
        if len(content) > left:
            raise OSError(disks.errno.ENOSPC, "full")
        left -= len(content)
        return len(content)

    monkeypatch.setattr(cast(Any, disks).os, "write", write)
    disks._take_all(0)
    assert left == 0
