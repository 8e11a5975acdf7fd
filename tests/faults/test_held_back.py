"""A generator that is held back to half of its rate: the run is VOID, and says why, and so is a
search for the capacity."""

import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import orjson
import psutil
from support.bench_command import RUN_TIMEOUT_S
from support.truth_serving import server

from bench.run.capacity import UNKNOWN_MAX

HALF_S = 0.3
"""It may run for so long, then it is stopped for as long."""
WORKLOAD = '[[request]]\noperation = "root"\npath = "/"\nexpect = [200, 503]\n'


def generators(parent: int) -> list[psutil.Process]:
    found = []
    for process in psutil.Process(parent).children(recursive=True):
        try:
            if "bench.generator.process" in process.cmdline():
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def hold_back(parent: int, ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            held = generators(parent)
            for process in held:
                process.suspend()
            ended.wait(HALF_S)
            for process in held:
                process.resume()
        except psutil.NoSuchProcess:
            pass
        ended.wait(HALF_S)


def held_back(folder: Path, *arguments: str) -> tuple[bytes, Any]:
    """What the bench told, and the record, of a load whose generators are held back."""
    workload = folder / "workload.toml"
    workload.write_text(WORKLOAD)
    out = folder / "out"
    with server() as url:
        command = [
            *(sys.executable, "-m", "bench", *arguments),
            *("--target", url, "--workload", str(workload), "--out", str(out)),
        ]
        ended = threading.Event()
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            holding = threading.Thread(target=hold_back, args=(process.pid, ended))
            holding.start()
            try:
                told, _ = process.communicate(timeout=RUN_TIMEOUT_S)
            finally:
                ended.set()
                holding.join()
                process.kill()
    assert process.returncode == 4
    (found,) = out.iterdir()
    return told, orjson.loads((found / "run.json").read_bytes())


def test_a_run_whose_generator_is_held_back_is_void(tmp_path: Path) -> None:
    told, run = held_back(tmp_path, "run", "--duration", "12", "--rate", "300")
    assert b"VOID" in told
    assert run["verdict"] == "void"
    window = run["phases"][1]["window"]
    assert window["open"]["achieved_ratio"] < 0.9
    assert any("late at p99" in reason for reason in run["reasons"]), run["reasons"]
    assert any("were not sent, because the generator was late" in reason
               for reason in run["reasons"]), run["reasons"]  # fmt: skip


def test_a_search_whose_generator_is_held_back_knows_of_no_rate(tmp_path: Path) -> None:
    """What it offers is another load than the rate's: whether that holds is no matter."""
    told, run = held_back(tmp_path, "capacity", "--duration", "5", "--start", "300")
    assert b"CAN'T TELL" in told
    assert b"nobody can tell whether a rate holds" in told
    assert run["verdict"] == "void"
    assert any("late at p99" in reason for reason in run["reasons"]), run["reasons"]
    assert run["capacity"]["knee_per_s"] is None
    tried = [(step["rate_per_s"], step["unknown"]) for step in run["capacity"]["steps"]]
    assert tried == [(300.0, True)] * UNKNOWN_MAX
