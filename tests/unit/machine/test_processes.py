"""Children and their end, with tiny Python programs in place of JVMs."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from support.ended import is_gone

from machine.cache import is_held, lock
from machine.errors import StackError
from machine.processes import Supervisor, telling_line

ROOT = Path(__file__).parents[3]
WAIT_S = 30.0
SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]
PARENT_OF_A_SLEEPER = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]).pid, flush=True)
time.sleep(600)
"""
DEAF_TO_SIGTERM = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("deaf", flush=True)
time.sleep(600)
"""


@pytest.fixture
def supervisor() -> Iterator[Supervisor]:
    supervisor = Supervisor()
    yield supervisor
    supervisor.close()


def script(source: str) -> list[str]:
    return [sys.executable, "-c", source]


def grandchild(until: Callable[..., None], log: Path) -> int:
    until(lambda: log.exists() and log.read_text().endswith("\n"))
    return int(log.read_text())


def test_a_child_that_ends_early_is_reported_with_the_line_that_says_why(supervisor, tmp_path):
    source = "import sys; print('fine'); print('ERROR no such topic'); sys.exit(4)"
    supervisor.start("kafka", script(source), log=tmp_path / "log")
    with pytest.raises(StackError, match=r"^kafka ended \(exit code 4\): ERROR no such topic \["):
        supervisor.wait_for(lambda: False, "Kafka", WAIT_S)


def test_a_child_that_a_signal_ended_is_reported_with_its_name(supervisor, tmp_path):
    child = supervisor.start("kafka", SLEEPER, log=tmp_path / "log")
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(StackError, match=r"^kafka ended \(SIGKILL\) \["):
        supervisor.wait_for(lambda: False, "Kafka", WAIT_S)


def test_a_wait_has_an_end_and_a_hint(supervisor):
    with pytest.raises(StackError, match=r"^the job took longer than 0\.1 s: it is broken$"):
        supervisor.wait_for(lambda: False, "the job", 0.1, lambda: ": it is broken")


def test_a_program_that_is_not_there(supervisor, tmp_path):
    with pytest.raises(StackError, match=r"cannot start kafka: .*No such file"):
        supervisor.start("kafka", ["/no/such/java"], log=tmp_path / "log")


def test_a_child_that_has_done_its_work_is_not_an_early_end(supervisor, tmp_path):
    child = supervisor.start("format", script("print('done')"), log=tmp_path / "log")
    supervisor.run(child, WAIT_S)
    supervisor.check()
    assert supervisor.children == {}


def test_several_do_their_work_side_by_side(supervisor, tmp_path):
    """The later ones end first, which is no early end either."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        waits = f"import socket; socket.create_connection(('127.0.0.1', {port})).recv(1)"
        first = supervisor.start("first", script(waits), log=tmp_path / "log")
        others = [supervisor.start(name, script(""), log=tmp_path / "log") for name in "ab"]
        waiting, _ = server.accept()
        for child in others:
            child.process.wait(WAIT_S)
        waiting.close()
        supervisor.run_all([first, *others], WAIT_S)
    assert supervisor.children == {}
    supervisor.run_all([], WAIT_S)
    failed = supervisor.start("failed", script("raise SystemExit(4)"), log=tmp_path / "log")
    with pytest.raises(StackError, match=r"failed ended \(exit code 4\)"):
        supervisor.run_all([failed], WAIT_S)


def test_a_child_that_does_its_work_between_two_looks_is_no_early_end(supervisor, tmp_path):
    """Whether it was done was asked first, and whether anything had ended after that: a start of
    three brokers failed so, once in some hundred."""
    child = supervisor.start("work", [sys.executable, "-c", ""], log=tmp_path / "log")
    child.process.wait()
    real, asked = child.exit_code, []

    def exit_code() -> int | None:
        asked.append(1)
        return None if len(asked) == 1 else real()

    child.exit_code = exit_code
    supervisor.run(child, WAIT_S)
    assert len(asked) > 2


def test_a_child_that_has_ended_is_told_once(supervisor, tmp_path, until):
    child = supervisor.start("kafka", script("raise SystemExit(4)"), log=tmp_path / "log")
    until(lambda: child.exit_code() == 4)
    assert supervisor.ended() == [child]
    assert supervisor.ended() == []


def test_a_lock_is_held_until_the_last_child_is_gone(supervisor, tmp_path, until):
    path = tmp_path / "lock"
    with lock(path, wait=False) as descriptor:
        supervisor.inherited = (descriptor,)
        log = tmp_path / "log"
        supervisor.start("parent", script(PARENT_OF_A_SLEEPER), log=log)
        grandchild(until, log)
    assert is_held(path)
    supervisor.close()
    until(lambda: not is_held(path))


def test_a_guard_that_was_killed_is_replaced(supervisor, tmp_path):
    first = supervisor.start("first", SLEEPER, log=tmp_path / "log")
    supervisor._guard.kill()
    supervisor._guard.wait(WAIT_S)
    assert supervisor.ended() == []
    second = supervisor.start("second", SLEEPER, log=tmp_path / "log")
    assert supervisor._guard.poll() is None
    groups = {os.getpgid(child.pid) for child in (first, second)}
    assert groups == {os.getpgid(supervisor._guard.pid)}
    supervisor.close()
    assert [first.exit_code(), second.exit_code()] == [-signal.SIGKILL] * 2


