"""The stack as containers, tried whole: ``python -m tests.support.containers [cluster]``.

It brings docker-compose.yml's default profile up under a name and ports of its own, runs the
contract's tests and a short load against it, kills the TaskManager's container under load, takes
it down and up again, and leaves nothing but the images. With ``cluster`` it brings that profile up,
and kills one container after another under load. Exit code 0 where all promises held, 1 where one
did not, 3 where there is no engine or the stack does not come up.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import urlencode
from urllib.request import Request

import orjson

from machine.arguments import Parser
from machine.errors import EXIT_CODE, StackError
from machine.http import HttpError, answers, call, call_json
from machine.ports import HOST, choose

from . import contract
from .bench_command import SOUND
from .engine import (
    COMMAND_S,
    OWN_BASE,
    PULL_S,
    base,
    compose_command,
    engine,
    one_of_each_image,
    run,
)
from .running_up import ASK_S, OPENER, Adding, ask

ROOT = Path(__file__).parents[2]
PROJECT = "kaflinkshop-trial"
PROFILES = DEFAULT, CLUSTER, OBSERVE, BENCH = "default", "cluster", "observe", "bench"
TASKMANAGER = "taskmanager"
PORTS = tuple(
    f"KAFLINKSHOP_{each}PORT"
    for each in (
        *("", "KAFKA_", "KAFKA_2_", "KAFKA_3_", "FLINK_"),
        *("PROMETHEUS_", "GRAFANA_", "LOCUST_"),
    )
)
DASHBOARD: dict[str, Any] = orjson.loads(
    (ROOT / "deploy" / "observe" / "dashboards" / "kaflinkshop.json").read_bytes()
)
USERS, WORKERS = 4, 2
VICTIMS = ("kafka-1", "gateway-1", "taskmanager-1", "cluster-jobmanager")
CLIENTS = 4
"""Each adds to a user's credit, again and again, until it is told that it was done."""
ANSWERED_BETWEEN = 100
"""So much is added between a recovery and the next kill."""
USER = 10001
"""The image's user, who is not root."""

BUILD_S = 2400.0
"""An image is built within this time: some hundred packages are downloaded and installed."""
UP_S = 300.0
"""All containers are healthy within this time, and answer a request; an idle machine takes 20 s."""
DOWN_S = 180.0
"""All containers have ended within this time."""
CONTRACT_S = 1200.0
"""The contract's tests end within this time; they take two minutes."""
BENCH_S = 400.0
"""A run of some seconds' load ends within this time."""
REQUESTS_BEFORE_KILL = 300
"""The TaskManager is killed when so many requests of the load have been answered."""
POLL_S = 0.5
LOG_LINES = 60


class BrokenError(Exception):
    """A promise that did not hold, in one line."""


class Trial:
    """The stack `PROJECT`; `environment` has Compose's variables for it."""

    def __init__(self, base: str, profile: str) -> None:
        self._began_s = time.monotonic()
        self._compose = compose_command()
        ports = [choose(0, "") for _ in PORTS]
        self.kafka = f"{HOST}:{ports[1]}"
        self.prometheus, self.grafana, self.locust = (f"http://{HOST}:{p}" for p in ports[-3:])
        self.contract = f"{HOST}:{choose(0, '')}"
        self.url = f"http://{HOST}:{ports[0]}"
        self.environment = {
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_PROFILES": profile,
            "KAFLINKSHOP_BASE": base,
            # Where nothing can be pulled, registries are reached as this machine reaches them.
            "KAFLINKSHOP_BUILD_NETWORK": os.environ.get(
                "KAFLINKSHOP_BUILD_NETWORK", "host" if base == OWN_BASE else "default"
            ),
            **dict(zip(PORTS, map(str, ports), strict=True)),
        }

    def say(self, text: str) -> None:
        print(f"containers: [{time.monotonic() - self._began_s:5.1f} s] {text}", flush=True)

    def compose(self, *arguments: str, timeout_s: float = COMMAND_S) -> str:
        return run([*self._compose, *arguments], timeout_s, self.environment)

    def container(self, service: str) -> str:
        return self.compose("ps", "--quiet", service).strip()

    def inspect(self, service: str, form: str) -> str:
        return run(["docker", "inspect", "--format", form, self.container(service)], COMMAND_S)[:-1]

    def kill(self, service: str) -> None:
        """From outside: Docker takes its own `kill` for a wish that the container stay down."""
        pid = self.inspect(service, "{{.State.Pid}}")
        killer = ("--rm", "--pid", "host", "--user", "0", "--network", "none", "kaflinkshop")
        run(["docker", "run", *killer, "bash", "-c", f"kill -KILL {pid}"], COMMAND_S)
        self.say(f"killed {service}")

    def restarts(self, service: str) -> int:
        return int(self.inspect(service, "{{.RestartCount}}"))

    def is_healthy(self, service: str) -> bool:
        return self.inspect(service, "{{.State.Health.Status}}") == "healthy"

    def up(self) -> None:
        self.compose("up", "--detach", timeout_s=UP_S)
        until(lambda: answers(f"{self.url}/echo/up", ASK_S), UP_S, "an echo through the stack")
        self.say(f"up at {self.url}")

    def down(self, *options: str) -> None:
        every = [word for name in PROFILES for word in ("--profile", name)]
        self.compose(*every, "down", "--remove-orphans", *options, timeout_s=DOWN_S)

    def logs(self) -> str:
        return self.compose("logs", "--no-color", "--tail", str(LOG_LINES))


