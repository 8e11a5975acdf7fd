"""These faults meet processes: they are killed, stopped, or slowed down."""

import os
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from bench.errors import BenchError
from bench.faults.fault import A_CHECKPOINT, CHECKPOINTS, Bite
from bench.faults.up import FOLDERS, Scene

ENDED_WAIT_S = 30.0
"""A part that was killed is noticed and started anew by then, on a busy machine too."""
CHECKPOINT_POLL_S = 0.001
"""This time passes between looks for one: it is made in some tens of ms."""
POLL_S = 0.05
"""This time passes between looks whether something has been started anew."""
SPEED = 0.2
"""A part that is slowed down runs for this share of the time."""
TURN_S = 0.1
"""A part of each so long stretch it runs, the rest it is stopped: shorter than any timeout."""
SPEED_MAX = 0.3
"""More than this share, and the fault did not bite: whoever stops it was late itself."""


def kill(scene: Scene) -> Bite:
    """`kill` ends the parts by SIGKILL; healed is when each has been started anew. It raises
    `BenchError` where it can't be done yet."""
    roots = scene.up.roots()
    before = {part: roots.get(part) for part in scene.fault.parts}
    pids = [pid for part in before for pid in scene.up.pids().get(part, ())]
    if None in before.values():  # an earlier fault's doing
        raise BenchError("a part that is to be killed is being started anew")
    meanwhile = ""
    if scene.fault.what == A_CHECKPOINT:
        begun = _stopped_at_checkpoint(scene, pids)
        if begun is None:
            raise BenchError(f"no checkpoint began in {scene.fault.duration_s:g} s")
        meanwhile = f" while Flink made {begun.name}"
    struck_ns = time.monotonic_ns()
    _signal(pids, signal.SIGKILL)
    until_s = time.monotonic() + ENDED_WAIT_S
    while time.monotonic() < until_s:
        now = scene.up.roots()
        if all(now.get(part) not in (None, pid) for part, pid in before.items()):
            ended = f"{' and '.join(before)} ({len(pids)} processes)"
            return Bite(f"SIGKILL ended {ended}{meanwhile}", struck_ns=struck_ns)
        time.sleep(POLL_S)
    return Bite("")


def _stopped_at_checkpoint(scene: Scene, pids: Sequence[int]) -> Path | None:
    """Stops the processes at the begin of a checkpoint, whose folder is returned: it is not whole,
    and what waits for them can't end it. None where no such checkpoint comes, and nothing is
    stopped."""
    folder = scene.up.data_dir / FOLDERS[CHECKPOINTS]
    known = {*folder.glob("*/chk-*")}
    until_s = time.monotonic() + scene.fault.duration_s
    while time.monotonic() < until_s:
        for begun in {*folder.glob("*/chk-*")} - known:
            _signal(pids, signal.SIGSTOP)
            if begun.exists() and not (begun / "_metadata").exists():
                return begun
            _signal(pids, signal.SIGCONT)
            known.add(begun)
        time.sleep(CHECKPOINT_POLL_S)
    return None


def _signal(pids: Sequence[int], number: signal.Signals) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_up(scene: Scene) -> Bite:
    """`kill_up` ends all at once, what supervises them too, and brings the stack up again.

    It raises `StackError` when it does not come up.
    """
    number = sum(map(len, scene.up.pids().values()))
    scene.up.kill()
    began_s = time.monotonic()
    scene.up.start()
    lasted_s = time.monotonic() - began_s
    return Bite(f"SIGKILL ended all ({number} processes), `up` took {lasted_s:.1f} s")


def pause(scene: Scene) -> Bite:
    """`pause` stops the parts by SIGSTOP; whoever runs on in the meantime was not stopped."""
    with _resumed(scene) as processes:
        for process in processes:
            process.suspend()
        used_s = _cpu_s(processes)
        scene.stopping.wait(scene.fault.duration_s)
        used_s = _cpu_s(processes) - used_s
        is_stopped = all(each.status() == psutil.STATUS_STOPPED for each in processes)
    proof = f"SIGSTOP held it ({used_s:.2f} s of CPU meanwhile)"
    return Bite(proof if processes and is_stopped else "")


def slow(scene: Scene) -> Bite:
    """`slow` has the parts run for a fifth of the time."""
    began_s, ran_s = time.monotonic(), 0.0
    with _resumed(scene) as processes:
        while time.monotonic() < began_s + scene.fault.duration_s and not scene.stopping.is_set():
            for process in processes:
                process.suspend()
            time.sleep((1 - SPEED) * TURN_S)
            resumed_s = time.monotonic()
            for process in processes:
                process.resume()
            time.sleep(SPEED * TURN_S)
            ran_s += time.monotonic() - resumed_s
        share = ran_s / max(1e-9, time.monotonic() - began_s)
    bit = bool(processes) and 0 < share <= SPEED_MAX
    return Bite(f"SIGSTOP let it run for {share:.0%} of the time" if bit else "")


@contextmanager
def _resumed(scene: Scene) -> Iterator[list[psutil.Process]]:
    pids = scene.up.pids()
    processes = [psutil.Process(pid) for part in scene.fault.parts for pid in pids.get(part, ())]
    try:
        yield processes
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def _cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
