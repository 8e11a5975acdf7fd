"""`--kafka`: the same load without HTTP, every reply accounted for, and nothing left behind."""

import asyncio
import sys
from pathlib import Path

import orjson
from support.bench_command import RUN_TIMEOUT_S, bench, generators, measuring, recorded

from system.kafka_admin import kafka_admin
from system.runtime.stack import Stack


async def topics(bootstrap: str) -> set[str]:
    async with kafka_admin(bootstrap_servers=bootstrap) as admin:
        return {name for name in await admin.list_topics() if name[:2] != "__"}  # Kafka's own


async def test_records_go_straight_into_the_topics(stack: Stack, tmp_path: Path) -> None:
    before = await topics(stack.bootstrap_servers)
    done = bench(
        *("run", "--quick", "--rate", "40", "--seed", "3", "--generators", "2"),
        *("--target", stack.url, "--kafka", stack.bootstrap_servers, "--record-bytes", "3000"),
        *("--out", str(tmp_path)),
    )
    run, _ = recorded(tmp_path, done)
    window = run["phases"][1]["window"]
    assert run["settings"]["kafka"] == stack.bootstrap_servers
    assert window["open"]["scheduled"] > 100
    assert window["requests"] == window["answered"] > window["open"]["scheduled"] / 2
    assert "index" not in window["operations"]  # the gateway's own
    assert window["operations"].keys() > {"find_user", "add_item", "checkout"}
    entries = {entry["name"]: entry for entry in run["ledger"]["entries"]}
    assert all(entry["remainder"] == 0 for entry in entries.values())
    sent = entries["sent requests"]["total"]
    assert entries["matched replies from Kafka"]["total"] == sent > 0
    assert entries["records of the gateway"]["total"] == 0
    assert window["per_request"]["kafka_records"] >= 2
    assert window["per_request"]["kafka_bytes"] > run["settings"]["record_bytes"] == 3000
    assert await topics(stack.bootstrap_servers) == before


def test_a_run_that_is_cut_short_leaves_no_topic_of_who_lives(stack: Stack, tmp_path: Path) -> None:
    """The first generator is killed, and can't tidy up; the second one ends with the run."""
    before = asyncio.run(topics(stack.bootstrap_servers))
    command = [
        *(sys.executable, "-m", "bench", "run", "--quick", "--rate", "40", "--generators", "2"),
        *("--target", stack.url, "--kafka", stack.bootstrap_servers, "--out", str(tmp_path)),
        *("--duration", "120"),
    ]
    with measuring(command) as started:
        two = generators(started.pid)
        assert len(asyncio.run(topics(stack.bootstrap_servers)) - before) == len(two) == 2
        two[0].kill()
        started.communicate(timeout=RUN_TIMEOUT_S)
    (folder,) = tmp_path.iterdir()
    assert orjson.loads((folder / "run.json").read_bytes())["verdict"] == "invalid"
    assert len(asyncio.run(topics(stack.bootstrap_servers)) - before) == 1