def until(holds: Callable[[], object], timeout_s: float, what: str) -> None:
    """Polls; raises `BrokenError` when it does not come to hold."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            raise BrokenError(f"{what} did not come within {timeout_s:g} s")
        time.sleep(POLL_S)


def no_container_is_roots(trial: Trial, *services: str) -> None:
    for service in services:
        _, *processes = run(
            ["docker", "top", trial.container(service), "-o", "pid,uid"], COMMAND_S
        ).splitlines()
        owners = {line.split()[1] for line in processes}
        if owners != {str(USER)}:
            raise BrokenError(f"{service} runs as the users {', '.join(sorted(owners))}")


def contract_holds(trial: Trial) -> None:
    """Against a further gateway of the stack, on topics that its services don't see."""
    topics = ("--partitions", str(contract.PARTITIONS), "--topic-prefix", contract.TOPIC_PREFIX)
    module = ("python", "-m", "system.runtime.topics", "--bootstrap", "kafka:9092")
    trial.compose("run", "--rm", "--no-deps", "topics", *module, *topics, timeout_s=UP_S)
    published = ("--publish", f"{trial.contract}:8080", "--name", f"{PROJECT}-contract")
    listening = ("--bootstrap", "kafka:9092", "--host", "0.0.0.0", "--port", "8080")
    trial.compose(
        *("run", "--detach", "--no-deps", *published, "gateway"),
        *("python", "-m", "system.gateway", *listening, *contract.GIVEN),
    )
    ready = f"http://{trial.contract}/health/ready"
    until(lambda: answers(ready, ASK_S), UP_S, "the contract's gateway")
    variables = {contract.BROKER: trial.kafka, contract.GATEWAY: trial.contract}
    command = [sys.executable, "-m", "pytest", "-q", "tests/contract"]
    tests = subprocess.run(command, env=os.environ | variables, timeout=CONTRACT_S)
    run(["docker", "rm", "--force", f"{PROJECT}-contract"], COMMAND_S)
    if tests.returncode:
        raise BrokenError(f"the contract's tests ended with {tests.returncode}")


def load(trial: Trial, out: Path, *options: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "bench", "run", "--target", trial.url, "--out", str(out)]
    return subprocess.Popen([*command, *options], stdout=subprocess.PIPE, text=True)


def sound(process: "subprocess.Popen[str]", out: Path) -> dict[str, Any]:
    """The recorded run: nothing unaccounted for, and every invariant holds."""
    output, _ = process.communicate(timeout=BENCH_S)
    recorded = [*out.glob("*/run.json")]
    if not recorded:
        raise BrokenError(
            f"the load ended with {process.returncode}, and recorded nothing: {output}"
        )
    found: dict[str, Any] = orjson.loads(recorded[0].read_bytes())
    if found["verdict"] not in SOUND:
        raise BrokenError(f"the run is {found['verdict']}: {'; '.join(found['reasons'])}")
    if any(found["invariants"]["counts"].values()):
        raise BrokenError(f"broken invariants: {found['invariants']['counts']}")
    return found


