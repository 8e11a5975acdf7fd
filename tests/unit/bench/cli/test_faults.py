"""What the command says of wrong usage, before anything starts."""

from pathlib import Path

import pytest

from bench.cli.main import call
from bench.errors import ExitCode


def test_a_page_without_a_place_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    for text, told in (("# A\n", "no place between"), (None, "No such file")):
        page.unlink(missing_ok=True)
        if text is not None:
            page.write_text(text)
        code = call(["faults", "poison", "--doc", str(page), "--out", str(tmp_path / "out")])
        assert code == ExitCode.USAGE
        assert told in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_fault_that_lasts_too_long_is_refused(tmp_path: Path) -> None:
    arguments = ["faults", "pause-broker-150", "--duration", "600", "--out", str(tmp_path)]
    assert call(arguments) == ExitCode.USAGE


def test_a_last_seed_beyond_all_is_refused(tmp_path: Path) -> None:
    arguments = ["faults", "--seed", str(2**31 - 1), "--seeds", "2", "--out", str(tmp_path)]
    assert call(arguments) == ExitCode.USAGE


def test_an_unknown_fault_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        call(["faults", "kill-everything"])
    assert ended.value.code == ExitCode.USAGE
    assert "kill-broker" in capsys.readouterr().err
