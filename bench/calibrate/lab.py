"""The lab makes short loads whose generator is measured itself: see `bench.calibrate.parts`."""

import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count, pairwise
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import psutil

from bench.errors import BenchError, bench_errors
from bench.generator.spec import LEAD_NS, READY_TIMEOUT_S, Spec
from bench.project import PROJECT_DIR
from bench.records.samples import Reader, Samples, Watched, Window
from bench.workload.arrivals import Arrivals
from machine.processes import Child, Supervisor
from machine.whole_files import write

WARM_UP_S = 0.5
"""The begin of a burst is not measured for so long."""
SERVER_READY_S = 30.0
"""A server listens by then."""
GRACE_S = 60.0
"""Whoever makes a load has ended by so long after it."""
CHECK_S = 0.2
"""This much time passes between looks at the processes of a burst."""
IN_FLIGHT_MAX = 2_000
"""An open loop has at most this many requests under way; more are dropped."""
TIMEOUT_S = 20.0
"""A request is waited for so long, well above the longest latency of
`bench.calibrate.truth_server`, a stall included."""

WORKLOAD = '[[request]]\noperation = "root"\npath = "/"\nexpect = [200, 503]\n'


class Server(NamedTuple):
    url: str
    pids: Sequence[int]


class Ran(NamedTuple):
    """This load was made."""

    per_s: float
    cpu_us: float
    """Whoever made it took this much CPU for each request."""
    server_cores: float
    """The server used so much of the machine."""
    foreign_cores: float
    """Somebody else used so much of it, the hypervisor included."""
    lag_p99_ms: float = 0.0
    """Requests were sent this late; 0 where that is not known."""

    @property
    def server_us(self) -> float:
        """The server took this CPU time for each request."""
        return self.server_cores / self.per_s * 1e6


class Load(NamedTuple):
    """The load is what the project's own generator is to do."""

    duration_s: float
    users: int = 0
    """A closed loop has so many users; 0: an open one."""
    rate_per_s: float = 0.0
    arrivals: Arrivals = "poisson"
    workload: str = ""
    """The workload is a scenario; empty: GET / again and again."""
    trace_every: int = 0
    alternating: bool = False
    seed: int = 1


class Used(NamedTuple):
    """The CPU time so far is in s."""

    server_s: float
    machine_s: float
    """The machine's time is that of all its cores; time that the hypervisor gave to others
    counts."""

    @classmethod
    def now(cls, server: Server) -> Self:
        times = psutil.cpu_times()
        return cls(
            _cpu_s(server.pids),
            times.user + times.nice + times.system + times.irq + times.softirq + times.steal,
        )

    def since(self, before: Self, own_s: float) -> tuple[float, float]:
        """`since` returns what the server used, and what others did beside a generator that used
        `own_s`."""
        server_s = self.server_s - before.server_s
        return server_s, max(0.0, self.machine_s - before.machine_s - server_s - own_s)


