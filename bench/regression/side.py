"""The sides of a comparison are two commits that are checked out, their systems up and warm.

Each side's system is started from its own work tree and by its own Python, so that only the
commands ``python -m system up`` and ``status``, or ``python -m system.gateway``, are shared.
"""

import json
import os
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from bench import git
from bench.compare.comparability import MEASURING_PACKAGES
from bench.errors import BenchError
from bench.observe.processes import GROUPS
from bench.project import PROJECT_DIR
from bench.records.run_record import CommitRecord, Environment
from bench.regression.worktree import Commit
from bench.run.environment import PACKAGES, environment
from bench.run.model import Progress, Subject, System, beside
from machine.errors import StackError
from machine.http import answers
from machine.ports import HOST, choose
from machine.processes import Supervisor
from machine.secrets import named_files
from system.runtime.parts import kind_of

START_TIMEOUT_S = 300.0
"""A stack may take this long to start; the steps of its start have limits of their own."""
STATUS_TIMEOUT_S = 30.0
"""A side's own Python may take this long to answer."""
STATUS_INTERVAL_S = 0.5
"""This much time passes between looks whether a stack is up; each is a process."""
ASK_EACH_S = 5.0
"""A stack of which a process has ended is asked for its processes once in so long: each asking is
a process."""
HELPERS = frozenset({"supervisor", "kafka_format", "topics", "job_submission", "page_jar"})
"""These watch a stack, or work for its start, in this version or an earlier one: what they take is
no part of a request."""
ANSWER_TIMEOUT_S = 6.0
"""One request takes at most this long while coming up; longer than the gateway waits for a
reply."""
DRAIN_TIMEOUT_S = 15.0
"""A gateway answers what it has accepted, at most this long."""
STOP_TIMEOUT_S = 120.0
"""A stack may take this long to stop: more than its own limits of drain, stop and recording add up
to."""

FREE_PORTS = ("--port", "0", "--kafka-port", "0", "--flink-rest-port", "0")
"""A stack beside others has any ports, none of those that a person expects."""

GC_LOGS = {
    "kafka": "kafka/gc.log",
    "flink_jobmanager": "flink/jobmanager-gc.log",
    "flink_taskmanager": "flink/taskmanager-gc.log",
}
"""The logs are below a stack's data folder; one that is not there shows no pauses."""

Cluster = dict[str, Any]
"""A cluster is what ``python -m system status --json`` says of a stack."""

VERSIONS = """
import json, sys
from importlib import metadata
from system.runtime.jars import SETS
packages = {}
for name in sys.argv[1:]:
    try:
        packages[name] = metadata.version(name)
    except metadata.PackageNotFoundError:
        pass
kafka = SETS["kafka"][0].rpartition(":")[2]
print(json.dumps({"python": sys.version.split()[0], "packages": packages, "kafka": kafka}))
"""


class Side(NamedTuple):
    """A side is a commit, built."""

    letter: str
    """The letter is A or B; of `bench.calibrate.recorder` the name of a variant."""
    commit: Commit
    tree: Path
    python: Path
    is_patched: bool = False
    packages: Path | None = None
    """The folder has the package of a service of one's own; the system is then this one."""

    @property
    def variables(self) -> dict[str, str]:
        """The environment of its processes has these in place of this process's."""
        if self.packages is None:
            return {}
        inherited = os.environ.get("PYTHONPATH", "").split(os.pathsep)
        path = [str(self.packages), str(PROJECT_DIR), *filter(None, inherited)]
        return {"PYTHONPATH": os.pathsep.join(path)}

    def record(self) -> CommitRecord:
        return CommitRecord(self.commit.short, self.is_patched)

    def environment(self) -> Environment:
        """The environment is as `bench.run.environment.environment`, with this side's versions; the
        generator is ours.

        It raises `SideError` where the side's Python can't tell.
        """
        ours = environment(own_stack=True)
        theirs = json.loads(_output(self, "-c", VERSIONS, *PACKAGES))
        packages = {**ours.packages, **theirs["packages"]}
        packages |= {name: ours.packages[name] for name in MEASURING_PACKAGES}
        return replace(
            ours,
            python=theirs["python"],
            packages=packages,
            kafka=theirs["kafka"],
            flink=packages["apache-flink"],
        )


class SideError(StackError):
    """The system of one side could not be built or started."""

    def __init__(self, side: Side, line: str) -> None:
        super().__init__(line)
        self.letter = side.letter


ByPart = dict[str, list[int]]
"""Processes are by part."""


