"""The whole reference system: comes up as one, ends as one.

    with Stack(StackOptions(workers=2), progress=print) as stack:
        urllib.request.urlopen(stack.url)

``KAFKA_BOOTSTRAP_SERVERS`` (``host:port,…``) and ``FLINK_REST`` (``host:port``) in the environment
name clusters to use instead of own ones: the job is then submitted there, and cancelled at the end.
"""

import json
import os
import sys
import time
import uuid
from argparse import ArgumentTypeError
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from machine import ports
from machine.arguments import addresses
from machine.errors import StackError
from machine.http import HttpError, answers
from machine.processes import Child, Supervisor
from system.routes import SERVICES
from system.runtime import flink_cluster, jars, resources
from system.runtime.class_archive import ClassArchive
from system.runtime.data_folder import data_folder
from system.runtime.flink_rest import Rest
from system.runtime.kafka_broker import Kafka
from system.runtime.settings import (
    CHECKPOINT_INTERVAL_S,
    CHECKPOINT_INTERVAL_S_MIN,
    HEAP_MIB_MIN,
    TASK_SLOTS,
    Heaps,
)

STEP_TIMEOUT_S = 120.0
"""Limit of each step of a start. It only ends what hangs: a process that dies is noticed at once,
and a crowded machine takes a minute for what an idle one does in seconds."""

REACH_TIMEOUT_S = 15.0
"""An existing cluster answers within this time, or the start ends."""

PROBE_TIMEOUT_S = 6.0
"""Of one request while coming up; longer than the gateway waits for a reply."""

DRAIN_TIMEOUT_S = 15.0
"""The gateway answers what it has accepted, at most this long."""

STOP_TIMEOUT_S = 10.0
"""Kafka and Flink end within this time after SIGTERM, or are killed."""
RECORD_TIMEOUT_S = 60.0
"""Of ending the first stack, whose Java processes record the classes that they had loaded."""

ECHO = "echo"
KAFKA, JOBMANAGER, TASKMANAGER, GATEWAY = (
    "kafka",
    "flink_jobmanager",
    "flink_taskmanager",
    "gateway",
)


@dataclass(frozen=True)
class StackOptions:
    """What may differ between stacks; heaps are in MiB.

    A port of 0 is any free one, None the usual one, and any free one where that is taken.
    """

    services: tuple[str, ...] = SERVICES
    port: int | None = 0
    kafka_port: int | None = 0
    flink_rest_port: int | None = 0
    workers: int = 1
    """Gateway processes, on one port."""
    gateway_options: tuple[str, ...] = ()
    """Further arguments of ``python -m system.gateway``."""
    execution_mode: Literal["thread", "process"] = "thread"
    parallelism: int = 1
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S
    heaps: Heaps = field(default_factory=Heaps)
    data_dir: Path | None = None
    """An empty or new folder, which stays; None is a temporary one in the cache folder."""

    def __post_init__(self) -> None:
        unknown = set(self.services) - set(SERVICES)
        if unknown:
            raise ValueError(f"no service {', '.join(sorted(unknown))} in {', '.join(SERVICES)}")
        if not 1 <= self.parallelism <= TASK_SLOTS:
            raise ValueError(f"parallelism {self.parallelism} is not in 1 to {TASK_SLOTS}")
        if not self.checkpoint_interval_s >= CHECKPOINT_INTERVAL_S_MIN:
            raise ValueError(
                f"a checkpoint each {self.checkpoint_interval_s:g} s is more often than each "
                f"{CHECKPOINT_INTERVAL_S_MIN:g} s"
            )
        if min(self.heaps) < HEAP_MIB_MIN:
            raise ValueError(f"a heap of {min(self.heaps)} MiB is less than {HEAP_MIB_MIN}")