def a_short_load_is_sound(trial: Trial, folder: Path) -> None:
    out = folder / "short"
    found = sound(load(trial, out, "--quick", "--users", "1,16", "--duration", "5"), out)
    trial.say(f"load: {found['verdict']}, {found['invariants']['outcomes']:,} requests")


def every_figure_is_told(trial: Trial) -> None:
    """Each query of the dashboard finds something in Prometheus while Locust's workers send."""
    services = ("prometheus", "locust-master", "locust-worker")
    trial.compose("up", "--detach", *services, timeout_s=UP_S)
    until(lambda: answers(f"{trial.locust}/metrics", ASK_S), UP_S, "Locust's page")
    until(lambda: workers(trial) == WORKERS, UP_S, "Locust's workers")
    swarm = Request(f"{trial.locust}/swarm", f"user_count={USERS}&spawn_rate={USERS}".encode())
    with OPENER.open(swarm, timeout=ASK_S):
        pass
    queries = [each["expr"] for panel in DASHBOARD["panels"] for each in panel["targets"]]
    for query in queries:
        until(partial(is_found, trial, query), UP_S, f"an answer to {query}")
    trial.compose("stop", "locust-master", "locust-worker", timeout_s=DOWN_S)
    trial.say(f"Locust sends, and Prometheus answers all {len(queries)} queries of the dashboard")
    try:
        trial.compose("pull", "grafana", timeout_s=PULL_S)
    except StackError as cause:
        trial.say(f"NOT RUN HERE: Grafana, whose image can't be pulled ({cause})")
        return
    trial.compose("up", "--detach", "grafana", timeout_s=UP_S)
    page = f"{trial.grafana}/api/dashboards/uid/{DASHBOARD['uid']}"
    until(lambda: answers(page, ASK_S), UP_S, "Grafana's dashboard")
    trial.say("Grafana has the dashboard")


def workers(trial: Trial) -> int:
    lines = call("GET", f"{trial.locust}/metrics", ASK_S).decode().splitlines()
    return round(sum(float(each.split()[1]) for each in lines if each.startswith("locust_workers")))


def is_found(trial: Trial, query: str) -> bool:
    try:
        answer = call_json(
            "GET", f"{trial.prometheus}/api/v1/query?{urlencode({'query': query})}", ASK_S
        )
    except HttpError:
        return False
    return bool(answer["data"]["result"])


def a_killed_taskmanager_comes_back(trial: Trial, folder: Path) -> None:
    """By its restart policy alone; what it had not finished is unanswered, and nothing is lost."""
    out = folder / "killed"
    goal = answered(trial) + REQUESTS_BEFORE_KILL
    process = load(
        trial, out, *("--quick", "--rate", "60", "--duration", "30", "--max-failed", "100")
    )
    try:
        until(lambda: answered(trial) > goal, BENCH_S, "the load")
        trial.kill(TASKMANAGER)
        found = sound(process, out)
    finally:
        process.kill()
    restarts = trial.restarts(TASKMANAGER)
    if restarts < 1:
        raise BrokenError("nobody has restarted the TaskManager's container")
    until(lambda: answers(f"{trial.url}/echo/again", ASK_S), UP_S, "an echo after the kill")
    trial.say(
        f"load with a kill: {found['verdict']}, {found['invariants']['outcomes']:,} requests, "
        f"{restarts} restarts, every invariant holds"
    )


def answered(trial: Trial) -> int:
    """So many requests the gateway has answered, of whatever kind."""
    try:
        lines = call("GET", f"{trial.url}/metrics", ASK_S).decode().splitlines()
    except HttpError:
        return 0
    values = [line for line in lines if line.startswith("kaflinkshop_gateway_responses_total")]
    return round(sum(float(line.split()[-1]) for line in values))


