"""A run of which nothing was answered as expected: FAILED, with an exit code of its own."""

from pathlib import Path

import orjson
import pytest
from support.bench_command import bench
from support.small_server import serving

from bench.errors import ExitCode

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