class Parts:
    """The parts of a stack tell their processes, and what these have begun since. Where one has
    ended, they are asked for anew: a part that came back must not spoil all runs that follow."""

    def __init__(self, found: ByPart, ask: Callable[[], ByPart]) -> None:
        """`ask` raises `StackError` where nobody answers: then they are as they were. So does this
        where a part is of no group: what it takes would be nobody's, and its side look cheaper."""
        self._found, self._ask = _in_groups(found), ask
        self._asked_s = 0.0

    def __call__(self) -> ByPart:
        now_s = time.monotonic()
        ended = any(not psutil.pid_exists(pid) for own in self._found.values() for pid in own)
        if ended and now_s >= self._asked_s + ASK_EACH_S:
            self._asked_s = now_s
            with suppress(StackError):
                self._found = _in_groups(self._ask()) or self._found
        return _with_descendants(self._found)


def _in_groups(found: ByPart) -> ByPart:
    unknown = [part for part in found if kind_of(part) not in GROUPS and part not in HELPERS]
    if unknown:
        raise StackError(
            f"its stack has {', '.join(unknown)}, and this harness does not know of what that is a "
            "part: measure by one that does, as the commit's own"
        )
    return {part: own for part, own in found.items() if kind_of(part) in GROUPS}


def _with_descendants(found: ByPart) -> ByPart:
    parents = {each.pid: each.info["ppid"] for each in psutil.process_iter(["ppid"])}
    part_of = {pid: part for part, own in found.items() for pid in own}
    whole = {part: [*own] for part, own in found.items()}
    for pid in parents.keys() - part_of.keys():
        above = pid
        while above in parents and above not in part_of:
            above = parents[above]
        if above in part_of:
            whole[part_of[above]].append(pid)
    return whole


class Stacks:
    """These stacks start systems of sides, and end all at the end of the context."""

    def __init__(self, logs: Path, progress: Progress) -> None:
        """The `logs` are a folder for what they print."""
        self._logs = logs
        self._progress = progress
        self._supervisor = Supervisor()
        self._sides: dict[str, Side] = {}
        """These are the sides of the children, by name."""
        self._run = uuid.uuid4().hex[:8]

    def __enter__(self) -> "Stacks":
        self._logs.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(self, *_: object) -> None:
        names = list(self._supervisor.children)
        try:
            gateways = [name for name in names if name.startswith("gateway")]
            self._supervisor.stop(gateways, DRAIN_TIMEOUT_S)
            self._supervisor.stop([name for name in names if name not in gateways], STOP_TIMEOUT_S)
        finally:
            self._supervisor.close()

    def whole(self, *sides: Side) -> dict[str, Subject]:
        """`whole` starts a stack of each side, by letter, all at once: so they are of one age. It
        raises `SideError` when one does not come up."""
        began_s, found = time.monotonic(), {}
        for side in sides:
            self._progress(f"{side.letter}: starting the stack of {side.commit.short}")
            self._begin(side)
        for side in sides:
            entry = self._entry(side)
            self._progress(f"{side.letter}: up after {time.monotonic() - began_s:.0f} s")
            pids = self._parts(side, entry["pids"], partial(self._pids, side))
            names = (self._stack_of(side),)
            found[side.letter] = self._subject(side, entry, entry["url"], pids, names)
        return found

    def cluster(self, side: Side) -> Cluster:
        """`cluster` returns the side's Kafka and Flink, for gateways of all sides. It raises
        `SideError`."""
        self._progress(f"starting one Kafka and Flink for all, of {side.commit.short}")
        self._begin(side)
        self._owner = side
        return self._entry(side)

    def gateway(self, side: Side, cluster: Cluster) -> Subject:
        """`gateway` returns the side's gateway on it. It raises `SideError`."""
        url, own = self._gateway(side, cluster["bootstrap_servers"])
        self._progress(f"{side.letter}: its gateway is up")

        def ask() -> ByPart:
            return self._pids(self._owner) | own

        pids = self._parts(side, cluster["pids"] | own, ask)
        names = (self._gateway_of(side), self._stack_of(self._owner))
        return self._subject(side, cluster, url, pids, names)

    def _pids(self, side: Side) -> ByPart:
        """They are none while the stack is not up. Raises `StackError`."""
        answer = json.loads(_output(side, *self._status(side)))
        return dict(answer.get("pids") or {})

    @staticmethod
    def _parts(side: Side, found: ByPart, ask: Callable[[], ByPart]) -> Parts:
        try:
            return Parts(found, ask)
        except StackError as cause:
            raise SideError(side, str(cause)) from None

    def _subject(
        self, side: Side, entry: Cluster, url: str, pids: "Parts", names: Sequence[str]
    ) -> Subject:
        """Its runs are spoilt by the end of a child of these names, and of no other side's."""
        folder = Path(entry["data_dir"])
        logs = {part: folder / path for part, path in GC_LOGS.items()}
        system = System(
            url,
            pids,
            partial(self._check, names),
            entry["bootstrap_servers"],
            entry["flink_rest"],
            lambda: logs,
        )
        return Subject(system, side.record(), side.environment())

    def _check(self, names: Sequence[str]) -> None:
        for name in names:
            child = self._supervisor.children[name]
            if child.exit_code() is not None:
                raise BenchError(child.describe_exit())

    def _begin(self, side: Side) -> None:
        command = [str(side.python), "-m", "system", "up", "--name", self._name(side), *FREE_PORTS]
        self._start(self._stack_of(side), side, command)

    def _entry(self, side: Side) -> Cluster:
        """What its own `status` says of a stack that was begun, once it is up."""
        deadline_s = time.monotonic() + START_TIMEOUT_S
        while True:
            self._check_sides()
            answer = json.loads(_output(side, *self._status(side)))
            if answer["up"]:
                return dict(answer)
            if time.monotonic() > deadline_s:
                line = f"stack {side.letter} took longer than {START_TIMEOUT_S:g} s"
                raise SideError(side, line)
            time.sleep(STATUS_INTERVAL_S)

    def _check_sides(self) -> None:
        for name, child in self._supervisor.children.items():
            if child.exit_code() is not None:
                raise SideError(self._sides[name], child.describe_exit())

    @staticmethod
    def _stack_of(side: Side) -> str:
        return f"stack {side.letter}"

    @staticmethod
    def _gateway_of(side: Side) -> str:
        return f"gateway {side.letter}"

    def _status(self, side: Side) -> tuple[str, ...]:
        return ("-m", "system", "status", "--name", self._name(side), "--json")

    def _name(self, side: Side) -> str:
        return f"regression-{self._run}-{side.letter}"

    def _gateway(self, side: Side, bootstrap: str) -> tuple[str, dict[str, list[int]]]:
        port = choose(0, "")
        command = [str(side.python), "-m", "system.gateway", "--bootstrap", bootstrap]
        command += ["--port", str(port), "--gateway-id", uuid.uuid4().hex[:8]]
        child = self._start(self._gateway_of(side), side, command)
        url = f"http://{HOST}:{port}"
        for path in ("/health/ready", "/echo/warm"):
            try:
                self._supervisor.wait_for(
                    lambda path=path: answers(url + path, ANSWER_TIMEOUT_S),  # type: ignore[misc]
                    self._gateway_of(side),
                    START_TIMEOUT_S,
                )
            except StackError as cause:
                self._check_sides()
                raise SideError(side, str(cause)) from None
        return url, {"gateway": [process.pid for process in child.tree()]}

    def _start(self, name: str, side: Side, command: list[str]) -> Any:
        # Sides with clusters in common would answer each other's requests.
        own = {"KAFKA_BOOTSTRAP_SERVERS": "", "FLINK_REST": "", **side.variables}
        log, self._sides[name] = self._logs / f"{name.replace(' ', '-')}.log", side
        return self._supervisor.start(name, command, log=log, env=own, cwd=side.tree)


