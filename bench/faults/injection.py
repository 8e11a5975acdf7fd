"""An injection puts faults into a stack, heals them, and tells what proves that they bit."""

import asyncio
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import BrokenExecutor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import psutil

from bench.errors import BenchError
from bench.faults import processes
from bench.faults.clock import until_ahead
from bench.faults.crowds import let_in
from bench.faults.disks import fill
from bench.faults.fault import AHEAD, Bite, Injected, Kind, Planned
from bench.faults.records import poison, replay
from bench.faults.up import Injector, Scene, Up
from bench.probes.target import OWN_STACK, Options
from bench.project import PROJECT_DIR
from bench.records.run_record import ProbeRecord
from bench.run.model import Progress
from machine import ports
from machine.errors import StackError
from machine.http import answers
from machine.processes import Supervisor

POLL_S = 0.05
"""This time passes between looks whether the load has begun."""
PUT_IN_S = 20.0
"""A fault that can't be put in yet, as Kafka is not back from the one before, is tried again for so
long: a broker's goal."""
GATEWAY_TIMEOUT_S = 60.0
"""A gateway of its own, for a probe, starts within this time on a busy machine too."""
DRAIN_TIMEOUT_S = 15.0
"""The gateway of a probe ends within this time."""
PROBED = OWN_STACK._replace(in_flight_max=64)
"""A gateway that is probed beside a load has these limits: ten times half of the usual capacity is
half as much to send."""
REFUSAL_MS_MAX = 100.0
"""A refusal takes at most so long at p99, under overload."""
CROWD_NICE = 10
"""The thread of a crowd gets a tenth of a processor that another one wants."""
JUMP_S = 3600
"""A clock is set by so much: far beyond the window, and all that is kept for it."""
HOLD_S = 15.0
"""It is not right for so long: timers ring, records are written by it, and others come again."""
SET_WAIT_S = 40.0
"""Gateway and broker have the time that it was set to by then, and answer again."""


RunProbes = Callable[[Sequence[str], str, str, Options, Progress], list[ProbeRecord]]


class Injection:
    """An injection puts in one fault after the other, in a thread beside the load; a context
    manager."""

    def __init__(
        self, planned: Sequence[Planned], up: Up, folder: Path, warmup_s: float,
        run_probes: RunProbes, progress: Progress,
    ) -> None:  # fmt: skip
        """`folder` is where the run's folder is made, whose go file says when the load begins;
        `run_probes` is that of `bench.probes.registry`."""
        self._planned, self._up = planned, up
        self._injectors: Mapping[Kind, Injector] = {
            **INJECTORS,
            "probe": partial(probe, run_probes),
        }
        self._folder, self._warmup_s, self._progress = folder, warmup_s, progress
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="faults", daemon=True)
        self.done: list[Injected] = []

    def __enter__(self) -> "Injection":
        self._known = {*self._folder.glob("*/go-open")}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        begin_ns = self._begin_ns()
        if begin_ns is None:
            return
        opened_s = begin_ns / 1e9 + self._warmup_s
        for name, fault, seed, at_s in self._planned:
            if self._stopping.wait(max(0.0, opened_s + at_s - time.monotonic())):
                return
            began_ns = time.monotonic_ns()
            self._progress(f"fault {name} begins")
            bite = self._inject(Scene(fault, self._up, seed, self._stopping))
            healed_ns = bite.healed_ns or time.monotonic_ns()
            self.done.append(Injected(name, fault, began_ns, healed_ns, bite))
            told = bite.proof or "; ".join(bite.broken) or "nothing shows it"
            self._progress(f"fault {name}: {told}")

    def _inject(self, scene: Scene) -> Bite:
        until_s = time.monotonic() + PUT_IN_S
        while True:
            try:
                return self._injectors[scene.fault.kind](scene)
            except (BenchError, StackError, OSError, psutil.Error) as cause:
                is_last = not isinstance(cause, BenchError) or time.monotonic() > until_s
                if is_last or self._stopping.wait(POLL_S):
                    return Bite("", broken=(f"it could not be put in: {cause}",))

    def _begin_ns(self) -> int | None:
        """When the load of the measured phase begins; None where it never does."""
        while not self._stopping.wait(POLL_S):
            for path in {*self._folder.glob("*/go-open")} - self._known:
                with suppress(OSError, ValueError):
                    return int(path.read_bytes())
        return None


def _poison(scene: Scene) -> Bite:
    up = scene.up
    return Bite(asyncio.run(poison(up.bootstrap_servers, scene.fault.duration_s, scene.seed)))


