"""`python -m system` as a person runs it: up, status, down, and every way to end."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from machine import ports
from system.runtime import registry
from system.runtime.flink_rest import Rest
from system.runtime.stack import Stack

ROOT = Path(__file__).parents[2]
COMMAND_S = 300.0
"""Ends a command that hangs; a start takes a tenth of it."""


def get(url: str) -> dict[str, object]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as response:
        answer: dict[str, object] = json.load(response)
        return answer


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


@contextmanager
def own_up(until: Callable[..., None]) -> Iterator[Up]:
    up = Up(f"test-{uuid.uuid4().hex}", until)
    try:
        yield up
    finally:
        if up.process is not None and up.process.poll() is None:
            up.process.kill()
            up.process.communicate()


@pytest.fixture
def up(until) -> Iterator[Up]:
    with own_up(until) as up:
        yield up


def test_every_part_runs_and_listens_on_loopback_only(stack: Stack):
    pids = stack.pids()
    assert list(pids) == ["flink_jobmanager", "flink_taskmanager", "kafka", "gateway"]
    for part, ids in pids.items():
        listening = [
            connection.laddr.ip.removeprefix("::ffff:")
            for pid in ids
            for connection in psutil.Process(pid).net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
        assert listening, part
        assert set(listening) == {ports.HOST}, part


def test_a_gateway_that_was_killed_is_started_anew(stack: Stack):
    (before, *_) = stack.pids()["gateway"]
    stack.kill("gateway")
    assert not psutil.pid_exists(before)
    stack.start("gateway")
    stack.wait_ready()
    assert get(f"{stack.url}/echo/again")["echo_id"] == "again"


def test_two_stacks_side_by_side_and_down(stack: Stack, up: Up):
    up.start("--workers", "2")
    status = up.until_up()
    assert status["ready"] is True
    assert status["url"] != stack.url
    assert get(f"{status['url']}/echo/side")["echo_id"] == "side"
    assert get(f"{stack.url}/echo/by-side")["echo_id"] == "by-side"
    assert up.run("up")[0] == 3  # the name is in use
    data_dir = Path(str(status["data_dir"]))
    assert data_dir.is_dir()
    assert up.run("down") == (0, f"the stack {up.name} has ended\n", "")
    code, output, errors = up.ended()
    assert (code, errors) == (0, "")
    assert f"ready at {status['url']}" in output
    assert not data_dir.exists()
    assert up.status() is None


def test_existing_clusters_are_used_and_left_as_they_were(stack: Stack, up: Up, until):
    before = stack.pids()
    up.start(
        *("--services", "echo"),
        KAFKA_BOOTSTRAP_SERVERS=stack.bootstrap_servers,
        FLINK_REST=stack.flink_rest,
    )
    status = up.until_up()
    assert list(status["pids"]) == ["gateway"]
    assert (status["bootstrap_servers"], status["flink_rest"]) == (
        stack.bootstrap_servers,
        stack.flink_rest,
    )
    assert get(f"{status['url']}/echo/guest")["echo_id"] == "guest"

    # A part that dies ends the stack, with its name.
    (gateway,) = status["pids"]["gateway"]
    os.kill(gateway, signal.SIGKILL)
    code, _, errors = up.ended()
    assert code == 3
    assert errors.startswith("error: gateway ended (SIGKILL): ")
    jobs = Rest(stack.flink_rest)
    until(lambda: jobs.running() == [stack.job_id])
    assert stack.pids() == before
    assert get(f"{stack.url}/echo/host")["echo_id"] == "host"


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 0), (signal.SIGINT, 130)]
)
def test_no_process_is_left_of_a_start_that_was_ended(up: Up, until, number: int, code: int):
    up.start()
    # The guard, JobManager, TaskManager and Kafka (or what formats its folder).
    until(lambda: len(up.look()) >= 4)
    assert up.ended(number)[0] == code
    assert up.status() is None


def assert_one_line(answer: tuple[int, str, str], expected: str) -> None:
    code, _, errors = answer
    assert code == 3
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert expected in errors


def test_a_port_that_is_taken(stack: Stack, up: Up):
    port = stack.url.rpartition(":")[2]
    assert_one_line(up.run("up", "--port", port), f"port {port} is taken")


def test_a_jvm_that_does_not_start(up: Up):
    answer = up.run("up", "--port", "0", JAVA_TOOL_OPTIONS="-XX:+NoSuchOption")
    assert_one_line(answer, "NoSuchOption")


def test_too_little_memory(up: Up):
    answer = up.run("up", "--port", "0", "--taskmanager-heap-mib", str(2**30))
    assert_one_line(answer, "of memory are available, a stack needs")


def test_no_network_at_the_first_start(up: Up, tmp_path):
    proxy = f"http://{ports.HOST}:{ports.choose(0, '--port')}"
    environment = dict.fromkeys(("https_proxy", "HTTPS_PROXY"), proxy)
    answer = up.run("up", "--port", "0", KAFLINKSHOP_CACHE=str(tmp_path), **environment)
    assert_one_line(answer, "the first start needs a network")


MISSING = {
    "KAFKA_BOOTSTRAP_SERVERS": "cannot create topics at",
    "FLINK_REST": "a TaskManager of",
}


@pytest.fixture(scope="module")
def refusals(stack: Stack, until) -> dict[str, tuple[int, str, str]]:
    """What ``up`` says where one of two clusters is not there; both wait side by side."""
    there = {"KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers, "FLINK_REST": stack.flink_rest}
    nowhere = f"{ports.HOST}:{ports.choose(0, '--port')}"
    with ExitStack() as ending:
        started = {}
        for variable in MISSING:
            started[variable] = ending.enter_context(own_up(until))
            started[variable].start(**{**there, variable: nowhere})
        return {variable: up.ended() for variable, up in started.items()}


@pytest.mark.parametrize(("variable", "expected"), MISSING.items())
def test_an_existing_cluster_that_is_not_there(refusals, variable: str, expected: str):
    assert_one_line(refusals[variable], expected)
