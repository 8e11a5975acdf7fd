"""``python -m system up`` registers its stacks by name, for ``status`` and ``down``."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from machine import whole_files
from machine.cache import LockHeldError, cache_dir, is_held, lock
from machine.errors import StackError
from machine.http import answers

DOWN_TIMEOUT_S = 180.0
"""`down` waits this long: more than a stack's own limits of drain and stop add up to."""

ENTRY = ".json"
"""The file of a stack that is up has this suffix."""
PID = ".pid"
"""The file with the process id of ``up`` has this suffix, up or not yet."""
ASKED, ANSWERED = ".asked", ".answered"
"""The files of a stack that is asked to rescale have these suffixes."""
READY_TIMEOUT_S = 5.0
"""The gateway answers `status` within this time, or counts as not ready."""
POLL_S = 0.1
"""This much time passes between looks whether a stack has ended."""


@dataclass(frozen=True)
class Entry:
    """An entry is a running stack; `pid` is that of ``up``, addresses are those of `Stack`."""

    name: str
    pid: int
    url: str
    urls: list[str]
    bootstrap_servers: str
    flink_rest: str
    data_dir: str
    pids: dict[str, list[int]]


@contextmanager
def reserve(name: str) -> Iterator[Path]:
    """`reserve` yields the file for the stack's `Entry`, this process's alone; it raises
    `StackError` when in use."""
    file = _file(name)
    try:
        with ExitStack() as held:
            with _all_names():
                held.enter_context(lock(file.with_suffix(".lock"), wait=False))
                _clear(file.with_suffix(".lock"))
                _sweep(file.parent)
            pid_file = file.with_suffix(PID)
            for each in (file, pid_file):
                held.callback(each.unlink, missing_ok=True)
            whole_files.write(pid_file, str(os.getpid()).encode())
            yield file
    except LockHeldError:
        raise StackError(
            f"a stack named {name} is running: end it with `python -m system down --name {name}`, "
            "or choose another --name"
        ) from None


def _all_names() -> AbstractContextManager[int]:
    """Nobody else reserves a name meanwhile: who looks whether one is reserved holds its lock for a
    moment, and a name is not reserved before what an earlier stack left under it is gone."""
    return lock(cache_dir() / "up.lock", wait=True)


def _is_reserved(file: Path) -> bool:
    held = file.with_suffix(".lock")
    if not held.exists():
        return False
    with _all_names():
        return is_held(held)


def _told(name: str, suffix: str) -> str | None:
    """What the stack that has the name says in this file of its; None where there is none.

    Nobody can come to have the name meanwhile. So whoever has it after the look had it at the look,
    and has removed what a killed one left.
    """
    file = beside(name, suffix)
    if not file.exists():
        return None
    with _all_names(), suppress(FileNotFoundError):
        content = file.read_text()
        if is_held(file.with_suffix(".lock")):
            return content
    return None


def _sweep(folder: Path) -> None:
    """Removes what stacks left that have ended, killed ones too."""
    for held in folder.glob("*.lock"):
        if not is_held(held):
            _clear(held)
            held.unlink()


def _clear(held: Path) -> None:
    """Removes what processes that were killed left beside that lock, half written files too."""
    for left in held.parent.glob(f"{held.stem}.*"):  # a name has no dot
        if left != held:
            left.unlink(missing_ok=True)


def write(file: Path, entry: Entry) -> None:
    """`write` registers the stack, which is up."""
    whole_files.write(file, json.dumps(asdict(entry)).encode())


def find(name: str) -> Entry | None:
    """`find` returns the stack when it is up, None when it isn't (or not yet).

    One of another version is found too, as long as it tells what is asked of it here. It raises
    `StackError` where it does not.
    """
    content = _told(name, ENTRY)
    if content is None:
        return None
    told = json.loads(content)
    try:
        told.setdefault("urls", [told["url"]])  # before there were several gateways
        return Entry(**{each.name: told[each.name] for each in fields(Entry)})
    except KeyError as cause:
        raise StackError(
            f"the stack {name} is of another version, and does not tell its {cause.args[0]}: "
            "use the commands of that version"
        ) from None


def starting(name: str) -> int | None:
    """`starting` returns the process id of the ``up`` that has the name, as long as its stack is
    not up; None where there is none."""
    pid = _told(name, PID)
    return None if pid is None or _file(name).exists() else int(pid)


def is_ready(entry: Entry) -> bool:
    """`is_ready` returns whether each gateway says that it can serve."""
    return all(answers(f"{url}/health/ready", READY_TIMEOUT_S) for url in entry.urls)


def end(name: str, pid: int) -> None:
    """`end` asks the stack's ``up`` to end and waits for it; it raises `StackError` when it
    doesn't."""
    with suppress(ProcessLookupError):  # it has ended by itself
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + DOWN_TIMEOUT_S
    # Not until the next one of the name ends, which may be there by now.
    while _is_reserved(_file(name)) and _told(name, PID) in (str(pid), None):
        if time.monotonic() > deadline:
            raise StackError(f"process {pid} does not end within {DOWN_TIMEOUT_S:g} s")
        time.sleep(POLL_S)


def beside(name: str, suffix: str) -> Path:
    """`beside` returns a file of that stack, beside its entry; it goes when the next one of the
    name comes up."""
    return _file(name).with_suffix(suffix)


def _file(name: str) -> Path:
    return cache_dir() / "up" / f"{name}{ENTRY}"