class Stack:
    """Kafka, Flink, the job and the gateway; a context manager.

    Entering raises `StackError` when it can't come up, after everything started has been stopped.
    The attributes below hold while it is up. `flink_rest` and `bootstrap_servers` are
    ``host:port``, `url` is the gateways' ``http://host:port``.
    """

    url: str
    bootstrap_servers: str
    flink_rest: str
    job_id: str
    data_dir: Path
    log_dir: Path

    def __init__(
        self, options: StackOptions | None = None, progress: Callable[[str], object] | None = None
    ) -> None:
        self.options = options or StackOptions()
        self.execution_mode = self.options.execution_mode
        self._progress = progress or (lambda line: None)
        self._supervisor = Supervisor()
        self._commands: dict[str, Sequence[str]] = {}
        self._environment: dict[str, str] = {}
        self._archives: dict[str, ClassArchive] = {}
        self._gc_logs: dict[str, Path] = {}
        self._is_up = False
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self._began_s = time.monotonic()
            self._bring_up(cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.__exit__(kind, error, trace)

    def pids(self) -> dict[str, list[int]]:
        """The process ids of each part that this stack runs itself, descendants included."""
        children = self._supervisor.children.copy()  # another thread may start or kill a part
        return {name: [p.pid for p in child.tree()] for name, child in children.items()}

    def gc_logs(self) -> dict[str, Path]:
        """The log of pauses of each JVM that this stack runs itself."""
        return self._gc_logs.copy()

    def check(self) -> None:
        """Raises `StackError` when a part has ended that was not killed by `kill`."""
        self._supervisor.check()

    def kill(self, name: str) -> None:
        """Ends a part and its descendants by SIGKILL; returns after their death."""
        self._supervisor.children.pop(name).kill()

    def start(self, name: str) -> None:
        """Starts a killed part anew, with its ports and files; `wait_ready` says when it works."""
        self._start(name, self._commands[name])

    def wait_ready(self, timeout_s: float = STEP_TIMEOUT_S) -> None:
        """Returns when the job runs, the gateway is ready and a request has gone through both."""
        rest, wait = Rest(self.flink_rest), self._supervisor.wait_for
        wait(lambda: rest.is_running(self.job_id), "the job", timeout_s, self._job_failure)
        wait(lambda: answers(f"{self.url}/health/ready", PROBE_TIMEOUT_S), "the gateway", timeout_s)
        if ECHO in self.options.services:
            wait(lambda: answers(f"{self.url}/echo/warm", PROBE_TIMEOUT_S), "an echo", timeout_s)

    def _bring_up(self, cleanup: ExitStack) -> None:
        options = self.options
        bootstrap_servers = _address("KAFKA_BOOTSTRAP_SERVERS")
        flink_rest = _address("FLINK_REST")
        if not (bootstrap_servers and flink_rest):
            resources.check_memory(options.heaps)
        if self.execution_mode == "thread" and flink_cluster.find_shared_libpython() is None:
            self._step(
                "warning: this Python has no shared libpython, which thread mode needs: "
                "using process mode, which is many times slower"
            )
            self.execution_mode = "process"
        connector = jars.obtain("connector")
        self.data_dir = cleanup.enter_context(data_folder(options.data_dir))
        self.log_dir = self.data_dir / "logs"
        resources.check_disk(self.data_dir)

        def hold(asked: int | None, usual: ports.Usual, option: str) -> int:
            return cleanup.enter_context(ports.hold(asked, usual, option, self._step))

        self.url = f"http://{ports.HOST}:{hold(options.port, ports.GATEWAY, '--port')}"
        cleanup.callback(self._supervisor.close)
        cleanup.callback(self._stop_clusters)

        self._environment = flink_cluster.environment(self.log_dir, None, self.execution_mode)
        if flink_rest:
            self.flink_rest = flink_rest
        else:
            self._start_flink(hold(options.flink_rest_port, ports.FLINK_PAGE, "--flink-rest-port"))
        if bootstrap_servers:
            self.bootstrap_servers = bootstrap_servers
        else:
            self._start_kafka(hold(options.kafka_port, ports.KAFKA, "--kafka-port"))
        submission = self._prepare_submission(connector)
        self._make_topics(REACH_TIMEOUT_S if bootstrap_servers else STEP_TIMEOUT_S)
        self._start_gateway()
        cleanup.callback(self._supervisor.stop, (GATEWAY,), DRAIN_TIMEOUT_S)
        self._wait_for_flink(REACH_TIMEOUT_S if flink_rest else STEP_TIMEOUT_S)
        self._submit_job(submission)
        if flink_rest:
            cleanup.callback(self._cancel_job)
        self.wait_ready()
        self._is_up = True
        self._step(f"ready at {self.url}")

    def _start_flink(self, rest_port: int) -> None:
        cluster = flink_cluster.Flink(
            self.data_dir / "flink",
            rpc_port=ports.choose(0, ""),
            rest_port=rest_port,
            heaps=self.options.heaps,
        )
        self.flink_rest = cluster.rest
        self._environment = flink_cluster.environment(self.log_dir, cluster, self.execution_mode)
        self._archives[JOBMANAGER] = cluster.jobmanager_archive
        self._archives[TASKMANAGER] = cluster.taskmanager_archive
        self._gc_logs[JOBMANAGER] = cluster.jobmanager_gc_log
        self._gc_logs[TASKMANAGER] = cluster.taskmanager_gc_log
        self._start(JOBMANAGER, cluster.jobmanager_command())
        self._start(TASKMANAGER, cluster.taskmanager_command())

    def _start_kafka(self, port: int) -> None:
        broker = Kafka(
            self.data_dir / "kafka",
            port=port,
            controller_port=ports.choose(0, ""),
            heap_mib=self.options.heaps.kafka,
        )
        self.bootstrap_servers = broker.bootstrap_servers
        self._archives[KAFKA] = broker.archive
        self._gc_logs[KAFKA] = broker.gc_log
        self._supervisor.run(self._start("kafka_format", broker.format_command()), STEP_TIMEOUT_S)
        self._start(KAFKA, broker.command())

    def _make_topics(self, timeout_s: float) -> None:
        command = self._python(
            "system.runtime.topics",
            *("--bootstrap", self.bootstrap_servers),
            *("--partitions", str(self.options.parallelism)),
            *("--timeout-s", str(timeout_s)),
        )
        child = self._start("topics", command)
        self._supervisor.run(child, 2 * timeout_s)
        self._step(f"Kafka is at {self.bootstrap_servers}, with its topics")

    def _start_gateway(self) -> None:
        _, _, port = self.url.rpartition(":")
        command = self._python(
            "system.gateway",
            *("--bootstrap", self.bootstrap_servers),
            *("--host", ports.HOST, "--port", port),
            *("--gateway-id", uuid.uuid4().hex[:8]),
            *("--workers", str(self.options.workers)),
            *self.options.gateway_options,
        )
        self._start(GATEWAY, command)

    def _wait_for_flink(self, timeout_s: float) -> None:
        what = f"a TaskManager of Flink at {self.flink_rest}"
        self._supervisor.wait_for(Rest(self.flink_rest).has_task_manager, what, timeout_s)
        self._step(f"Flink is at {self.flink_rest}, with a TaskManager")

    def _prepare_submission(self, connector: Sequence[Path]) -> Child:
        """The client takes as long to start as Kafka and Flink: it does so beside them."""
        command = self._python(
            "system.flink_job.pipeline",
            "--when-told",
            *("--bootstrap", self.bootstrap_servers, "--rest", self.flink_rest),
            *("--services", ",".join(self.options.services)),
            *("--execution-mode", self.execution_mode),
            *("--parallelism", str(self.options.parallelism)),
            *("--checkpoint-interval-s", str(self.options.checkpoint_interval_s)),
            *("--connector-jars", ",".join(map(str, connector))),
        )
        return self._start("job_submission", command, told=True)

    def _submit_job(self, child: Child) -> None:
        child.tell("submit")
        self._supervisor.run(child, STEP_TIMEOUT_S)
        answers = [line for line in child.log.read_text().splitlines() if line.startswith("{")]
        if not answers:
            raise StackError(f"the job's submission printed no job id [{child.log}]")
        self.job_id = json.loads(answers[-1])["job_id"]
        self._step(f"the job is submitted: {', '.join(self.options.services)}")

    def _stop_clusters(self) -> None:
        records = self._is_up and any(archive.records for archive in self._archives.values())
        if records:
            self._step("recording Java classes for faster starts: once, some seconds")
        timeout_s = RECORD_TIMEOUT_S if records else STOP_TIMEOUT_S
        exit_codes = self._supervisor.stop((TASKMANAGER, JOBMANAGER, KAFKA), timeout_s)
        for name, archive in self._archives.items():
            archive.publish(exit_codes.get(name))

    def _cancel_job(self) -> None:
        try:
            Rest(self.flink_rest).cancel(self.job_id)
        except HttpError as cause:
            self._step(f"warning: the job {self.job_id} is not cancelled: {cause}")

    def _job_failure(self) -> str:
        try:
            failure = Rest(self.flink_rest).failure(self.job_id)
        except HttpError as cause:
            failure = str(cause)
        return failure and f": {failure}"

    def _python(self, module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", module, *arguments]

    def _start(self, name: str, command: Sequence[str], *, told: bool = False) -> Child:
        self._commands[name] = command
        return self._supervisor.start(
            name,
            command,
            log=self.log_dir / f"{name}.log",
            env=self._environment,
            cwd=flink_cluster.PROJECT_DIR,
            told=told,
        )

    def _step(self, text: str) -> None:
        self._progress(f"[{time.monotonic() - self._began_s:5.1f} s] {text}")


def _address(variable: str) -> str | None:
    """What the variable names, None when it is not set; of several addresses, each is checked."""
    value = os.environ.get(variable)
    try:
        return addresses(value) if value else None
    except ArgumentTypeError:
        raise StackError(f"{variable}={value} is not of the form host:port") from None
