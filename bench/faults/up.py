"""``python -m system up`` is what faults are put into: a stack as a person has it."""

import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

import psutil

from bench.errors import BenchError
from bench.faults.clock import Clock
from bench.faults.fault import (
    CHECKPOINTS,
    CLUSTER_DEADLINE_S,
    CLUSTER_PARTS,
    LOGS,
    Bite,
    Fault,
    Needs,
)
from bench.observe.jvm_allocation import live_bytes
from bench.observe.processes import open_files
from bench.project import PROJECT_DIR
from bench.run.model import Progress
from machine import ports
from machine.disk_use import size_bytes
from machine.errors import StackError
from machine.http import answers
from machine.processes import Child, Supervisor
from system.credentials import shop_headers
from system.runtime import registry
from system.runtime.data_folder import held_folder
from system.runtime.parts import GATEWAY, JOBMANAGER, KAFKA, TASKMANAGER, names
from system.wire import input_topic, reply_topic

START_TIMEOUT_S = 300.0
"""A start takes at most this long; its own limits, one for each of its steps, end it first."""
DOWN_TIMEOUT_S = 120.0
"""An end takes at most this long, the recording of Java's classes included."""
READY_TIMEOUT_S = 300.0
"""A stack answers again so long after a fault, on a busy machine too."""
ANSWER_TIMEOUT_S = 6.0
"""One request takes at most this long meanwhile: longer than a gateway usually waits."""
POLL_S = 0.05
"""This much time passes between looks at a stack that starts or mends itself."""
SMALL_DISK_MIB = 256
"""A small disk has this size: some minutes of topics, and any checkpoint, several times over."""

FOLDERS = {LOGS: "kafka/log", CHECKPOINTS: "flink/checkpoints"}
"""A disk that may fill up is at this place of the data folder."""
SUPERVISOR = "supervisor"
"""Figures of ``up`` itself have this name."""
MIB = 1024 * 1024
"""A MiB has so many bytes."""
SHARED_MEMORY = "/dev/shm"
"""Linux has named memory at this place."""
OWN_DISKS = """
size=$1 count=$2
shift 2
while [ "$count" -gt 0 ]; do
    mount -t tmpfs -o "size=$size,mode=700" tmpfs "$1"
    shift
    count=$((count - 1))
done
exec "$@"
"""
"""This shell script mounts some in a mount namespace of its own, which ends with the stack."""


CLUSTER_OPTIONS = [
    *("--brokers", str(CLUSTER_PARTS[KAFKA]), "--gateways", str(CLUSTER_PARTS[GATEWAY])),
    # One of the job's tasks of a kind for each.
    *("--parallelism", str(CLUSTER_PARTS[TASKMANAGER])),
    *("--taskmanagers", str(CLUSTER_PARTS[TASKMANAGER])),
    # Small, and said: eight processes are to fit beside a load generator.
    *("--kafka-heap-mib", "256", "--jobmanager-heap-mib", "384", "--taskmanager-heap-mib", "512"),
    *("--known-mib", "64", "--timeout-s", f"{CLUSTER_DEADLINE_S:g}"),
    "--gateway-option=--when-silent=refuse",
]
"""These arguments of ``up`` make the cluster: no process of it is the only one of its kind, but the
JobManager, whose job goes on from its checkpoints."""


