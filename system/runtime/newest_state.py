"""One of several states of the same topics is the newest: whoever goes on from another loses what
was answered since.

A stack's own Flink keeps a state in its data folder, a Flink that exists somewhere else; a
savepoint brings one to the other, and the first stays where it was.
"""

import json
from pathlib import Path

from machine.errors import StackError
from machine.whole_files import write

FILE = "newest-state.json"


def take(folder: Path, state_id: str, where: str, *, is_chosen: bool) -> None:
    """`take` notes in what is known of the topics, a `folder`, that they are handled with this
    state from now on. It raises `StackError` where they were with another one last.

    `where` it is are words for a person. A state that `is_chosen` may be another one: a person has
    named it, or there was nothing to handle yet.
    """
    file = folder / FILE
    try:
        last = json.loads(file.read_text())
        last_id, last_where = str(last["id"]), str(last["where"])
    except FileNotFoundError:
        last_id, last_where = state_id, where
    except (ValueError, TypeError, LookupError):
        raise StackError(f"{file} is damaged: remove it, if this state is the newest") from None
    if last_id != state_id and not is_chosen:
        raise StackError(
            f"the newest state of these topics is {last_where}, not {where}: go on with that one, "
            f"choose another --topic-prefix, or remove {file} where it is gone"
        )
    write(file, json.dumps({"id": state_id, "where": where}).encode())
