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
from bench.run.model import Subject, System
from bench.run.settings import Settings
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
        yield System("http://127.0.0.1:1", dict, lambda: None)

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
        walk.study = replace(walk.study, points=[point("gateways", 2.0, (1.0,) * 4)])
        raise KeyboardInterrupt

    monkeypatch.setattr(Walk, "axes", ended)
    assert call(["scaling", "--out", str(tmp_path)]) == ExitCode.INTERRUPTED
    assert "| 2 | 4 of 4 | 1.00 (1.00 to 1.00) |" in (tmp_path / costs.TABLE).read_text()


def test_each_axis_of_two_points_is_drawn(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = [point("gateways", value, (1.0, 2.0)) for value in (1.0, 2.0)]

    def measured(walk: Walk, *_: object) -> None:
        walk.study = replace(walk.study, points=[*points, point("partitions", 4.0, (1.0, 1.0))])
        walk.left_out.append("taskmanagers: no room")

    monkeypatch.setattr(Walk, "axes", measured)
    words = ("scaling", "--pairs", "2", "--axes", "gateways", "--out", str(tmp_path))
    assert call(words) == ExitCode.STACK_FAILED
    drawn = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert drawn == ["gateways-dark.svg", "gateways-light.svg"]
    assert "left out: taskmanagers: no room\ngateways 3: not sound" in capsys.readouterr().out


def test_a_stack_warms_up_once_and_again_after_a_fill(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Both of a pair: one has worked meanwhile, and the other has not."""
    begun: list[tuple[float, int, list[int]]] = []
    run = replace(read_run(made_run(tmp_path / "made", parts=())), verdict="valid")
    pids = iter(range(1, 10))

    @contextmanager
    def own_stack(*_: object) -> Iterator[System]:
        own = {"kafka": [next(pids)]}
        yield System("http://127.0.0.1:1", lambda: own, lambda: None, "127.0.0.1:2")

    def made(settings: Settings, *_: object, subject: Subject) -> SimpleNamespace:
        begun.append((settings.first_warmup_s, settings.workers, [*subject.system.beside()]))
        return SimpleNamespace(execute=lambda: (run, tmp_path))

    async def make_entities(*_: object) -> None: ...

    def measured(walk: Walk, *_: object) -> None:
        with walk._bring(StackOptions()) as base:
            base.run(walk._settings)
            with walk._bring(StackOptions(workers=3)) as own:
                for _ in range(2):
                    for site in (base, own, base):
                        site.run(walk._settings)
                    own.fill(range(5))

    monkeypatch.setattr(costs, "own_stack", own_stack)
    monkeypatch.setattr(costs, "Run", made)
    monkeypatch.setattr(costs, "make_entities", make_entities)
    monkeypatch.setattr(Walk, "axes", measured)
    assert call(["scaling", "--axes=rate", "--out", str(tmp_path / "out")]) == ExitCode.VOID
    warm, alone, pair = costs.FIRST_WARMUP_S, [(60.0, 1, [])], [(1, [2]), (3, [1]), (1, [2])]
    assert begun == [
        *alone,
        *((each, *rest) for each, rest in zip((0.0, warm, 0.0), pair, strict=True)),
        *((each, *rest) for each, rest in zip((warm, warm, 0.0), pair, strict=True)),
    ]


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
