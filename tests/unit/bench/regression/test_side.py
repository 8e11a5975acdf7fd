"""The two sides of a job: how they are built, what they record, and how their runs look."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from support.made_sets import a_run, failed, record, verdict

from bench.errors import BenchError
from bench.project import PROJECT_DIR
from bench.records.run_record import CommitRecord
from bench.regression import python_env, side
from bench.regression.python_env import python_of
from bench.regression.runs import Options, described
from bench.regression.side import ASK_EACH_S, ByPart, Parts, Side, SideError, Stacks, apart
from bench.regression.worktree import LOCK_FILE, Commit
from bench.run.environment import environment
from bench.run.model import Subject, System
from machine.errors import StackError

COMMIT = Commit("main", "0123456789abcdef")


def nothing(_: str) -> None:
    return None


def test_the_same_packages_are_this_environment(tmp_path: Path) -> None:
    (tmp_path / LOCK_FILE).write_bytes((PROJECT_DIR / LOCK_FILE).read_bytes())
    assert python_of(tmp_path, nothing) == Path(sys.executable)


def test_a_commit_without_a_lock_file(tmp_path: Path) -> None:
    with pytest.raises(StackError, match=r"has no requirements\.lock"):
        python_of(tmp_path, nothing)


def test_packages_that_can_not_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_env, "cache_dir", lambda: tmp_path / "cache")
    monkeypatch.setattr(python_env, "VENV_OPTIONS", ("--without-pip",))  # as it takes long
    monkeypatch.setattr(
        python_env, "_install", lambda _: [sys.executable, "-c", "raise OSError('no')"]
    )
    (tmp_path / LOCK_FILE).write_text("nonsense==0\n")
    told: list[str] = []
    with pytest.raises(StackError, match="cannot install the packages of the commit: OSError: no"):
        python_of(tmp_path, told.append)
    assert len(told) == 1
    monkeypatch.setattr(python_env, "_install", lambda _: [sys.executable, "-c", ""])
    python = python_of(tmp_path, told.append)
    assert python.exists()
    assert python_of(tmp_path, told.append) == python
    assert len(told) == 2, "it is made anew after a failure, and once"


def test_a_package_that_can_not_be_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(python_env, "_pip", lambda: [sys.executable, "-c", "raise OSError('no')"])
    with pytest.raises(StackError, match="cannot install the package of the commit: OSError: no"):
        python_env.install_service(tmp_path, tmp_path / "packages")


def test_a_service_s_processes_find_its_package_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = Side("A", COMMIT, tmp_path, Path(sys.executable))
    packages = tmp_path / "packages"
    assert plain.variables == {}
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    found = plain._replace(packages=packages).variables
    assert found == {"PYTHONPATH": f"{packages}:{PROJECT_DIR}:/elsewhere"}
    monkeypatch.delenv("PYTHONPATH")
    own = plain._replace(packages=packages)
    assert own.variables == {"PYTHONPATH": f"{packages}:{PROJECT_DIR}"}
    # The work tree of such a commit has no system of its own, and the side still has one.
    assert own.environment() == environment(own_stack=True)


def test_a_side_is_recorded_with_its_own_versions(tmp_path: Path) -> None:
    (tmp_path / "system" / "runtime").mkdir(parents=True)
    (tmp_path / "system" / "runtime" / "jars.py").write_text("SETS = {'kafka': ['a:b:9.9.9']}\n")
    for folder in ("system", "system/runtime"):
        (tmp_path / folder / "__init__.py").touch()
    found = Side("A", COMMIT, tmp_path, Path(sys.executable)).environment()
    assert found == replace(environment(own_stack=True), kafka="9.9.9")


def test_a_side_that_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="the system of 0123456789 does not start: "):
        Side("A", COMMIT, tmp_path, Path(sys.executable)).environment()
    with pytest.raises(StackError, match="the Python of 0123456789 does not work: "):
        Side("A", COMMIT, tmp_path, tmp_path / "none").environment()


def test_a_stack_that_does_not_come_up(tmp_path: Path) -> None:
    (tmp_path / "system.py").write_text("raise SystemExit('error: no room')\n")
    broken = Side("A", COMMIT, tmp_path, Path(sys.executable))
    with (
        pytest.raises(StackError) as caught,
        side.subjects([broken, broken], True, tmp_path / "logs", nothing),
    ):
        pass
    assert "no room" in str(caught.value)
    assert isinstance(caught.value, SideError)
    assert caught.value.letter == "A"


def test_what_is_kept_up_beside() -> None:
    def subject(*pids: int) -> Subject:
        system = System("", lambda: {"kafka": pids[:1], "gateway": pids[1:]}, int)
        return Subject(system, CommitRecord("a", False), environment(own_stack=True))

    found = apart({"A": subject(1, 2), "B": subject(1, 3)})
    assert [found[letter].system.beside() for letter in "AB"] == [[3], [2]]
    alone = apart({"A": subject(1, 2)})
    assert alone["A"].system.beside() == []


def test_a_child_that_ends_spoils_its_own_side_alone(tmp_path: Path) -> None:
    """One gateway had exited, and all runs of both sides were INVALID."""
    stacks = Stacks(tmp_path, nothing)
    ended = SimpleNamespace(exit_code=lambda: 1, describe_exit=lambda: "gateway B ended with 1")
    children: Any = {"gateway A": SimpleNamespace(exit_code=lambda: None), "gateway B": ended}
    stacks._supervisor.children = children
    stacks._check(["gateway A"])
    with pytest.raises(BenchError, match="gateway B ended with 1"):
        stacks._check(["gateway A", "gateway B"])


@pytest.fixture
def alive() -> Iterator[int]:
    """A process that has begun none itself, as this one may have."""
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process.pid
        process.kill()


def test_a_part_that_was_started_anew_is_known(alive: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its old process is nobody's, so each run after it was void."""
    answers: list[ByPart | StackError] = []

    def ask() -> ByPart:
        answer = answers.pop()
        if isinstance(answer, StackError):
            raise answer
        return answer

    clock = SimpleNamespace(monotonic=lambda: now_s)
    now_s = 100.0
    monkeypatch.setattr(side, "time", clock)
    here, gone = alive, 2**22 + 1
    parts = Parts({"kafka": [here], "supervisor": [here]}, ask)
    assert parts() == {"kafka": [here]}, "nobody is asked while all are there"
    several = {"kafka_2": [here], "flink_taskmanager_3": [here], "gateway": [here]}
    parts = Parts({**several, "kafka_format": [here]}, ask)
    assert parts() == several, "the second of a kind is as much a part as the first"
    parts = Parts({"kafka": [gone]}, ask)
    answers = [{"kafka": [here]}, {}, StackError("it does not answer")]
    assert parts() == {"kafka": [gone]}, "as it was, where nobody answers"
    assert len(answers) == 2
    assert parts() == {"kafka": [gone]}
    assert len(answers) == 2, "it is not asked again at once"
    for expected in ([gone], [here]):
        now_s += ASK_EACH_S
        assert parts() == {"kafka": expected}
    now_s += ASK_EACH_S
    assert parts() == {"kafka": [here]}
    assert answers == []


