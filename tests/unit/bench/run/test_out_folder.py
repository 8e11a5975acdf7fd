"""Where runs are recorded: noticed before anything starts, and before the disk is full."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench.errors import BenchError
from bench.run import out_folder
from bench.run.out_folder import FREE_BYTES_MIN, check_space, prepare


def test_a_new_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    prepare(tmp_path / "new" / "results")
    assert list((tmp_path / "new" / "results").iterdir()) == []


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(BenchError, match=r"cannot write to .*file: .*; name another .* --out"):
        prepare(tmp_path / "file")


@pytest.mark.parametrize("missing", [0, 1])
def test_a_disk_at_its_limit(tmp_path: Path, monkeypatch, missing: int) -> None:
    def nearly_full(_: Path) -> SimpleNamespace:
        return SimpleNamespace(f_bavail=FREE_BYTES_MIN - missing, f_frsize=1)

    monkeypatch.setattr(out_folder, "os", SimpleNamespace(statvfs=nearly_full))
    if not missing:
        check_space(tmp_path)
        return
    with pytest.raises(BenchError, match=r"the disk of .* is full: 64 MiB are free"):
        check_space(tmp_path)


def test_a_real_disk_has_space(tmp_path: Path) -> None:
    assert os.statvfs(tmp_path).f_bavail
    check_space(tmp_path)
