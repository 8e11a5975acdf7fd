"""Processes are stopped, slowed and killed for real; what was not is not proven."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from bench.errors import BenchError
from bench.faults import processes
from bench.faults.fault import FAULTS, Bite, Fault
from bench.faults.up import Scene
from system.runtime.parts import TASKMANAGER

Process = subprocess.Popen[bytes]


@pytest.fixture
def busy() -> Iterator[Process]:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        yield process
        process.kill()


def scene(fault: Fault, pid: int, later: int | None = None) -> Scene:
    """The part has this process; once it has ended, the `later` one."""

    def roots() -> dict[str, int]:
        alive = psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
        return {TASKMANAGER: pid} if alive or later is None else {TASKMANAGER: later}

    up: Any = SimpleNamespace(
        roots=roots, pids=lambda: {part: [root] for part, root in roots().items()}
    )
    return Scene(fault._replace(parts=(TASKMANAGER,), duration_s=0.5), up, 1, threading.Event())


def test_a_pause_holds_and_ends(busy: Process) -> None:
    bite = processes.pause(scene(FAULTS["pause-taskmanager-15"], busy.pid))
    assert bite.proof.startswith("SIGSTOP held it (0.0")
    assert psutil.Process(busy.pid).status() != psutil.STATUS_STOPPED


def test_a_part_that_could_not_be_stopped_is_not_proven(
    busy: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(psutil.Process, "suspend", lambda self: None)
    assert processes.pause(scene(FAULTS["pause-taskmanager-15"], busy.pid)).proof == ""


def test_a_slow_part_runs_for_a_share_of_the_time(
    busy: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "SPEED_MAX", 1.0)  # a busy machine wakes this one late
    bite = processes.slow(scene(FAULTS["slow-services"], busy.pid))
    assert bite.proof.startswith("SIGSTOP let it run for ")
    assert psutil.Process(busy.pid).status() != psutil.STATUS_STOPPED
    monkeypatch.setattr(processes, "SPEED_MAX", 0.0)
    assert processes.slow(scene(FAULTS["slow-services"], busy.pid)).proof == ""


def test_a_kill_is_proven_by_what_was_started_anew(
    busy: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    fault = FAULTS["kill-taskmanager"]
    bite = processes.kill(scene(fault, busy.pid, later=1))
    assert bite.proof == "SIGKILL ended flink_taskmanager (1 processes)"
    assert bite.struck_ns is not None
    assert busy.wait() == -signal.SIGKILL


def test_a_kill_of_what_is_down_is_none(busy: Process) -> None:
    """It is about to be started anew, by an earlier fault's doing."""
    killing = scene(FAULTS["kill-taskmanager"], busy.pid)
    roots = iter([{}, {TASKMANAGER: busy.pid}])
    up: Any = SimpleNamespace(roots=lambda: next(roots), pids=dict)
    with pytest.raises(BenchError, match="a part that is to be killed is being started anew"):
        processes.kill(killing._replace(up=up))
    assert busy.poll() is None


def test_a_kill_at_a_checkpoint_waits_for_one_that_is_not_whole(
    busy: Process, tmp_path: Path
) -> None:
    folder = tmp_path / "flink/checkpoints/job"
    done = folder / "chk-1"
    done.mkdir(parents=True)
    killed: list[Bite] = []
    scene_ = at_checkpoint(busy, tmp_path)
    killing = threading.Thread(target=lambda: killed.append(processes.kill(scene_)))
    killing.start()
    whole, number = folder / "whole", 2
    while killing.is_alive():
        if number % 2:
            (folder / f"chk-{number}").mkdir()
        else:  # one that is whole when it is first seen
            whole.mkdir()
            (whole / "_metadata").touch()
            whole.rename(folder / f"chk-{number}")
        number += 1
        killing.join(0.01)
    proof, _, number_killed = killed[0].proof.rpartition("-")
    assert proof == "SIGKILL ended flink_taskmanager (1 processes) while Flink made chk"
    assert int(number_killed) % 2 == 1
    assert busy.wait() == -signal.SIGKILL


def test_a_kill_without_a_checkpoint_is_none(busy: Process, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"no checkpoint began in 0\.5 s"):
        processes.kill(at_checkpoint(busy, tmp_path))
    assert psutil.Process(busy.pid).status() != psutil.STATUS_STOPPED
    assert busy.poll() is None


def at_checkpoint(busy: Process, data_dir: Path) -> Scene:
    made = scene(FAULTS["kill-broker-at-checkpoint"], busy.pid, later=1)
    made.up.data_dir = data_dir
    return made


def test_a_part_that_is_not_started_anew_is_told(
    busy: Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "ENDED_WAIT_S", 0.2)
    assert processes.kill(scene(FAULTS["kill-taskmanager"], busy.pid)).proof == ""