def test_what_a_part_begins_later_is_counted_with_it() -> None:
    """Else work that moves to a process of its own costs nothing."""
    begins = "import subprocess, sys; input(); subprocess.run(['cat']); input()"
    part = subprocess.Popen(
        [sys.executable, "-c", begins], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    assert part.stdin is not None
    try:
        parts = Parts({"gateway": [part.pid]}, dict)
        assert parts() == {"gateway": [part.pid]}
        part.stdin.write(b"\n")
        part.stdin.flush()
        deadline_s = time.monotonic() + 60
        while len(parts()["gateway"]) < 2 and time.monotonic() < deadline_s:
            time.sleep(0.05)
        (child,) = psutil.Process(part.pid).children()
        assert parts() == {"gateway": [part.pid, child.pid]}
    finally:
        part.stdin.close()
        part.wait(60)


def test_a_part_of_no_group_is_refused(alive: int) -> None:
    found = {"kafka": [alive], "router": [alive]}
    with pytest.raises(StackError, match="its stack has router, and this harness does not know"):
        Parts(found, dict)
    answers = [found]
    parts = Parts({"kafka": [2**22 + 1]}, answers.pop)
    assert parts() == {"kafka": [2**22 + 1]}, "as it was: its runs are void"
    assert answers == []


def test_the_runs_of_a_pair_have_the_same_settings() -> None:
    options = Options(rate_per_s=150, users=32, duration_s=3, seed=7, generators=3)
    settings = options.settings(4)
    open_loop, saturation = settings.phases()
    assert settings == options.settings(4)
    assert (settings.seed, open_loop.name, open_loop.duration_s) == (11, "open", 3)
    assert settings.generators == 3
    assert (saturation.name, saturation.users, saturation.duration_s) == ("users-32", 32, 3)
    warm = Options().settings(0).quick().phases()[0]
    assert (warm.name, warm.users) == ("warmup", 64), "a stack that just started is warmed up by it"


def test_a_run_in_a_line() -> None:
    assert described(record(a_run(0, "A", verdict("void", "too busy")))) == (
        "p50 5.0 ms, p99 40.0 ms, gateway 300 µs, kafka 450 µs, flink 1,200 µs, generator 200 µs"
        " - VOID: too busy"
    )
    lost = a_run(0, "A", failed(3))
    lost["phases"][0]["window"] = None
    assert described(record(lost)) == "nothing was measured - VALID"
