"""A disk is filled to the last byte, and freed again; who could not write is told by its log."""

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

    monkeypatch.setattr(disks, "_take_all", take_all)
    bite = fill(scene(tmp_path))
    assert bite.proof.startswith("the disk was full, said kafka ")
    assert bite.healed_ns
    assert not (tmp_path / "filler").exists()
    monkeypatch.setattr(disks, "_take_all", lambda descriptor: None)
    assert fill(scene(tmp_path)).proof == ""


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
