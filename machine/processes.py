"""Child processes never outlive their supervisor, and say why they ended.

All children are in one process group, led by ``guard.py``, which kills the group when the
supervising process dies: by a signal, ``kill -9`` included, or in a failed start.
"""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from machine.errors import StackError
from machine.secrets import named_files

POLL_S = 0.05
"""This much time passes between looks at a condition that is waited for."""
KILL_WAIT_S = 10.0
"""The kernel has this long to end a process after SIGKILL."""

LOG_TAIL_BYTES = 64 * 1024
"""This much of a log's end is searched for the line that says why a process ended."""
LOG_LINE_MAX = 300
"""A log line goes into an error message with at most this many characters."""

_TELLING = re.compile(r"\b(FATAL|ERROR|Caused by|Exception|Error|error:|Could not)\b|^OSError")
_NOISE = re.compile(
    r"^\s*(at |\.\.\. |File \"|\^|$)"
    # The JVM's launcher ends with these whatever the reason was.
    r"|^Error: (A fatal exception has occurred|Could not create the Java)"
)


class Child:
    """A child is a running process; `log` holds its stdout and stderr."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log

    @property
    def pid(self) -> int:
        return self.process.pid

    def exit_code(self) -> int | None:
        """The exit code is None while it runs, and minus the signal's number when a signal ended
        it."""
        return self.process.poll()

    def tree(self) -> list[psutil.Process]:
        """`tree` returns the process and its descendants; it is empty when the process has
        ended."""
        try:
            root = psutil.Process(self.pid)
            return [root, *root.children(recursive=True)] if root.is_running() else []
        except psutil.NoSuchProcess:
            return []

    def describe_exit(self) -> str:
        """`describe_exit` says in one line how it ended, with the line of its log that most likely
        says why.

        What SIGKILL ended could not say anything.
        """
        code = self.exit_code()
        how = f"exit code {code}" if code is None or code >= 0 else signal.Signals(-code).name
        why = "" if code == -signal.SIGKILL else f": {telling_line(self.log)}"
        return f"{self.name} ended ({how}){why} [{self.log}]"

    def answer(self) -> dict[str, Any]:
        """`answer` returns the JSON object that is its last line; it raises `StackError` where
        there is none."""
        printed = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        if not printed:
            raise StackError(f"{self.name} printed no answer [{self.log}]")
        answer: dict[str, Any] = json.loads(printed[-1])
        return answer

    def terminate(self) -> None:
        if self.exit_code() is None:
            self.process.terminate()

    def kill(self) -> None:
        """`kill` ends the process and its descendants by SIGKILL, and returns after their death."""
        _kill(self.tree())
        self.process.wait(KILL_WAIT_S)


class Supervisor:
    """The supervisor starts children into one guarded process group. Several threads can't use it
    at once."""

    def __init__(self) -> None:
        self._guard: subprocess.Popen[bytes] | None = None
        self._group = 0
        self.children: dict[str, Child] = {}
        self.inherited: tuple[int, ...] = ()
        """Each child inherits these descriptors: a lock is held until the last of them is gone."""

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> Child:
        """`start` starts a child, its output appended to `log`. `env` is added to this process's
        own, in which each file has its whole path."""
        group = self._guarded_group()
        try:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **named_files(), **(env or {})},
                    cwd=cwd,
                    process_group=group,
                    pass_fds=self.inherited,
                )
        except OSError as cause:
            raise StackError(f"cannot start {name}: {cause}") from None
        child = Child(name, process, log)
        self.children[name] = child
        return child

    def wait_for(
        self,
        condition: Callable[[], bool],
        what: str,
        timeout_s: float,
        hint: Callable[[], str] = str,
        may_end: Sequence["Child"] = (),
    ) -> None:
        """`wait_for` polls until `condition` holds; it raises `StackError` when a child ends, other
        than one of `may_end` that has done its work, or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            self.check(may_end)
            if time.monotonic() > deadline:
                raise StackError(f"{what} took longer than {timeout_s:g} s{hint()}")
            time.sleep(POLL_S)

    def run(self, child: Child, timeout_s: float) -> None:
        """`run` waits until `child` has done its work; it raises `StackError` when the child
        failed."""
        self.run_all([child], timeout_s)

    def run_all(self, children: Sequence[Child], timeout_s: float) -> None:
        """`run_all` waits until all of these have done their work, side by side, as `run` does."""
        left = list(children)

        def are_done() -> bool:
            for child in [child for child in left if child.exit_code() == 0]:
                left.remove(child)
                del self.children[child.name]
            return not left

        # One that ends well between the two looks of a turn is seen by the next turn.
        name = children[0].name if children else ""
        self.wait_for(are_done, name, timeout_s, may_end=left)

    def check(self, may_end: Sequence["Child"] = ()) -> None:
        """`check` raises `StackError` when a child has ended; those of `may_end` may have done
        their work."""
        for child in self.children.values():
            code = child.exit_code()
            if code is not None and not (code == 0 and child in may_end):
                raise StackError(child.describe_exit())

    def ended(self) -> list[Child]:
        """`ended` returns the children that have ended since, which are then no longer among
        `children`."""
        if self._guard is not None:
            self._guarded_group()
        ended = [child for child in self.children.values() if child.exit_code() is not None]
        for child in ended:
            del self.children[child.name]
        return ended

    def stop(self, names: Sequence[str], timeout_s: float) -> dict[str, int | None]:
        """`stop` ends these children side by side, within `timeout_s` and the time SIGKILL takes.

        Returns their exit codes by name.
        """
        stopping = [self.children.pop(name) for name in names if name in self.children]
        # Looked up before the signal: the children of a process that has ended are nobody's.
        families = [process for child in stopping for process in child.tree()]
        for child in stopping:
            child.terminate()
        _kill(_wait(families, timeout_s))
        for child in stopping:
            child.process.wait(KILL_WAIT_S)
        return {child.name: child.exit_code() for child in stopping}

    def close(self) -> None:
        """`close` kills whatever is left in the group, the guard included."""
        if self._guard is not None:
            with contextlib.suppress(ProcessLookupError):  # all of it has been killed
                os.killpg(self._group, signal.SIGKILL)
            self._guard.wait(KILL_WAIT_S)
            self._guard = None
        for child in self.children.values():
            child.process.wait(KILL_WAIT_S)
        self.children.clear()

    def _guarded_group(self) -> int:
        """The children's process group; a guard that was killed is replaced in it."""
        if self._guard is None or self._guard.poll() is not None:
            left = self._guard is not None and any(
                c.exit_code() is None for c in self.children.values()
            )
            guard = str(Path(__file__).with_name("guard.py"))
            self._guard = subprocess.Popen(
                [sys.executable, "-I", "-S", guard, str(os.getpid())],
                stdin=subprocess.DEVNULL,
                process_group=self._group if left else 0,
                pass_fds=self.inherited,
            )
            if not left:
                self._group = self._guard.pid
        return self._group


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    _wait(processes, KILL_WAIT_S)


def _wait(processes: Sequence[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those of the processes that still live after `timeout_s`.

    psutil's own wait would collect the children's exit codes, which `Popen` then could not.
    """
    deadline = time.monotonic() + timeout_s
    while (left := [process for process in processes if _lives(process)]) and (
        time.monotonic() < deadline
    ):
        time.sleep(POLL_S)
    return left


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def telling_line(log: Path) -> str:
    """`telling_line` returns the line of a log's end that most likely says what went wrong,
    shortened."""
    if not log.exists():
        return "no log"
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - LOG_TAIL_BYTES))
        text = file.read().decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if not _NOISE.match(line)]
    if not lines:
        return "its log is empty"
    # The last cause of a trace is the root cause; of several errors, the last one ended it.
    telling = [line for line in lines if _TELLING.search(line)]
    return (telling or lines)[-1][:LOG_LINE_MAX]
