"""How the command ``scaling`` ends."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.made_run import made_run

from bench.cli import costs
from bench.cli.main import call
from bench.errors import ExitCode
from bench.records.run_files import read_run
from bench.records.run_record import InvariantsRecord, RunRecord, Verdict
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

    def measure(found: Any, *rest: Any) -> Any:
        with rest[3](StackOptions()) as site:
            assert site.run(rest[2]) == (run, tmp_path)
        return found

    made = SimpleNamespace(execute=lambda: (run, tmp_path))
    monkeypatch.setattr(costs, "own_stack", own_stack)
    monkeypatch.setattr(costs, "Run", lambda *_, **__: made)
    monkeypatch.setattr(costs, "measure", measure)
    assert call(["scaling", "--axes", "base", "--out", str(tmp_path / "out")]) == exit_code


def test_one_folder_has_one_study_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock(tmp_path / costs.LOCK, wait=False):
        assert call(["scaling", "--out", str(tmp_path)]) == ExitCode.USAGE
    assert f"another study writes {tmp_path}: choose another --out" in capsys.readouterr().err
