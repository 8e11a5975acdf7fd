"""`python -m system up` as a process, a client that never gives up, and clusters to run on."""

import json
import math
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.request import ProxyHandler, build_opener

import psutil

from machine import ports
from machine.http import HttpError, call, call_json
from machine.processes import Child, Supervisor
from system.runtime import registry
from system.runtime.flink_cluster import Flink, environment
from system.runtime.flink_rest import Rest
from system.runtime.kafka_broker import Kafka
from system.runtime.own_jars import page_jar
from system.runtime.settings import Heaps

ROOT = Path(__file__).parents[2]
COMMAND_S = 300.0
"""Ends a command that hangs; a start takes a tenth of it."""
RECOVERY_S = 300.0
"""Ends a recovery that hangs."""
ASK_S = 6.0
"""A gateway has given up by then, and says so."""
ADDED_S = 65.0
"""No gateway waits for a reply for so long."""
PAUSE_S = 0.5
LAST_S = 120.0
"""The last answer is waited for so long."""
OPENER = build_opener(ProxyHandler({}))
SMALL = ("--kafka-heap-mib", "256", "--jobmanager-heap-mib", "256", "--taskmanager-heap-mib", "512")
"""Heaps of a stack that is loaded little."""
HEAP_MIB = 256
"""Of clusters that exist: as little as they start with."""
APPLICATION_CLUSTER, SESSION_CLUSTER = (
    "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint",
    "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
)


def get(url: str) -> dict[str, object]:
    return call_json("GET", url, 30)


def ask(verb: str, url: str) -> dict[str, Any]:
    """The answer to a patient client, who asks again under the same key while nobody answers or
    the gateway says that it can't: a recovery may take the services away."""
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    deadline = time.monotonic() + RECOVERY_S
    while True:
        try:
            answer: dict[str, Any] = json.loads(call(verb, url, ASK_S, headers=headers))
            return answer
        except HttpError as cause:
            is_refused = cause.status is not None and cause.status < 500
            if is_refused or time.monotonic() > deadline:
                raise
        time.sleep(PAUSE_S)


def is_gone(process: psutil.Process) -> bool:
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


class Up:
    """A running ``python -m system up``, and other commands on the same stack."""

    def __init__(self, name: str, until: Callable[..., None]) -> None:
        self.name = name
        self._until = until
        self.process: subprocess.Popen[str] | None = None
        self.seen: set[psutil.Process] = set()

    def command(self, command: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "system", command, "--name", self.name, *arguments]

    def start(self, *arguments: str, **environment: str) -> None:
        self.process = subprocess.Popen(
            self.command("up", "--port", "0", *arguments),
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, command: str, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Exit code, stdout and stderr of a command that ends by itself."""
        done = subprocess.run(
            self.command(command, *arguments),
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
        )
        return done.returncode, done.stdout, done.stderr

    def status(self) -> dict[str, object] | None:
        """None while it is not up."""
        code, output, _ = self.run("status", "--json")
        answer: dict[str, object] = json.loads(output)
        return answer if code == 0 else None

    def until_up(self) -> dict[str, object]:
        assert self.process is not None
        self._until(lambda: self.process.poll() is not None or registry.find(self.name))
        assert self.process.poll() is None, self.process.communicate()
        self.look()
        status = self.status()
        assert status is not None
        return status

    def pids(self, part: str) -> list[int]:
        entry = registry.find(self.name)
        return [] if entry is None else entry.pids.get(part, [])

    def look(self) -> set[psutil.Process]:
        """Remembers every process that there is now."""
        assert self.process is not None
        self.seen |= set(psutil.Process(self.process.pid).children(recursive=True))
        return self.seen

    def ended(self, number: int | None = None) -> tuple[int, str, str]:
        """Exit code and output of ``up``, after a signal if one is given; no process is left."""
        assert self.process is not None
        if number is not None:
            self.process.send_signal(number)
        output, errors = self.process.communicate(timeout=COMMAND_S)
        self._until(lambda: all(map(is_gone, self.seen)))
        return self.process.returncode, output, errors


class Adding:
    """Adds 1 to the credit of a user again and again, each time until the answer is 200."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._stopping = threading.Event()
        self._last_s = math.inf
        self._thread = threading.Thread(target=self._add)
        self.answered = 0
        self.failed: list[str] = []
        """What else it was told than that it was done, or refused."""
        self.user_id = ""

    def __enter__(self) -> Self:
        self.user_id = str(ask("POST", f"{self._url}/users/create")["user_id"])
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Returns when the last request is answered, or nobody answers any more."""
        self._last_s = time.monotonic() + LAST_S
        self._stopping.set()
        self._thread.join()

    def _add(self) -> None:
        while not self._stopping.is_set():
            key = uuid.uuid4().hex
            while not self._is_added(key):
                if self._stopping.wait(0.05) and time.monotonic() > self._last_s:
                    return
            self.answered += 1

    def _is_added(self, key: str) -> bool:
        url = f"{self._url}/users/credit/add/{self.user_id}/1"
        try:
            call("POST", url, ADDED_S, headers={"Idempotency-Key": key})
        except HttpError as cause:
            if cause.status != 503:
                self.failed.append(str(cause))
            return False
        return True


class Clusters:
    """A Kafka, and a Flink that takes jobs, as a person may have them."""

    def __init__(self, folder: Path) -> None:
        self.supervisor = Supervisor()
        self._folder = folder
        self._kafka = Kafka(
            folder / "kafka", ports.choose(0, ""), ports.choose(0, ""), HEAP_MIB, uuid.uuid4().hex
        )
        flink = Flink(
            folder / "flink",
            *(ports.choose(0, ""), ports.choose(0, "")),
            Heaps(HEAP_MIB, HEAP_MIB, 2 * HEAP_MIB),
            uuid.uuid4().hex,
            (),
        )
        self.environment = {
            "KAFKA_BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers,
            "FLINK_REST": flink.rest,
        }
        self._environment = environment(folder, flink)
        self.supervisor.run(self._start("format", self._kafka.format_command()), COMMAND_S)
        self._start("kafka", self._kafka.command())
        # The JobManager of a cluster that takes jobs is another class, with no job of its own and a
        # page that is not read only.
        command = [each.replace(f":{page_jar().file}", "") for each in flink.jobmanager_command()]
        command = command[: command.index("--job-classname")]
        place = command.index(APPLICATION_CLUSTER)
        command[place] = SESSION_CLUSTER
        self._start("jobmanager", command)
        self._start("taskmanager", flink.taskmanager_command())
        port = self._kafka.bootstrap_servers.rpartition(":")[2]
        for what, holds in (
            ("Flink", lambda: Rest(flink.rest).slots() > 0),
            ("Kafka", lambda: not ports.is_free(int(port))),
        ):
            self.supervisor.wait_for(holds, what, COMMAND_S)

    def running(self) -> list[str]:
        """The ids of the jobs that run."""
        jobs = call_json("GET", f"http://{self.environment['FLINK_REST']}/jobs", COMMAND_S)["jobs"]
        return [job["id"] for job in jobs if job["status"] == "RUNNING"]

    def _start(self, name: str, command: list[str]) -> Child:
        return self.supervisor.start(
            name, command, log=self._folder / f"{name}.log", env=self._environment, cwd=ROOT
        )


@contextmanager
def own_up(until: Callable[..., None]) -> Iterator[Up]:
    up = Up(f"test-{uuid.uuid4().hex}", until)
    try:
        yield up
    finally:
        if up.process is not None and up.process.poll() is None:
            up.process.kill()
            up.process.communicate()
