"""Faults as the command puts them in, each on a stack of its own: they bite, nothing breaks."""

from pathlib import Path

import orjson
import pytest
from support.bench_command import bench

TIMED = ("an answer took", "the throughput did not come back")
"""How quick all is depends on the machine, and is for the campaign to say, not for a test."""


@pytest.mark.parametrize("name", ["kill-broker", "poison", "replay-at-once"])
def test_a_fault_bites_and_breaks_no_promise(tmp_path: Path, name: str) -> None:
    done = bench("faults", name, "--rate", "40", "--json", "--out", str(tmp_path))
    assert done.stdout, done.stderr
    (found,) = orjson.loads(done.stdout)
    assert found["proof"], done.stderr
    assert found["violations"] == 0
    broken = [reason for reason in found["broken"] if not reason.startswith(TIMED)]
    assert broken == []
    assert done.returncode == (1 if found["broken"] else 0)
    (folder,) = tmp_path.iterdir()
    assert orjson.loads((folder / "fault.json").read_bytes()) == found
    series = orjson.loads((folder / "series-open.json").read_bytes())
    (event,) = [each for each in series["events"] if each["text"] == f"injected: {name}"]
    assert event["kind"] == "fault"
    assert event["duration_ms"] == pytest.approx(found["span_s"] * 1e3)
    assert f"injected: {name}" in (folder / "report.html").read_text()
