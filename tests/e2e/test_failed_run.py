"""A run of which nothing was answered as expected: FAILED, with an exit code of its own."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
import pytest
from support.bench_command import SOUND, bench
from support.small_server import serving

import bench.run.run as runs
from bench.api import measure
from bench.errors import BenchError, ExitCode
from bench.generator.fleet import Generators
from bench.records.run_files import read_run
from bench.run.model import System
from bench.run.run import system_under_test

WORKLOAD = '[[request]]\noperation = "root"\npath = "/"\n'


@pytest.mark.parametrize("load", [("--rate", "40"), ("--users", "2")])
def test_a_run_that_was_not_answered(tmp_path: Path, load: tuple[str, str]) -> None:
    workload, out = tmp_path / "w.toml", tmp_path / "out"
    workload.write_text(WORKLOAD)
    with serving(lambda *_: (500, b"")) as url:
        done = bench(
            *("run", "--target", url, "--workload", str(workload), "--quick", *load),
            *("--duration", "1", "--out", str(out), "--json"),
        )
    assert done.returncode == ExitCode.UNANSWERED == 5, done.stdout + done.stderr
    run = orjson.loads(done.stdout)
    assert run["verdict"] == "failed"
    assert any("500" in reason for reason in run["reasons"])
    (summary,) = out.glob("*/summary.md")
    assert "FAILED" in summary.read_text().splitlines()[0]


@pytest.mark.parametrize("engine", [(), ("--locust",)])
def test_a_request_is_given_up_when_its_time_is_over(
    tmp_path: Path, engine: tuple[str, ...]
) -> None:
    """The server's kernel takes connections and requests, and nobody answers."""
    workload, out = tmp_path / "w.toml", tmp_path / "out"
    workload.write_text("timeout_s = 0.5\n" + WORKLOAD)
    with socket.create_server(("127.0.0.1", 0), backlog=512) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        done = bench(
            *("run", "--target", url, "--workload", str(workload), "--quick", "--rate", "20"),
            *("--duration", "1", "--out", str(out), "--json", *engine),
        )
    assert done.returncode == ExitCode.UNANSWERED, done.stdout + done.stderr
    window = orjson.loads(done.stdout)["phases"][-1]["window"]
    assert window["failed"].keys() == {"timeout"}
    assert window["failed"]["timeout"] == window["requests"] > 0


def test_ctrl_c_while_the_stack_ends_loses_no_record(tmp_path: Path, monkeypatch) -> None:
    @contextmanager
    def ending_is_interrupted(*arguments: object) -> Iterator[System]:
        with system_under_test(*arguments) as system:
            yield system
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "system_under_test", ending_is_interrupted)
    workload = tmp_path / "w.toml"
    workload.write_text(WORKLOAD)
    with serving(lambda *_: (200, b"")) as url, pytest.raises(KeyboardInterrupt):
        measure(workload, url, rate=20, quick=True, duration_s=1, results=tmp_path)
    (record,) = tmp_path.glob("*/run.json")
    assert read_run(record).verdict in SOUND


@pytest.mark.parametrize(
    ("cause", "verdict"),
    [(KeyboardInterrupt(), "interrupted"), (BenchError("agent a ended"), "invalid")],
    ids=["Ctrl-C", "a generator is lost"],
)
def test_what_was_measured_is_kept_however_its_end_goes(
    tmp_path: Path, monkeypatch, cause: BaseException, verdict: str
) -> None:
    """The phase was over, and its generators were about to end: run.json did not have it."""
    stop, stopped = Generators.stop, []

    def stop_and_fail(self: Generators) -> None:
        stop(self)
        stopped.append(self)
        if len(stopped) == 2:  # the first one warmed up
            raise cause

    monkeypatch.setattr(Generators, "stop", stop_and_fail)
    workload = tmp_path / "w.toml"
    workload.write_text(WORKLOAD)
    with serving(lambda *_: (200, b"")) as url:
        run = measure(workload, url, rate=20, quick=True, duration_s=1, results=tmp_path)
    assert run.verdict == verdict
    assert [phase.name for phase in run.phases] == ["warmup", "open"]
    window = run.phases[-1].window
    assert window is not None
    assert window.answered > 0
    assert str(cause) in " ".join(run.reasons)
