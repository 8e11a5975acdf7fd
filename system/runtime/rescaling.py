"""``python -m system rescale`` asks ``up``, which runs the stack, by a file beside its entry."""

import json
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from machine.errors import StackError
from machine.whole_files import create, write
from system.runtime import registry
from system.runtime.options import RescaleError

POLL_S = 0.1
"""This much time passes between looks for the answer."""

Rescale = Callable[[int, int | None], float]
"""`Rescale` takes parallelism and TaskManagers, None for as many as there are; it returns the
seconds in which nothing was handled."""


def ask(name: str, parallelism: int, taskmanagers: int | None) -> float:
    """`ask` returns when the stack of that name is rescaled, as `Rescale` does.

    It raises `StackError` when the stack refuses, has ended, or is asked by another already.
    """
    asked, answered = _files(name)
    own_id, stack = uuid.uuid4().hex, registry.find(name)
    wanted = {"id": own_id, "parallelism": parallelism, "taskmanagers": taskmanagers}
    try:
        create(asked, json.dumps(wanted).encode())
    except FileExistsError:
        raise StackError(f"the stack {name} is being rescaled already: wait for that") from None
    except FileNotFoundError:  # the next of the name, as it begins, removes what the last one left
        raise _ended(name) from None
    while True:
        is_over = not asked.exists()  # it goes when the answer has come
        if (answer := _read(answered)) is not None and answer["id"] == own_id:
            break
        now = registry.find(name)
        if stack is None or now is None or now.pid != stack.pid:
            raise _ended(name)
        if is_over:
            raise StackError(
                f"the stack {name} could not write how the rescaling ended: its own lines tell, "
                "and status what it has now"
            )
        time.sleep(POLL_S)
    answered.unlink(missing_ok=True)
    if "error" in answer:
        raise StackError(str(answer["error"]))
    return float(answer["paused_s"])


def serve(name: str, rescale: Rescale) -> bool:
    """`serve` rescales when somebody has asked for it, and returns whether anybody had.

    It raises `StackError` where the stack does not come back.
    """
    asked, answered = _files(name)
    wanted = _read(asked)
    if wanted is None:
        return False
    answer: dict[str, Any] = {"id": wanted["id"]}
    try:
        answer["paused_s"] = rescale(wanted["parallelism"], wanted["taskmanagers"])
    except RescaleError as cause:
        answer["error"] = str(cause)
    with suppress(OSError):  # a full disk ends no stack: who asked sees that there is no answer
        write(answered, json.dumps(answer).encode())
    asked.unlink(missing_ok=True)
    return True


def _files(name: str) -> tuple[Path, Path]:
    return registry.beside(name, registry.ASKED), registry.beside(name, registry.ANSWERED)


def _ended(name: str) -> StackError:
    return StackError(f"the stack {name} has ended meanwhile: its own lines say why")


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text())
    except FileNotFoundError:
        return None
    return found
