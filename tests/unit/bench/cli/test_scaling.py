"""How the command ``scaling`` ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.made_run import made_run
from support.made_study import point

from bench.cli import costs
from bench.cli.main import call
from bench.errors import ExitCode
from bench.records.run_files import read_run
from bench.records.run_record import InvariantsRecord, RunRecord, Verdict
from bench.scaling.study import Walk
from machine.cache import lock
from system.runtime.options import StackOptions


def broken(run: RunRecord) -> RunRecord:
    return replace(run, invariants=InvariantsRecord({"money": 1}, [], 10, {}))


@pytest.mark.parametrize(
    ("verdict", "change", "exit_code"),
    [
        ("valid", replace, ExitCode.VOID),  # all other points are missing
        ("void", replace, ExitCode.VOID),
        ("failed", replace, ExitCode.UNANSWERED),
        ("failed", broken, ExitCode.FAILED),
        ("invalid", replace, ExitCode.FAILED),
    ],
)
def test_a_promise_that_is_broken_is_no_busy_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, verdict: Verdict,
    change: Callable[[RunRecord], RunRecord], exit_code: ExitCode,
) -> None:  # fmt: skip
    run = change(replace(read_run(made_run(tmp_path / "made", parts=())), verdict=verdict))

    @contextmanager
    def own_stack(*_: object) -> Iterator[Any]:
        yield SimpleNamespace()

    def measured(walk: Walk, *_: object) -> None:
        with walk._bring(StackOptions()) as site:
            assert site.run(walk._settings) == (run, tmp_path)

    made = SimpleNamespace(execute=lambda: (run, tmp_path))
    monkeypatch.setattr(costs, "own_stack", own_stack)
    monkeypatch.setattr(costs, "Run", lambda *_, **__: made)
    monkeypatch.setattr(Walk, "axes", measured)
    monkeypatch.setattr(Walk, "machine", measured)
    for what in ("--axes=rate", "--machine=gateways=2"):
        assert call(["scaling", what, "--out", str(tmp_path / "out")]) == exit_code


def test_ctrl_c_keeps_the_table_of_what_was_measured(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def ended(walk: Walk, *_: object) -> None:
        walk.study = replace(walk.study, points=[point("gateways", 2.0)])
        raise KeyboardInterrupt

    monkeypatch.setattr(Walk, "axes", ended)
    assert call(["scaling", "--out", str(tmp_path)]) == ExitCode.INTERRUPTED
    assert "| 2 | 3 | 1.00 (1.00 to 1.00) |" in (tmp_path / costs.TABLE).read_text()


def test_axes_and_a_machine_are_two_calls(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=str(ExitCode.USAGE.value)):
        call(["scaling", "--axes", "rate", "--machine", "gateways=2"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_one_folder_has_one_study_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock(tmp_path / costs.LOCK, wait=False):
        assert call(["scaling", "--out", str(tmp_path)]) == ExitCode.USAGE
    assert f"another study writes {tmp_path}: choose another --out" in capsys.readouterr().err
