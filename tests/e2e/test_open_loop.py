"""`python -m bench` with an open loop, as a person runs it."""

from pathlib import Path

import orjson
import pytest
from support.bench_command import bench, recorded
from support.truth_serving import server

from bench.records.samples import read
from system.runtime.stack import Stack

ATTEMPTS_MAX = 5
"""Searches until the machine let one tell something."""
WORKLOAD = '[[request]]\noperation = "root"\npath = "/"\nexpect = [200, 503]\n'


def test_the_shop_at_a_rate(stack: Stack, tmp_path: Path) -> None:
    done = bench(
        *("run", "--quick", "--rate", "20..60", "--duration", "4", "--trace-every", "5"),
        *("--seed", "3", "--target", stack.url, "--out", str(tmp_path)),
    )
    run, folder = recorded(tmp_path, done)
    warmup, phase = run["phases"]
    assert (warmup["window"], phase["loop"]) == (None, "open")
    assert phase["window"]["open"]["scheduled"] > 100
    assert phase["window"]["requests"] == phase["window"]["answered"]
    assert not phase["window"]["failed"]
    samples = read([folder / name for each in run["phases"] for name in each["samples"]])
    entries = {entry["name"]: entry for entry in run["ledger"]["entries"]}
    sent = int((~samples.of_kind("dropped")).sum())
    assert entries["sent requests"]["total"] == entries["sent samples"]["total"] == sent
    assert all(entry["remainder"] == 0 for entry in entries.values())
    stages = orjson.loads((folder / phase["stages"]).read_bytes())
    assert stages["requests"] > 10
    assert stages["disordered"] == 0
    for operation in stages["operations"].values():
        of_stages = sum(stage["mean_ms"] for stage in operation["stages"])
        assert of_stages == pytest.approx(operation["total_ms"]["mean"], rel=0.05)
    assert (folder / "response-open.hlog").exists()
    assert (folder / "service-open.hlog").exists()
    anew = bench("report", str(folder))
    assert anew.stdout.strip() == str(folder / "report.html"), anew.stderr


def test_locust_walks_the_same_schedule(stack: Stack, tmp_path: Path) -> None:
    runs = []
    for engine in ([], ["--locust"]):
        out = tmp_path / str(len(engine))
        done = bench(
            *("run", "--quick", "--rate", "20", "--duration", "3", "--seed", "3"),
            *("--target", stack.url, "--out", str(out), *engine),
        )
        runs.append(recorded(out, done)[0])
    ours, locusts = (run["phases"][1]["window"] for run in runs)
    assert ours["open"]["scheduled"] == locusts["open"]["scheduled"] > 0
    assert locusts["requests"] == locusts["answered"]
    assert all(entry["remainder"] == 0 for entry in runs[1]["ledger"]["entries"])


def test_the_capacity_of_any_service(tmp_path: Path) -> None:
    """Answers take 400 ms and more, and 16 may be under way: some 40 requests/s can hold."""
    workload = tmp_path / "workload.toml"
    workload.write_text(WORKLOAD)
    for attempt in range(ATTEMPTS_MAX):  # a machine that is too busy ends the search, and is told
        out = tmp_path / f"out-{attempt}"
        with server() as url:
            done = bench(
                *("capacity", "--target", url, "--workload", str(workload), "--in-flight", "16"),
                *("--start", "32", "--duration", "2", "--p99-ms", "2000", "--failed-share", "0.2"),
                *("--arrivals", "constant", "--out", str(out)),
            )
        run, _ = recorded(out, done)
        if run["verdict"] != "void":
            break
    assert 8 <= run["capacity"]["knee_per_s"] <= 64
    assert any(not step["held"] for step in run["capacity"]["steps"])
    assert run["invariants"] is None
    assert [entry["remainder"] for entry in run["ledger"]["entries"]] == [0, 0]
