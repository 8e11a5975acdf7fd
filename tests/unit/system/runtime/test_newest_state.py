"""Which of several states of the same topics is the newest, and who may go on from another."""

from pathlib import Path

import pytest

from machine.errors import StackError
from system.runtime.newest_state import FILE, GUEST, JOB_FILE, State, check, note

OWN = State("a", "that in /a")


def refusal(last: State, state: State, file: Path) -> str:
    return (
        f"the newest state of these topics is {last.where}, not {state.where}: go on with that "
        f"one, choose another --topic-prefix, or remove {file} where it is gone"
    )


def test_an_older_state_is_not_gone_on_from(tmp_path: Path) -> None:
    check(tmp_path, OWN)
    assert note(tmp_path, OWN) is None
    check(tmp_path, OWN)
    assert note(tmp_path, GUEST) == OWN
    with pytest.raises(StackError) as refused:
        check(tmp_path, OWN)
    assert str(refused.value) == refusal(GUEST, OWN, tmp_path / FILE)
    check(tmp_path, GUEST._replace(where="elsewhere"))
    assert note(tmp_path, None) == GUEST
    check(tmp_path, OWN)


def test_a_job_that_an_older_version_knew_has_the_newest_state(tmp_path: Path) -> None:
    (tmp_path / JOB_FILE).touch()
    check(tmp_path, GUEST)
    with pytest.raises(StackError) as refused:
        check(tmp_path, OWN)
    assert str(refused.value) == refusal(GUEST, OWN, tmp_path / JOB_FILE)
    note(tmp_path, OWN)
    check(tmp_path, OWN)


@pytest.mark.parametrize("content", ["", "[]", '{"state_id": "a"}', "{"])
def test_a_note_that_was_changed(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(StackError, match=r"newest-state.json is damaged: remove it, if this"):
        check(tmp_path, OWN)