def _replay(scene: Scene) -> Bite:
    bites: list[Bite] = []
    meanwhile = (lambda: bites.append(processes.kill(scene))) if scene.fault.parts else None
    again = asyncio.run(replay(scene.up.bootstrap_servers, scene.fault, scene.seed, meanwhile))
    killed = [bite.proof for bite in bites]
    proof = "; ".join([again, *killed]) if again and all(killed) else ""
    return Bite(proof, struck_ns=next((bite.struck_ns for bite in bites), None))


def _clock(scene: Scene) -> Bite:
    """What came before comes again, while the clock is not right, and when it is again."""
    up = scene.up
    told: list[str] = []
    healed_ns: list[int] = []
    ahead_s = JUMP_S if scene.fault.what == AHEAD else -JUMP_S

    def there_and_back() -> None:
        try:
            up.clock.set(ahead_s)
            told.append(until_ahead(ahead_s, up.url, up.bootstrap_servers, SET_WAIT_S))
            scene.stopping.wait(HOLD_S)
        finally:
            up.clock.set(0)
            healed_ns.append(time.monotonic_ns())
        told.append(until_ahead(0, up.url, up.bootstrap_servers, SET_WAIT_S))

    again = asyncio.run(replay(up.bootstrap_servers, scene.fault, scene.seed, there_and_back))
    proof = "; ".join([*told, again]) if again and all(told) else ""
    return Bite(proof, healed_ns=healed_ns[0])


def _crowd(scene: Scene) -> Bite:
    """A crowd has a thread of its own, which yields to all that it is to disturb: its clients would
    have machines of their own."""
    fault = scene.fault
    asked = (scene.up.url, fault.what, fault.duration_s, scene.seed)
    with ThreadPoolExecutor(1, initializer=_yield_to_all) as own:
        return own.submit(let_in, *asked).result()


def _yield_to_all() -> None:
    """Linux has a priority for each thread, by its own number."""
    thread = threading.get_native_id()
    nice = max(CROWD_NICE, os.getpriority(os.PRIO_PROCESS, thread))
    os.setpriority(os.PRIO_PROCESS, thread, nice)


def probe(run_probes: RunProbes, scene: Scene) -> Bite:
    """`probe` runs one in a process of its own, so that nothing of this one makes it late, on a
    gateway of its own, whose limits are such that it can be judged; the services and Kafka are the
    load's."""
    up, name = scene.up, scene.fault.what
    supervisor, port = Supervisor(), ports.choose(0, "")
    url = f"http://{ports.HOST}:{port}"
    command = (
        *(sys.executable, "-m", "system.gateway", "--bootstrap", up.bootstrap_servers),
        *("--port", str(port), "--gateway-id", f"probe-{port}", *PROBED.gateway_options()),
    )
    try:
        log = up.data_dir / "logs" / "probe_gateway.log"
        gateway = supervisor.start("gateway", command, log=log, cwd=PROJECT_DIR)
        supervisor.wait_for(
            lambda: answers(f"{url}/health/ready", GATEWAY_TIMEOUT_S), "a gateway",
            GATEWAY_TIMEOUT_S,
        )  # fmt: skip
        options = PROBED._replace(seed=scene.seed)
        group = os.getpgid(gateway.pid)  # it ends with this process, and no Ctrl-C reaches it
        spawned = get_context("spawn")
        with ProcessPoolExecutor(1, spawned, initializer=os.setpgid, initargs=(0, group)) as own:
            asked = own.submit(run_probes, (name,), url, up.bootstrap_servers, options, str)
            try:
                (found,) = asked.result()
            except BrokenExecutor as cause:
                raise BenchError(f"the process of the probe ended: {cause}") from None
        supervisor.stop(("gateway",), DRAIN_TIMEOUT_S)
    finally:
        supervisor.close()
    reasons, refused_ms = list(found.reasons), found.figures.get("refused_p99_ms") or 0.0
    if refused_ms > REFUSAL_MS_MAX:
        reasons.append(f"a refusal took {refused_ms:,.1f} ms at p99, more than {REFUSAL_MS_MAX:g}")
    told = ", ".join(f"{name} {figure:g}" for name, figure in found.figures.items())
    proof = f"{found.requests:,} requests: {told}"
    if found.state == "unknown":
        return Bite(proof, unsure=tuple(reasons))
    return Bite(proof, broken=tuple(reasons))


INJECTORS: Mapping[Kind, Injector] = {
    "kill": processes.kill,
    "kill-up": processes.kill_up,
    "pause": processes.pause,
    "slow": processes.slow,
    "fill": fill,
    "clock": _clock,
    "poison": _poison,
    "replay": _replay,
    "crowd": _crowd,
}
"""`INJECTORS` has what puts in each kind of fault but ``probe``."""