def state_survives_down(trial: Trial) -> None:
    user = ask("POST", f"{trial.url}/users/create")["user_id"]
    ask("POST", f"{trial.url}/users/credit/add/{user}/20")
    trial.down()
    trial.up()
    credit = ask("GET", f"{trial.url}/users/find/{user}")["credit"]
    if credit != 20:
        raise BrokenError(f"a credit of 20 is {credit} after down and up")
    trial.say("down and up again: the state is there")


def comes_back(trial: Trial, victim: str) -> None:
    trial.kill(victim)
    until(lambda: trial.restarts(victim), UP_S, f"a restart of {victim}")
    until(lambda: trial.is_healthy(victim), UP_S, f"{victim}'s health")


def any_one_may_be_lost(trial: Trial) -> None:
    """Every acknowledged effect is there, once, after each kind of container was killed."""
    with ExitStack() as held:
        adding = [held.enter_context(Adding(trial.url)) for _ in range(CLIENTS)]

        def further() -> None:
            goals = [each.answered + ANSWERED_BETWEEN for each in adding]
            until(
                lambda: all(a.answered >= goal for a, goal in zip(adding, goals, strict=True)),
                UP_S,
                "what clients add",
            )

        further()
        for victim in VICTIMS:
            comes_back(trial, victim)
            further()
            failed = [line for each in adding for line in each.failed]
            if failed and not victim.startswith("gateway"):
                raise BrokenError(f"{victim} was lost, and {len(failed)} failed: {failed[0]}")
            for each in adding:
                each.failed.clear()
            trial.say(f"{victim} is back, and clients are answered")
    for each in adding:
        credit = ask("GET", f"{trial.url}/users/find/{each.user_id}")["credit"]
        if credit != each.answered:
            raise BrokenError(f"{each.answered} times 1 was added, and the credit is {credit}")
    trial.say(f"{sum(each.answered for each in adding):,} additions, each there once")


def nothing_is_left() -> None:
    label = ("--filter", f"label=com.docker.compose.project={PROJECT}", "--quiet")
    for kind in (("ps", "--all"), ("volume", "ls"), ("network", "ls")):
        left = run(["docker", *kind, *label], COMMAND_S).split()
        if left:
            raise BrokenError(f"docker {' '.join(kind)} has left {', '.join(left)}")


@contextmanager
def taken_down(trial: Trial) -> Iterator[None]:
    """Whatever happens; after a failure the last lines of each container's log are shown."""
    try:
        yield
    except (BrokenError, StackError, HttpError, subprocess.TimeoutExpired):
        print(trial.logs(), file=sys.stderr)
        raise
    finally:
        trial.down("--volumes")
    nothing_is_left()


def tried(profile: str, say: Callable[[str], object]) -> None:
    with engine(say), TemporaryDirectory() as folder:
        trial = Trial(base(say), profile)
        trial.say("building the image")
        names = (profile, OBSERVE, BENCH)
        profiles = [word for name in names for word in ("--profile", name)]
        trial.compose(*profiles, "build", *one_of_each_image(names), timeout_s=BUILD_S)
        trial.down("--volumes")  # what a killed trial has left
        with taken_down(trial):
            trial.up()
            if profile == CLUSTER:
                no_container_is_roots(trial, *VICTIMS)
                any_one_may_be_lost(trial)
            else:
                no_container_is_roots(trial, "kafka", "jobmanager", TASKMANAGER, "gateway")
                contract_holds(trial)
                a_short_load_is_sound(trial, Path(folder))
                every_figure_is_told(trial)
                a_killed_taskmanager_comes_back(trial, Path(folder))
            state_survives_down(trial)
        trial.say("all held, and nothing is left")


def main() -> int:
    parser = Parser(prog="python -m tests.support.containers", description=__doc__)
    parser.add_argument("profile", nargs="?", choices=(DEFAULT, CLUSTER), default=DEFAULT)
    profile = parser.parse_args().profile
    os.chdir(ROOT)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        tried(profile, lambda text: print(f"containers: {text}", flush=True))
    except StackError as cause:
        print(f"error: {cause}", file=sys.stderr)
        return EXIT_CODE
    except (BrokenError, HttpError, subprocess.TimeoutExpired) as cause:
        print(f"error: {cause}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