class Up:
    """A stack is up from entering to leaving; it has a data folder and fixed ports, so that it can
    be brought up again."""

    def __init__(
        self,
        progress: Progress,
        *,
        needs: Needs = "",
        options: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`options` are further ones of ``up``, and `environment` variables of it."""
        self._progress = progress
        self._needs, self._options, self._environment = needs, options, environment
        self._name = f"faults-{time.time_ns():x}"
        self._supervisor = Supervisor()
        self._cleanup = ExitStack()
        self._child: Child | None = None
        self.is_fresh = True
        """Nothing has loaded it yet."""

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            folder = cleanup.enter_context(held_folder("faults"))
            cleanup.push(partial(_removed, folder))
            self.data_dir = folder / "data"
            self._log = folder / "up.log"
            self._ports = {
                option: ports.choose(0, option)
                for option in ("--port", "--kafka-port", "--flink-rest-port")
            }
            if self._needs == "small disks":
                for disk in FOLDERS.values():
                    (self.data_dir / disk).mkdir(parents=True)
            self.clock = Clock(folder / "clock")
            cleanup.callback(self._supervisor.close)
            cleanup.callback(self._supervisor.stop, ("up",), DOWN_TIMEOUT_S)
            self.start()
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress("ending the stack")
        self._cleanup.__exit__(kind, error, trace)

    def start(self) -> None:
        """`start` returns when it is ready. It raises `StackError` when it does not come up."""
        began_s = time.monotonic()
        child = self._supervisor.start(
            "up",
            self._command(),
            log=self._log,
            cwd=PROJECT_DIR,
            env=self._environment,
        )
        self._supervisor.wait_for(lambda: self._is_up_as(child.pid), "the stack", START_TIMEOUT_S)
        entry = registry.find(self._name)
        assert entry is not None
        self.urls, self.url = entry.urls, entry.url
        self.bootstrap_servers = entry.bootstrap_servers
        self.flink_rest = entry.flink_rest
        self._child = child
        self._progress(f"the stack is up after {time.monotonic() - began_s:.1f} s at {self.url}")

    def _is_up_as(self, pid: int) -> bool:
        entry = registry.find(self._name)  # one that was killed may have left its own
        return entry is not None and entry.pid == pid

    def pid(self) -> int:
        """`pid` returns the process of ``up`` itself; 0 where it was killed."""
        return 0 if self._child is None else self._child.pid

    def kill(self) -> None:
        """`kill` ends everything at once by SIGKILL: the parts, and what supervises them."""
        pids = [pid for part in self.pids().values() for pid in part]
        child, self._child = self._child, None
        assert child is not None
        self._supervisor.children.pop("up", None)
        child.process.kill()
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        child.process.wait()

    def check(self) -> None:
        """`check` raises `BenchError` when it has ended, and nobody killed it."""
        child = self._child
        if child is not None and child.exit_code() is not None:
            raise BenchError(child.describe_exit())

    def pids(self) -> dict[str, list[int]]:
        """`pids` returns the processes of each part, as far as they live; the first started the
        others."""
        return {part: _tree(pid) for part, pid in self.roots().items()}

    def roots(self) -> dict[str, int]:
        """`roots` returns the process of each part that started its others; none of a part that has
        ended, as far as its supervisor knows."""
        entry = registry.find(self._name)
        return {} if entry is None else {part: pids[0] for part, pids in entry.pids.items() if pids}

    def is_ready(self) -> bool:
        """`is_ready` returns whether the services answer."""
        return all(
            answers(f"{url}/health/ready", ANSWER_TIMEOUT_S)
            and answers(f"{url}/echo/ready", ANSWER_TIMEOUT_S, shop_headers())
            for url in self.urls
        )

    def until_ready(self) -> None:
        """`until_ready` returns when they do. It raises `BenchError` when they never do."""
        until_s = time.monotonic() + READY_TIMEOUT_S
        while not self.is_ready():
            self.check()
            if time.monotonic() > until_s:
                raise BenchError(f"{self.url} was not ready again after {READY_TIMEOUT_S:g} s")
            time.sleep(POLL_S)

    def disk(self, name: str) -> Path:
        """`disk` returns the folder of a disk, as the stack itself sees it."""
        folder, child = self.data_dir / FOLDERS[name], self._child
        return folder if child is None else Path(f"/proc/{child.pid}/root{folder}")

    def logs(self) -> Sequence[Path]:
        """`logs` returns what each part says."""
        return sorted((self.data_dir / "logs").glob("*.log"))

    def gc_logs(self) -> Mapping[str, Path]:
        """`gc_logs` returns the log of pauses of each JVM."""
        found = {
            name: self.data_dir / name / "gc.log" for name in names(KAFKA, CLUSTER_PARTS[KAFKA])
        }
        for kind in (JOBMANAGER, TASKMANAGER):
            for name in names(kind, CLUSTER_PARTS[kind]):
                found[name] = self.data_dir / "flink" / f"{name.removeprefix('flink_')}-gc.log"
        return {name: log for name, log in found.items() if log.exists()}

    def _command(self) -> list[str]:
        chosen = [str(word) for port in self._ports.items() for word in port]
        command = [sys.executable, "-m", "system", "up", "--name", self._name, *chosen]
        command += ["--data-dir", str(self.data_dir)]
        command += self._options
        if self._needs == "small disks":
            disks = [str(self.data_dir / disk) for disk in FOLDERS.values()]
            return _with_disks(disks, command)
        if self._needs == "own clock":  # whose library leaves a file for each process
            return _with_disks([SHARED_MEMORY], ["env", *self.clock.environment(), *command])
        return command


class Scene(NamedTuple):
    """A scene is a fault, with the parts that the seed chose, and the stack that meets it."""

    fault: Fault
    up: Up
    seed: int
    stopping: threading.Event
    """The event is set when the load is over: nothing is waited for any more."""


Injector = Callable[[Scene], Bite]


def _with_disks(places: Sequence[str], command: Sequence[str]) -> list[str]:
    """The command, with small disks at these places."""
    inside = ["unshare", "--map-root-user", "--mount", "sh", "-e", "-c", OWN_DISKS, "-"]
    return [*inside, f"{SMALL_DISK_MIB}m", str(len(places)), *places, *command]


def _removed(folder: Path, kind: type[BaseException] | None, *_: object) -> None:
    """Removes it, but not the logs that an error names; the next one removes those."""
    if kind is None or not issubclass(kind, StackError | BenchError):
        shutil.rmtree(folder, ignore_errors=True)


def _tree(pid: int) -> list[int]:
    """The process and its descendants; none where it has ended."""
    try:
        root = psutil.Process(pid)
        if root.status() == psutil.STATUS_ZOMBIE:
            return []
        return [pid, *(child.pid for child in root.children(recursive=True))]
    except psutil.NoSuchProcess:
        return []


HEAP_EACH_S = 60.0
"""The live heap is looked at this often: after a collection of all garbage, which takes some tenths
of a second."""
HEAP_AGAIN_S = 10.0
"""A JVM that did not answer is asked again after this time: all other figures wait meanwhile."""


def held_by(up: Up) -> dict[str, float]:
    """`held_by` returns what lies on the disk, in MiB, how many files each part has open beside
    what lies there (topics and state have as many as they are large), and the memory of what
    supervises the parts, which is none itself."""
    logs = up.disk(LOGS)
    requests, replies = (logs.glob(f"{topic('*')}-*") for topic in (input_topic, reply_topic))
    found: dict[str, float] = {
        "disk_mib.requests": sum(map(size_bytes, requests)) / MIB,
        "disk_mib.replies": sum(map(size_bytes, replies)) / MIB,
        "disk_mib.checkpoints": size_bytes(up.disk(CHECKPOINTS)) / MIB,
    }
    for part, pid in {**up.roots(), SUPERVISOR: up.pid()}.items():
        with suppress(OSError):
            found[f"files.{part}"] = open_files(pid, up.data_dir)
    with suppress(psutil.Error):
        found[f"rss_mib.{SUPERVISOR}"] = psutil.Process(up.pid()).memory_info().rss / MIB
    return found


class Watch:
    """A watch looks at all that a stack holds, and now and then at what lives in its heaps."""

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}
        """The heap of a part is to be looked at then."""

    def __call__(self, up: Up) -> dict[str, float]:
        """It returns figures by the name of their series, sizes in MiB. The heap of a JVM that does
        not answer is not among them."""
        found = held_by(up)
        roots, now_s = up.roots(), time.monotonic()
        for part in roots.keys() & up.gc_logs().keys():
            if now_s >= self._due_s.get(part, now_s):
                self._due_s[part] = now_s + HEAP_AGAIN_S
                with suppress(BenchError):
                    found[f"heap_mib.{part}"] = live_bytes(roots[part]) / MIB
                    self._due_s[part] = now_s + HEAP_EACH_S
        return found
