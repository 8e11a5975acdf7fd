"""The whole reference system comes up as one, and ends as one.

    with Stack(StackOptions(workers=2), progress=print) as stack:
        urllib.request.urlopen(stack.url)

``KAFKA_BOOTSTRAP_SERVERS`` (``host:port,…``) and ``FLINK_REST`` (``host:port``) in the environment
name clusters to use instead of own ones: the job is then submitted there, stopped with a savepoint
at the end, and resumed from that by the next stack.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from machine import ports
from machine.arguments import address_in, addresses_in
from machine.errors import StackError
from machine.http import answers
from machine.processes import Child, Supervisor
from machine.restarts import Restarts
from system.credentials import shop_headers
from system.runtime import flink_cluster, jars, programs, resources
from system.runtime.class_archive import ClassArchive
from system.runtime.data_folder import CHECKPOINTS, data_folder, form_of
from system.runtime.flink_rest import Rest
from system.runtime.guest import GuestJob, check_elsewhere, reserved_topics
from system.runtime.kafka_broker import Kafka, brokers
from system.runtime.options import RescaleError, StackOptions
from system.runtime.own_jars import job_jar, page_jar
from system.runtime.parts import GATEWAY, JOBMANAGER, KAFKA, TASKMANAGER, names, numbered
from system.runtime.programs import ECHO
from system.runtime.waits import (
    DRAIN_TIMEOUT_S,
    MEND_PROBE_TIMEOUT_S,
    PROBE_TIMEOUT_S,
    REACH_TIMEOUT_S,
    RECORD_TIMEOUT_S,
    STEP_TIMEOUT_S,
    STOP_TIMEOUT_S,
)

SUBMISSION = "job_submission"
"""The child that submits the job to a Flink that exists has this name."""


class Stack:
    """A stack is Kafka, Flink, the job and the gateway, as a context manager.

    Entering raises `StackError` when it can't come up, after everything started has been stopped.
    The attributes below hold while it is up. `flink_rest` is ``host:port``, `bootstrap_servers` one
    or several of it with commas between, `urls` are the gateways' ``http://host:port`` and `url`
    is the first of them.
    """

    url: str
    urls: tuple[str, ...]
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
        is_ready = partial(self._is_ready, MEND_PROBE_TIMEOUT_S)
        self.restarts = Restarts(self._supervisor, self.start, is_ready, self._step)
        """This starts anew what dies, for those who want that, and knows what died when."""
        self._guest_job: GuestJob | None = None
        self._commands: dict[str, Callable[[], Sequence[str]]] = {}
        self._environment: dict[str, str] = {}
        self._archives: dict[str, ClassArchive] = {}
        self._gc_logs: dict[str, Path] = {}
        self._brokers: dict[str, Kafka] = {}
        self._is_up = False
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as cleanup:
            self._began_s = time.monotonic()
            self._bring_up(cleanup)
            self._cleanup = cleanup.pop_all()
        return self

    def __exit__(self, *raised: Any) -> None:
        self._cleanup.__exit__(*raised)

    def pids(self) -> dict[str, list[int]]:
        """`pids` returns the process ids of each part that this stack runs itself, descendants
        included."""
        children = self._supervisor.children.copy()  # another thread may start or kill a part
        return {name: [p.pid for p in child.tree()] for name, child in children.items()}

    def gc_logs(self) -> dict[str, Path]:
        """`gc_logs` returns the log of pauses of each JVM that this stack runs itself."""
        return self._gc_logs.copy()

    def check(self) -> None:
        """`check` raises `StackError` when a part has ended that was not killed by `kill`."""
        self._supervisor.check()

    def check_job(self) -> None:
        """`check_job` raises `StackError` when the job on a Flink that exists is over, or data of
        the stack's own is no longer in its place."""
        if self._guest_job is not None:
            self._guest_job.check()
        self._remember()

    def kill(self, *parts: str) -> None:
        """`kill` ends parts and their descendants by SIGKILL, and returns after their death."""
        for name in parts:
            self._supervisor.children.pop(name).kill()

    def start(self, *parts: str) -> None:
        """`start` starts killed parts anew, with their ports and files; `wait_ready` says when they
        work."""
        for name in parts:
            self._start(name, self._commands[name]())

    def wait_ready(self, timeout_s: float = STEP_TIMEOUT_S) -> None:
        """`wait_ready` returns when the job runs, the gateway is ready and a request has gone
        through both."""
        for what, holds in self._conditions(PROBE_TIMEOUT_S):
            self._supervisor.wait_for(
                holds, what, timeout_s, lambda: Rest(self.flink_rest).why(self.job_id)
            )

    def rescale(self, parallelism: int, taskmanagers: int | None) -> float:
        """`rescale` has the job go on with so many tasks and TaskManagers, None for as many as now,
        from a checkpoint that it waits for; it returns for how many seconds nothing was handled.
        TaskManagers that are added start before that. It raises `RescaleError` where the job goes
        on as it was, as when a part ends before the switch; `StackError` where it is not back.
        """
        if JOBMANAGER not in self._commands:
            raise RescaleError(
                "the job runs on a Flink that exists: end this stack, which makes a savepoint, and "
                "bring it up with another --parallelism"
            )
        previous, parts = self.options, self._flinks_parts()
        if not self._supervisor.children.keys() >= {*parts}:
            raise RescaleError("Flink is being started anew: wait until it is ready again")
        options = previous.rescaled(parallelism, taskmanagers)
        resources.check_further(options, options.taskmanagers - previous.taskmanagers)
        self._scale(options)
        wanted = self._flinks_parts()
        added = [name for name in wanted if name not in parts]
        seen, lacking = len(self.restarts.events), ""
        rest, newest = Rest(self.flink_rest), self._flink.newest_checkpoint()
        # One that loses its JobManager while it registers never does (seen with Flink 2.3).
        slots = previous.task_slots * previous.taskmanagers + self.options.task_slots * len(added)

        def ended() -> list[str]:
            ends = [each.part for each in self.restarts.events[seen:] if each.kind == "ended"]
            return [part for part in ends if part in {*parts, *added}]

        def may_begin() -> bool:
            is_made = self._flink.newest_checkpoint() != newest
            return bool(ended()) or (is_made and rest.slots() >= slots)

        limit_s = previous.checkpoint_interval_s + STEP_TIMEOUT_S
        try:
            self.start(*added)
        except (StackError, OSError) as cause:
            lacking = str(cause)
        if not lacking and not self.restarts.until(may_begin, limit_s):
            is_made = self._flink.newest_checkpoint() != newest
            lacking = "not all TaskManagers came" if is_made else "the job made no checkpoint"
            lacking += f" in {limit_s:g} s"
        if lacking or ended():
            # An earlier part that was started anew meanwhile is as the new options say.
            gone = {*added, *(parts if {*ended()} & {*parts} else ())}
            self.restarts.forget(gone)
            self.kill(*(self._supervisor.children.keys() & gone))
            self._scale(previous)
            self.restarts.start(*sorted(gone & {*parts}))
            raise RescaleError(f"{lacking or ended()[0] + ' ended'}, and the job stays as it is")
        began_s = time.monotonic()
        is_as_before = self.options.task_slots == previous.task_slots
        kept = {*parts[1:]} & {*wanted} if is_as_before else set[str]()
        self.kill(*({*parts} - kept))
        self.restarts.start(*sorted({*wanted} - {*added} - kept))
        if not self.restarts.until(lambda: self._is_ready(MEND_PROBE_TIMEOUT_S), STEP_TIMEOUT_S):
            raise StackError(f"the rescaled job took longer than {STEP_TIMEOUT_S:g} s")
        return time.monotonic() - began_s

    def _conditions(self, timeout_s: float) -> Iterator[tuple[str, Callable[[], bool]]]:
        """What must hold, in the order in which it comes to hold; `timeout_s` is each request's."""
        yield "the job", lambda: Rest(self.flink_rest).is_running(self.job_id)
        ready, echo = "/health/ready", "/echo/warm"
        yield "the gateway", lambda: all(answers(url + ready, timeout_s) for url in self.urls)
        if ECHO in self.options.services:
            token = shop_headers()
            yield "an echo", lambda: all(answers(url + echo, timeout_s, token) for url in self.urls)

    def _is_ready(self, timeout_s: float) -> bool:
        return all(holds() for _, holds in self._conditions(timeout_s))

    def _bring_up(self, cleanup: ExitStack) -> None:
        options = self.options
        bootstrap_servers = addresses_in("KAFKA_BOOTSTRAP_SERVERS")
        flink_rest = address_in("FLINK_REST")
        options.check_clusters(bootstrap_servers, flink_rest)
        if not (bootstrap_servers and flink_rest):
            resources.check_memory(options)
        self.execution_mode = flink_cluster.usable_mode(self.execution_mode, self._step)
        connector = jars.obtain("connector")
        made_with = replace(options, execution_mode=self.execution_mode).made_with(
            bootstrap_servers, flink_rest
        )
        folder = cleanup.enter_context(data_folder(options.data_dir, options.name, made_with))
        self._folder, self.data_dir, self._stack_id = folder, folder.path, folder.stack_id
        self._supervisor.inherited = (folder.descriptor,)
        if folder.is_resumed:
            self._step(f"going on with the data of an earlier stack in {folder.path}")
        self.log_dir = self.data_dir / "logs"
        resources.check_disk(self.data_dir, 0 if bootstrap_servers else options.topics_mib)

        asked_for = (options.port, options.kafka_port, options.flink_rest_port)

        def hold(asked: int | None, usual: ports.Usual, option: str) -> int:
            return cleanup.enter_context(ports.hold(asked, usual, option, self._step, asked_for))

        gateway_ports = [hold(options.port, ports.GATEWAY, "--port")]
        gateway_ports += [ports.choose(0, "") for _ in range(options.gateways - 1)]
        self.urls = tuple(f"http://{ports.HOST}:{port}" for port in gateway_ports)
        self.url = self.urls[0]
        cleanup.callback(self._supervisor.close)
        cleanup.callback(self._stop_clusters)

        if bootstrap_servers:
            self.bootstrap_servers = bootstrap_servers
        else:
            self._prepare_kafka(hold(options.kafka_port, ports.KAFKA, "--kafka-port"))
            self._remember()
        self._environment = flink_cluster.environment(self.log_dir, None)
        if flink_rest:
            self.flink_rest = flink_rest
        else:
            self._start_flink(
                connector, hold(options.flink_rest_port, ports.FLINK_PAGE, "--flink-rest-port")
            )
        if not bootstrap_servers:
            self._start_kafka()
        topics = self._make_topics(REACH_TIMEOUT_S if bootstrap_servers else STEP_TIMEOUT_S)
        if bootstrap_servers or flink_rest:
            reserved = reserved_topics(topics["cluster_id"], options.topic_prefix)
            known = cleanup.enter_context(reserved)
            if not flink_rest:
                check_elsewhere(known, self._job_name(topics))
                folder.belong_to(topics["cluster_id"], known, has_records=topics["has_records"])
        # Before the gateways, whose echoes are records: topics that hold some had a job.
        if flink_rest:
            self._submit_job(connector, known, topics, cleanup)
        else:
            self._go.touch()
        self._start_gateways()
        cleanup.callback(self._supervisor.stop, names(GATEWAY, options.gateways), DRAIN_TIMEOUT_S)
        self.wait_ready()
        self._is_up = folder.was_up = True
        self._step(f"ready at {self.url}")

    def _start_flink(self, connector: Sequence[Path], rest_port: int) -> None:
        """The JobManager makes the job while Kafka starts, and waits for `_go` to run it."""
        folder = self.data_dir / "flink"
        self.job_id, self._go = self._stack_id, folder / "go"
        self._go.unlink(missing_ok=True)
        own = {"page_jar": page_jar(), "job_jar": job_jar(connector)}
        made = [self._start(name, each.command) for name, each in own.items() if not each.is_made]
        self._supervisor.run_all(made, STEP_TIMEOUT_S)
        rpc_port, heaps = ports.choose(0, ""), self.options.heaps
        cluster = flink_cluster.Flink(
            folder, rpc_port, rest_port, heaps, self.job_id, self._program(), connector
        )
        self._flink = cluster
        self.flink_rest = cluster.rest
        self._environment = flink_cluster.environment(self.log_dir, cluster)
        self._archives[JOBMANAGER] = cluster.jobmanager_archive
        self._archives[TASKMANAGER] = cluster.taskmanager_archive
        self._commands[JOBMANAGER] = cluster.jobmanager_command
        self._gc_logs[JOBMANAGER] = cluster.jobmanager_gc_log
        self._scale(self.options)
        self._remember()
        self.start(*self._flinks_parts())

    def _scale(self, options: StackOptions) -> None:
        """What is started of Flink from now on is as these options say."""
        previous, self.options = self.options, options
        self._flink.scale(self._program(), options.task_slots)
        for name in names(TASKMANAGER, previous.taskmanagers):
            self._gc_logs.pop(name, None)
        for number, name in enumerate(names(TASKMANAGER, options.taskmanagers), 1):
            self._gc_logs[name] = self._flink.taskmanager_gc_log(number)
            self._commands[name] = partial(self._flink.taskmanager_command, number)

    def _flinks_parts(self) -> tuple[str, ...]:
        return (JOBMANAGER, *names(TASKMANAGER, self.options.taskmanagers))

    def _program(self) -> tuple[str, ...]:
        """What makes the job, as the JobManager runs it."""
        job = programs.job(self.options, self.bootstrap_servers, self.execution_mode)
        return ("-pym", *job, "--when-exists", str(self._go))

    def _prepare_kafka(self, port: int) -> None:
        count, heap_mib = self.options.brokers, self.options.heaps.kafka
        self._brokers = brokers(self.data_dir, port, count, heap_mib, self._stack_id)
        for name, broker in self._brokers.items():
            self._gc_logs[name] = broker.gc_log
            self._commands[name] = broker.command
        self._archives[KAFKA] = self._brokers[KAFKA].archive
        self.bootstrap_servers = ",".join(b.bootstrap_servers for b in self._brokers.values())

    def _remember(self) -> None:
        for name, broker in self._brokers.items():
            self._folder.remember(name, broker.log_dir, is_there=broker.is_formatted)
        if JOBMANAGER in self._commands:
            is_made = self._flink.newest_checkpoint() is not None
            self._folder.remember(CHECKPOINTS, self._flink.checkpoints, is_there=is_made)

    def _start_kafka(self) -> None:
        formatting = [
            self._start(f"{name}_format", broker.format_command())
            for name, broker in self._brokers.items()
            if not broker.is_formatted
        ]
        self._supervisor.run_all(formatting, STEP_TIMEOUT_S)
        self._remember()
        self.start(*self._brokers)

    def _make_topics(self, timeout_s: float) -> dict[str, Any]:
        """What `system.runtime.topics` tells of them."""
        command = programs.topics(self.options, self.bootstrap_servers, timeout_s)
        answer = self._answer("topics", command, 2 * timeout_s)
        self._step(f"Kafka is at {self.bootstrap_servers}, with its topics")
        return answer

    def _start_gateways(self) -> None:
        for number, url in enumerate(self.urls, 1):
            name = numbered(GATEWAY, number)
            self._commands[name] = partial(
                programs.gateway, self.options, self.bootstrap_servers, url, number
            )
            self.start(name)

    def _submit_job(
        self, connector: Sequence[Path], known: Path, topics: dict[str, Any], cleanup: ExitStack
    ) -> None:
        rest = Rest(self.flink_rest)
        what = f"a TaskManager of Flink at {self.flink_rest}"
        self._supervisor.wait_for(lambda: rest.slots() > 0, what, REACH_TIMEOUT_S)
        name, form = self._job_name(topics), form_of(self.execution_mode, self.options.window_s)
        job = GuestJob(rest, name, form, known, self._step)
        cleanup.callback(lambda: job.leave(was_up=self._is_up))
        begin = job.prepare(self.options.savepoint, has_records=topics["has_records"])
        self._guest_job, self.job_id = job, job.job_id
        made = programs.job(self.options, self.bootstrap_servers, self.execution_mode)
        command = programs.submission(made, connector, self.flink_rest, job.name, job.job_id, begin)
        job.submit(
            lambda: self._answer(SUBMISSION, command, STEP_TIMEOUT_S),
            lambda: any(child.name == SUBMISSION for child in self._supervisor.ended()),
        )
        where = f", going on from {begin}" if begin else ""
        self._step(f"the job is submitted to Flink at {self.flink_rest}{where}")

    def _job_name(self, topics: Mapping[str, Any]) -> str:
        return f"kaflinkshop {topics['cluster_id']} {self.options.topic_prefix}".rstrip()

    def _answer(self, name: str, command: Sequence[str], timeout_s: float) -> dict[str, Any]:
        """The JSON object that a command ends with."""
        child = self._start(name, command)
        self._supervisor.run(child, timeout_s)
        return child.answer()

    def _stop_clusters(self) -> None:
        timeout_s = STOP_TIMEOUT_S
        if self._is_up and any(archive.records for archive in self._archives.values()):
            self._step("recording Java classes for faster starts: once, some seconds")
            timeout_s = RECORD_TIMEOUT_S
        exit_codes = self._supervisor.stop((*self._flinks_parts(), *self._brokers), timeout_s)
        for name, archive in self._archives.items():
            archive.publish(exit_codes.get(name))

    def _start(self, name: str, command: Sequence[str]) -> Child:
        return self._supervisor.start(
            name,
            command,
            log=self.log_dir / f"{name}.log",
            env=self._environment,
            cwd=self.log_dir,  # nothing is imported from there
        )

    def _step(self, text: str) -> None:
        self._progress(f"[{time.monotonic() - self._began_s:5.1f} s] {text}")
