"""A short campaign: parts are killed, one is paused, poison and replays come, under one load."""

from pathlib import Path

import orjson
from support.bench_command import bench

from bench.judge.reply_contract import EXPIRED
from bench.records.request_log import History
from bench.stats.window import is_answered

FAULTS = (
    *("kill-gateway", "kill-taskmanager", "kill-jobmanager"),
    "kill-broker-at-checkpoint",
    *("poison", "replay-at-once", "pause-taskmanager-15"),
)
"""The pause is longer than a gateway waits for a reply: there are writes to be sent again, however
soon a machine is back after a kill."""
SEED = "167"
"""With it records come first, and the pause before the kills."""
TIMED = ("an answer took", "the throughput did not come back")
"""How quick all is depends on the machine, and is for the campaign to say, not for a test."""


def test_faults_bite_and_break_no_promise(tmp_path: Path) -> None:
    load = ("--rate", "40", "--minutes", "1.2", "--every", "10", "--seed", SEED)
    done = bench("soak", *FAULTS, *load, "--json", "--out", str(tmp_path))
    assert done.stdout, done.stderr
    soaked = orjson.loads(done.stdout)
    found = soaked["found"]
    assert [line for line in found["broken"] if not line.startswith(TIMED)] == [], done.stderr
    assert found["violations"] == 0
    assert found["checkouts"] > 0
    assert found["resent"] > 0
    bitten = dict(line.split(": ", 1) for line in soaked["faults"])
    assert bitten.keys() == set(FAULTS)
    assert all(bitten.values())
    assert "gateway" in bitten["kill-gateway"]
    assert all(grown["share"] is None for grown in soaked["grown"])  # too short to tell
    assert done.returncode == (1 if found["broken"] else 4)

    (folder,) = tmp_path.iterdir()
    rows = [*History([folder / "resends.jsonl"])]
    answered = {row.key: row.code for row in rows if is_answered(row)}
    assert answered.keys() == {row.key for row in rows}
    assert found["resent"] == sum(code != EXPIRED for code in answered.values())
    assert orjson.loads((folder / "soak.json").read_bytes()) == soaked
    series = orjson.loads((folder / "series-open.json").read_bytes())
    injected = {each["text"] for each in series["events"] if each["kind"] == "fault"}
    assert {f"injected: {name}" for name in FAULTS} <= injected
    for name in (
        "files.kafka",
        "files.supervisor",
        "rss_mib.supervisor",
        "disk_mib.requests",
        "disk_mib.replies",
        "disk_mib.checkpoints",
        "heap_mib.kafka",
    ):
        assert any(series["series"][name]), name
    page = (folder / "report.html").read_text()
    assert "injected: kill-broker-at-checkpoint" in page
    assert "Open files" in page
