"""Which of several states of the same topics is the newest, and who may go on from another."""

from pathlib import Path

import pytest

from machine.errors import StackError
from system.runtime.newest_state import FILE, take


def test_an_older_state_is_not_gone_on_from(tmp_path: Path) -> None:
    take(tmp_path, "a", "that in /a", is_chosen=False)
    take(tmp_path, "a", "that in /a", is_chosen=False)
    take(tmp_path, "guest", "that of the job", is_chosen=True)
    with pytest.raises(StackError) as refused:
        take(tmp_path, "a", "that in /a", is_chosen=False)
    assert str(refused.value) == (
        "the newest state of these topics is that of the job, not that in /a: go on with that one, "
        f"choose another --topic-prefix, or remove {tmp_path / FILE} where it is gone"
    )
    take(tmp_path, "guest", "that of another job", is_chosen=False)
    (tmp_path / FILE).unlink()
    take(tmp_path, "a", "that in /a", is_chosen=False)


@pytest.mark.parametrize("content", ["", "[]", '{"id": "a"}', "{"])
def test_a_note_that_was_changed(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(StackError, match=r"newest-state.json is damaged: remove it, if this"):
        take(tmp_path, "a", "that in /a", is_chosen=False)
