"""One of several states of the same topics is the newest: whoever goes on from another loses what
was answered since.

A stack's own Flink keeps a state in its data folder, a Flink that exists somewhere else; a
savepoint brings one to the other, and the first stays where it was.
"""

import json
from pathlib import Path
from typing import NamedTuple

from machine.errors import StackError
from machine.whole_files import write

FILE = "newest-state.json"
JOB_FILE = "job.json"
"""The file beside it of this name tells of the last job on a Flink that exists."""


class State(NamedTuple):
    """A state has an id, and a place, as words for a person."""

    state_id: str
    where: str


GUEST = State("guest", "that of the job on a Flink that exists")
"""The states of all such jobs on the same topics count as one: they know the newest of theirs."""


def check(folder: Path, state: State) -> None:
    """`check` raises `StackError` where the topics were handled with another state last; a `folder`
    has what is known of them."""
    file, last = folder / FILE, _read(folder / FILE)
    if last is None and (folder / JOB_FILE).exists():  # an older version noted nothing
        file, last = folder / JOB_FILE, GUEST
    if last is not None and last.state_id != state.state_id:
        raise StackError(
            f"the newest state of these topics is {last.where}, not {state.where}: go on with that "
            f"one, choose another --topic-prefix, or remove {file} where it is gone"
        )


def note(folder: Path, state: State | None) -> State | None:
    """`note` says that the topics are handled with this state from now on, and returns which one
    was until then; None where that is not known, or no more to be."""
    last = _read(folder / FILE)
    if state is None:
        (folder / FILE).unlink(missing_ok=True)
    elif state != last:
        write(folder / FILE, json.dumps(state._asdict()).encode())
    return last


def _read(file: Path) -> State | None:
    try:
        return State(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise StackError(f"{file} is damaged: remove it, if this state is the newest") from None