@contextmanager
def subjects(
    sides: list[Side], is_shared: bool, logs: Path, progress: Progress
) -> Iterator[dict[str, Subject]]:
    """`subjects` yields them by letter; `is_shared`: on one Kafka and Flink. It raises
    `SideError`."""
    with Stacks(logs, progress) as stacks:
        if is_shared:
            cluster = stacks.cluster(sides[0])
            found = {side.letter: stacks.gateway(side, cluster) for side in sides}
        else:
            found = stacks.whole(*sides)
        yield apart(found)


def apart(found: Mapping[str, Subject]) -> dict[str, Subject]:
    """`apart` lets each know the processes of the others, as far as they are not its own."""
    systems = {letter: subject.system for letter, subject in found.items()}
    return {
        letter: subject._replace(
            system=subject.system._replace(beside=partial(beside, letter, systems))
        )
        for letter, subject in found.items()
    }


def _output(side: Side, *arguments: str) -> str:
    """What the side's Python prints, run in its work tree."""
    try:
        done = subprocess.run(
            [str(side.python), *arguments],
            cwd=side.tree,
            env={**git.environment(), **named_files(), **side.variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=STATUS_TIMEOUT_S,
        )
    except (OSError, subprocess.TimeoutExpired) as cause:
        raise SideError(side, f"the Python of {side.commit.short} does not work: {cause}") from None
    if not done.stdout.startswith("{"):
        lines = done.stderr.strip().splitlines() or ["it printed nothing"]
        raise SideError(side, f"the system of {side.commit.short} does not start: {lines[-1]}")
    return done.stdout