class Lab:
    """The lab starts servers and those who load them. It is a context manager: none outlives it.

    What they need is in a new folder inside of `folder`. With `apart` they run on a core each.
    It raises `BenchError` when one ends that should not.
    """

    def __init__(self, folder: Path, *, apart: bool = True) -> None:
        cores = sorted(os.sched_getaffinity(0))
        if apart and len(cores) < 2:
            raise BenchError("one core: a server and who loads it need one each")
        self._cores = [{cores[0]}, {cores[1]}] if apart else [set(cores)] * 2
        self._folder = Path(tempfile.mkdtemp(dir=folder))
        self._supervisor = Supervisor()
        self._numbers = count(1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._supervisor.close()

    @contextmanager
    def serving(self, *module: str) -> Iterator[Server]:
        """`serving` yields a server that prints its port: a module and its arguments."""
        child = self._start(1, "server", [sys.executable, "-m", *module])
        with bench_errors():
            self._supervisor.wait_for(
                lambda: child.log.read_bytes().endswith(b"\n"), "the server's start", SERVER_READY_S
            )
        yield Server(f"http://127.0.0.1:{int(child.log.read_text())}", [child.pid])
        self._supervisor.stop([child.name], GRACE_S)

    def command(
        self, server: Server, command: Sequence[str], duration_s: float
    ) -> tuple[str, float, float, float]:
        """`command` lets another generator do its work.

        Returns what it printed, its CPU time in s, and the cores that the server and others used.
        """
        before, used, begin_s = _children_cpu_s(), Used.now(server), time.monotonic()
        child = self._start(0, Path(command[0]).name, command)
        with bench_errors():
            self._supervisor.run(child, duration_s + GRACE_S)
        own_s = _children_cpu_s() - before
        server_s, foreign_s = Used.now(server).since(used, own_s)
        elapsed_s = time.monotonic() - begin_s
        return child.log.read_text(), own_s, server_s / duration_s, foreign_s / elapsed_s

    def burst(self, server: Server, load: Load) -> tuple[Ran, Samples, Watched]:
        """`burst` makes a load with a generator of this project.

        Also returns the samples and marks of what is measured.
        """
        spec = self._spec(server.url, load)
        path = self._folder / f"{Path(spec.samples).stem}-spec.json"
        path.write_bytes(spec.to_json())
        child = self._start(
            0, "generator", [sys.executable, "-m", "bench.generator.process", str(path)]
        )
        reader = Reader(Path(spec.samples))

        def is_ready() -> bool:
            reader.read_marks()
            return reader.ready > 0

        with bench_errors():
            self._supervisor.wait_for(is_ready, "the generator's start", READY_TIMEOUT_S)
            begin_ns = time.monotonic_ns() + LEAD_NS
            write(Path(spec.go), str(begin_ns).encode())
            opened_ns = begin_ns + int(WARM_UP_S * 1e9)
            closed_ns = begin_ns + int(load.duration_s * 1e9)
            self._until(opened_ns)
            own_s, used = _cpu_s([child.pid]), Used.now(server)
            self._until(closed_ns)
            server_s, foreign_s = Used.now(server).since(used, _cpu_s([child.pid]) - own_s)
            self._supervisor.stop([child.name], GRACE_S)
        reader = Reader(Path(spec.samples))
        samples = reader.read()
        for written in self._folder.glob(f"{Path(spec.samples).stem}[.-]*"):
            written.unlink()
        window = Window(opened_ns, closed_ns, is_open_loop=True)
        inside = window.of(samples)
        lag_ns = inside.where(~inside.of_kind("dropped")).schedule_lag_ns
        marks = [mark for mark in reader.watched if opened_ns <= mark["at_ns"] < closed_ns]
        per_s, cpu_us = paid(marks)
        ran = Ran(
            per_s,
            cpu_us,
            server_s / window.length_s,
            foreign_s / window.length_s,
            float(np.percentile(lag_ns, 99)) / 1e6 if len(lag_ns) else 0.0,
        )
        return ran, inside, marks

    def _spec(self, url: str, load: Load) -> Spec:
        name = f"burst-{next(self._numbers)}"
        workload = self._folder / "workload.toml"
        workload.write_text(WORKLOAD)
        stage = (load.rate_per_s, load.rate_per_s, load.duration_s)
        return Spec(
            url=url,
            workload=load.workload or str(workload),
            zipf=0.0,
            seed=load.seed,
            stages=() if load.users else (stage,),
            arrivals=load.arrivals,
            users=load.users,
            duration_s=load.duration_s,
            index=0,
            count=1,
            in_flight_max=IN_FLIGHT_MAX,
            timeout_s=TIMEOUT_S,
            trace_every=load.trace_every,
            samples=str(self._folder / f"{name}.bin"),
            history=str(self._folder / f"{name}-history.jsonl"),
            traces=str(self._folder / f"{name}-traces.jsonl"),
            go=str(self._folder / f"{name}-go"),
            alternating=load.alternating,
        )

    def _start(self, place: int, what: str, command: Sequence[str]) -> Child:
        name = f"{what} {next(self._numbers)}"
        log = self._folder / f"{name.replace(' ', '-')}.log"
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self._cores[place])  # a child inherits it
        try:
            with bench_errors():
                return self._supervisor.start(name, command, log=log, cwd=PROJECT_DIR)
        finally:
            os.sched_setaffinity(0, before)

    def _until(self, at_ns: int) -> None:
        while (left_s := (at_ns - time.monotonic_ns()) / 1e9) > 0:
            self._supervisor.check()
            time.sleep(min(left_s, CHECK_S))


def paid(marks: Watched) -> tuple[float, float]:
    """`paid` returns requests per second, and µs of CPU for each, between a generator's first mark
    and its last.

    It raises `BenchError` where there are less than two, or nothing was sent.
    """
    if len(marks) < 2 or marks[-1]["sent"] == marks[0]["sent"]:
        raise BenchError("a burst was too short to measure, or nothing was sent in it")
    first, last = marks[0], marks[-1]
    sent = last["sent"] - first["sent"]
    elapsed_ns, cpu_ns = last["at_ns"] - first["at_ns"], last["cpu_ns"] - first["cpu_ns"]
    return sent / elapsed_ns * 1e9, cpu_ns / sent / 1e3


def kept_and_not(marks: Watched) -> tuple[float, float]:
    """`kept_and_not` returns µs of CPU for each request while samples were kept, and while not, of
    an alternating burst.

    It raises `BenchError` where one of them never was.
    """
    stretches = [mark for mark in marks if "kept" in mark]
    cpu_ns, sent = [0, 0], [0, 0]
    for before, mark in pairwise(stretches):
        cpu_ns[mark["kept"]] += mark["cpu_ns"] - before["cpu_ns"]
        sent[mark["kept"]] += mark["sent"] - before["sent"]
    if not all(sent):
        raise BenchError("a burst was too short to measure, or nothing was sent in it")
    return cpu_ns[1] / sent[1] / 1e3, cpu_ns[0] / sent[0] / 1e3


def _cpu_s(pids: Sequence[int]) -> float:
    """Of processes, so far."""
    times = [psutil.Process(pid).cpu_times() for pid in pids]
    return float(sum(each.user + each.system for each in times))


def _children_cpu_s() -> float:
    """Of all that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
