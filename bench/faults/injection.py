"""An injection puts a fault into a stack, heals it, and tells what proves that it bit."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil

from bench.errors import BenchError
from bench.faults.fault import Fault
from bench.faults.records import poison, replay
from bench.records.series import Event
from system.runtime.stack import Stack

POLL_S = 0.05
"""This time passes between looks whether the load has begun, or something has ended."""
ENDED_WAIT_S = 10.0
"""The supervisor has noticed a death by then, on a busy machine too."""


class Injection:
    """An injection is one fault, in a thread of its own beside the load; a context manager."""

    def __init__(
        self,
        name: str,
        fault: Fault,
        stack: Stack,
        seed: int,
        folder: Path,
        warmup_s: float,
        progress: Callable[[str], object],
    ) -> None:
        """`folder` is where the run's folder is made, whose go file says when the load begins."""
        self._name, self._fault, self._stack, self._seed = name, fault, stack, seed
        self._folder, self._warmup_s, self._progress = folder, warmup_s, progress
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault", daemon=True)
        self.began_ns: int | None = None
        self.healed_ns: int | None = None
        self.proof = ""
        self.error = ""

    def __enter__(self) -> "Injection":
        self._known = {*self._folder.glob("*/go-open")}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def event(self) -> Event:
        """`event` returns the fault's span, for the time axis of the report."""
        assert self.began_ns is not None
        lasted_ns = (self.healed_ns or self.began_ns) - self.began_ns
        return Event("fault", self.began_ns, lasted_ns / 1e6, f"injected: {self._name}")

    def _run(self) -> None:
        begin_ns = self._begin_ns()
        if begin_ns is None:
            return
        due_s = begin_ns / 1e9 + self._warmup_s + self._fault.start_s
        if self._stopping.wait(max(0.0, due_s - time.monotonic())):
            return
        self.began_ns = time.monotonic_ns()
        self._progress(f"fault {self._name} begins")
        try:
            self.proof = self._inject()
        except (BenchError, OSError, psutil.Error) as cause:
            self.error = str(cause)
        if self.healed_ns is None:
            self.healed_ns = time.monotonic_ns()
        self._progress(f"fault {self._name}: {self.proof or self.error or 'nothing shows it'}")

    def _begin_ns(self) -> int | None:
        """When the load of the measured phase begins; None where it never does."""
        while not self._stopping.wait(POLL_S):
            for path in {*self._folder.glob("*/go-open")} - self._known:
                with suppress(OSError, ValueError):
                    return int(path.read_bytes())
        return None

    def _inject(self) -> str:
        fault, bootstrap = self._fault, self._stack.bootstrap_servers
        match fault.kind:
            case "kill":
                return self._kill()
            case "pause":
                return self._pause()
            case "poison":
                return asyncio.run(poison(bootstrap, fault.duration_s, self._seed))
            case "replay":
                return asyncio.run(replay(bootstrap, fault.duration_s, fault.wait_s, self._seed))

    def _kill(self) -> str:
        began_ns = time.monotonic_ns()
        pids = self._stack.pids()[self._fault.target]
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        until_s = time.monotonic() + ENDED_WAIT_S
        while time.monotonic() < until_s:
            for event in self._stack.restarts.events.copy():
                is_its_own = event.part == self._fault.target and event.at_ns >= began_ns
                if is_its_own and event.kind == "started":
                    self.healed_ns = event.at_ns
                    return f"SIGKILL ended it ({len(pids)} processes)"
            time.sleep(POLL_S)
        return ""

    def _pause(self) -> str:
        """Whoever runs on in the meantime was not stopped."""
        processes = [psutil.Process(pid) for pid in self._stack.pids()[self._fault.target]]
        try:
            for process in processes:
                process.suspend()
            used_s = _cpu_s(processes)
            self._stopping.wait(self._fault.duration_s)
            used_s = _cpu_s(processes) - used_s
            is_stopped = all(each.status() == psutil.STATUS_STOPPED for each in processes)
        finally:
            for process in processes:
                with suppress(psutil.NoSuchProcess):
                    process.resume()
        return f"SIGSTOP held it ({used_s:.2f} s of CPU meanwhile)" if is_stopped else ""


def _cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)
