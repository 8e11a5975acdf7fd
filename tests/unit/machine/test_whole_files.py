"""A reader finds the old content or the new one, whatever happens in between."""

import os
from pathlib import Path
from typing import Any, cast

import pytest

from machine import whole_files
from machine.whole_files import create, partial_of, write


def fails(*_: object) -> None:
    raise OSError("no space left")


def test_what_is_written_half_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    write(file, b"old")
    with monkeypatch.context() as patch:
        patch.setattr(cast(Any, whole_files).os, "fsync", fails)
        with pytest.raises(OSError, match="no space left"):
            write(file, b"new")
    assert file.read_bytes() == b"old"
    write(file, b"newest")
    assert file.read_bytes() == b"newest"
    assert not partial_of(file).exists()


def test_one_of_several_writers_creates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file"
    create(file, b"first")
    with pytest.raises(FileExistsError):
        create(file, b"second")
    assert file.read_bytes() == b"first"
    monkeypatch.setattr(os, "link", fails)
    with pytest.raises(OSError, match="no space left"):
        create(tmp_path / "other", b"third")
    assert [*tmp_path.iterdir()] == [file], "nothing is left beside"