def test_a_guard_that_was_killed_with_all_children_is_replaced(supervisor, tmp_path):
    first = supervisor.start("first", SLEEPER, log=tmp_path / "log")
    for process in (first.process, supervisor._guard):
        process.kill()
        process.wait(WAIT_S)
    assert supervisor.ended() == [first]
    second = supervisor.start("second", SLEEPER, log=tmp_path / "log")
    assert os.getpgid(second.pid) == supervisor._guard.pid


def test_the_environment_is_added_to(supervisor, tmp_path, monkeypatch):
    monkeypatch.setenv("INHERITED", "yes")
    source = "import os; print(os.environ['INHERITED'], os.environ['ADDED'])"
    log = tmp_path / "log"
    supervisor.run(supervisor.start("child", script(source), log=log, env={"ADDED": "too"}), WAIT_S)
    assert log.read_text() == "yes too\n"


def test_a_child_in_another_folder_finds_the_files_that_were_named_from_here(
    supervisor, tmp_path, monkeypatch
):
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here, there):
        folder.mkdir()
    (here / "token").write_text("s3cret\n")
    monkeypatch.chdir(here)
    monkeypatch.setenv("KAFLINKSHOP_AGENT_TOKEN_FILE", "token")
    source = f"import sys; sys.path.append({str(ROOT)!r})\n"
    source += (
        "from machine.secrets import read_secret; print(read_secret('KAFLINKSHOP_AGENT_TOKEN'))"
    )
    log = tmp_path / "log"
    supervisor.run(supervisor.start("child", script(source), log=log, cwd=there), WAIT_S)
    assert log.read_text() == "s3cret\n"


def test_stop_kills_what_is_deaf_to_sigterm(supervisor, tmp_path, until):
    log = tmp_path / "log"
    supervisor.start("deaf", script(DEAF_TO_SIGTERM), log=log)
    until(lambda: log.read_text() == "deaf\n")
    assert supervisor.stop(("deaf", "never started"), 0.1) == {"deaf": -signal.SIGKILL}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_childs_children_end_with_it(supervisor, tmp_path, end, until):
    log = tmp_path / "log"
    child = supervisor.start("parent", script(PARENT_OF_A_SLEEPER), log=log)
    pid = grandchild(until, log)
    assert [process.pid for process in child.tree()] == [child.pid, pid]
    if end == "stop":
        supervisor.stop(("parent",), 0.1)
    else:
        child.kill()
    until(lambda: is_gone(pid))
    assert child.tree() == []


def test_close_leaves_nothing(supervisor, tmp_path, until):
    others = psutil.Process().children()
    log = tmp_path / "log"
    supervisor.start("parent", script(PARENT_OF_A_SLEEPER), log=log)
    supervisor.start("deaf", script(DEAF_TO_SIGTERM), log=tmp_path / "deaf")
    pid = grandchild(until, log)
    supervisor.close()
    until(lambda: is_gone(pid))
    until(lambda: psutil.Process().children() == others)


def test_children_outlive_the_thread_that_started_them(supervisor, tmp_path):
    def start() -> None:
        supervisor.start("kafka", SLEEPER, log=tmp_path / "log")

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    supervisor.check()


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGSEGV])
def test_no_child_outlives_the_supervising_process(tmp_path, death, until):
    log = tmp_path / "log"
    source = (
        "import signal, sys, time; from pathlib import Path\n"
        "from machine.processes import Supervisor\n"
        "signal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # ignored where nohup began it all
        "supervisor = Supervisor()\n"
        f"command = {script(PARENT_OF_A_SLEEPER)!r}\n"
        "child = supervisor.start('parent', command, log=Path(sys.argv[1]))\n"
        "print(child.pid, supervisor._guard.pid, flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", source, str(log)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        pids.append(grandchild(until, log))
        parent.send_signal(death)
        parent.wait(WAIT_S)
    until(lambda: all(map(is_gone, pids)))


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", "its log is empty"),
        ("\n \n", "its log is empty"),
        ("starting\nlistening\n", "listening"),
        ("INFO a\nERROR b\nINFO bye\n", "ERROR b"),
        ("Exception: outer\n\tat A\nCaused by: inner\n\tat B\n\t... 3 more\n", "Caused by: inner"),
        ("Error occurred during start\nCould not reserve space\n", "Could not reserve space"),
        (
            'Traceback (most recent call last):\n  File "a", line 1\nValueError: x\n',
            "ValueError: x",
        ),
        (
            "Unrecognized VM option 'X'\nError: Could not create the Java Virtual Machine.\n"
            "Error: A fatal exception has occurred. Program will exit.\n",
            "Unrecognized VM option 'X'",
        ),
        ("x" * 400, "x" * 300),
    ],
)
def test_the_telling_line_of_a_log(tmp_path, log, expected):
    path = tmp_path / "log"
    path.write_text(log)
    assert telling_line(path) == expected


def test_the_telling_line_of_no_log(tmp_path):
    assert telling_line(tmp_path / "none") == "no log"
