"""One of several states of the same topics is the newest: no other one is gone on from.

A stack's own Flink keeps a state in its data folder, a Flink that exists somewhere else; a
savepoint brings one to the other, and the first stays where it was. It lacks what was answered
since.
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
    newest = noted(folder)
    told_by = [each for each in (folder / FILE, folder / JOB_FILE) if each.exists()]
    if newest is None and told_by:  # an older version noted nothing
        newest = GUEST
    if newest is not None and newest.state_id != state.state_id:
        raise StackError(
            f"the newest state of these topics is {newest.where}, not {state.where}: go on with "
            "that one, choose another --topic-prefix, or, where it is gone, remove "
            f"{' and '.join(map(str, told_by))}"
        )


def note(folder: Path, state: State | None) -> None:
    """`note` says that the topics are handled with this state from now on; None: that this is not
    known."""
    file = folder / FILE
    if state is None:
        file.unlink(missing_ok=True)
        return
    content = json.dumps(state._asdict()).encode()
    if not file.exists() or file.read_bytes() != content:
        write(file, content)


def noted(folder: Path) -> State | None:
    """`noted` returns the state that is noted; it raises `StackError` where that can't be read."""
    file = folder / FILE
    try:
        return State(**json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (ValueError, TypeError):
        raise StackError(f"{file} is damaged: remove it, if this state is the newest") from None
