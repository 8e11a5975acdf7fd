"""Which of several states of the same topics is the newest, and who may go on from another."""

from pathlib import Path

import pytest

from machine.errors import StackError
from system.runtime.newest_state import FILE, GUEST, JOB_FILE, State, check, note, noted

OWN = State("a", "that in /a")


def refusal(last: State, *files: Path) -> str:
    named = " and ".join(map(str, files))
    return (
        f"the newest state of these topics is {last.where}, not that in /a: go on with that one, "
        f"choose another --topic-prefix, or, where it is gone, remove {named}"
    )


def test_an_older_state_is_not_gone_on_from(tmp_path: Path) -> None:
    check(tmp_path, OWN)
    assert noted(tmp_path) is None
    note(tmp_path, OWN)
    assert noted(tmp_path) == OWN
    check(tmp_path, OWN)
    note(tmp_path, GUEST)
    with pytest.raises(StackError) as refused:
        check(tmp_path, OWN)
    assert str(refused.value) == refusal(GUEST, tmp_path / FILE)
    check(tmp_path, GUEST._replace(where="elsewhere"))
    (tmp_path / JOB_FILE).touch()
    with pytest.raises(StackError) as refused:
        check(tmp_path, OWN)
    files = tmp_path / FILE, tmp_path / JOB_FILE
    assert str(refused.value) == refusal(GUEST, *files)
    for file in files:
        file.unlink()
    check(tmp_path, OWN)


def test_a_job_that_an_older_version_knew_has_the_newest_state(tmp_path: Path) -> None:
    (tmp_path / JOB_FILE).touch()
    check(tmp_path, GUEST)
    with pytest.raises(StackError) as refused:
        check(tmp_path, OWN)
    assert str(refused.value) == refusal(GUEST, tmp_path / JOB_FILE)
    note(tmp_path, OWN)
    check(tmp_path, OWN)


@pytest.mark.parametrize("content", ["", "[]", '{"state_id": "a"}', "{"])
def test_a_note_that_was_changed(tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    with pytest.raises(StackError, match=r"newest-state.json is damaged: remove it, if this"):
        check(tmp_path, OWN)
