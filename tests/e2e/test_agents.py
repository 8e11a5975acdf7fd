"""Generators at agents: one schedule split among them, one record; a lost one marks the run."""

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest
from support.agents import ENVIRONMENT, SECRET, agent
from support.bench_command import RUN_TIMEOUT_S, SOUND, generators, measuring, recorded
from support.truth_serving import serving

from bench.errors import RUN_EXITS, BenchError
from bench.generator.fleet import Generators
from bench.generator.spec import Load, Phase
from bench.records.samples import read
from bench.remote.agent import CONNECTIONS_MAX
from bench.remote.frames import TOKEN
from bench.workload.arrivals import Schedule, Stage, intended_ns

WORKLOAD = '[[request]]\noperation = "root"\npath = "/"\n'
RATE_PER_S = 100
LONG = ("--duration", "120")
"""It is ended long before, however slow the machine is."""
CANNED = ("bench.calibrate.bare_server", "canned")


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    path = tmp_path / "workload.toml"
    path.write_text(WORKLOAD)
    return path


def command(url: str, workload: Path, agents: Sequence[str], *more: str) -> list[str]:
    return [
        *(sys.executable, "-m", "bench", "run", "--quick", "--target", url),
        *("--workload", str(workload), "--rate", str(RATE_PER_S), "--agents", ",".join(agents)),
        *("--out", str(workload.parent / "out"), *more),
    ]


def ended(words: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        words, capture_output=True, text=True, timeout=RUN_TIMEOUT_S, env=ENVIRONMENT
    )


def test_agents_share_one_schedule(workload: Path) -> None:
    with agent() as (first, _), agent() as (second, _), serving(*CANNED) as url:
        done = ended(command(url, workload, (first, second), "--generators", "4"))
    run, folder = recorded(workload.parent / "out", done)
    _, phase = run["phases"]
    assert [each["address"] for each in phase["agents"]] == [first, second] * 2
    for each in phase["agents"]:  # all of them have this machine's own clock
        assert abs(each["offset_ms"]) <= each["error_ms"]
        assert each["drift_ms"] <= each["error_ms"]
    samples = read([folder / name for name in phase["samples"]])
    times_ns = sorted(samples.intended_ns)
    stages = (Stage(RATE_PER_S, RATE_PER_S, 1.0), Stage(RATE_PER_S, RATE_PER_S, 4.0))
    schedule = Schedule(stages)
    whole = intended_ns(schedule, run["seed"] * 1_000_000 + 64)
    assert len(times_ns) == len(whole)
    # Each generator's times are off by its own reckoning of the one clock, and no more.
    begin_ns = times_ns[0] - whole[0]
    off_ms = max(abs(a - b - begin_ns) for a, b in zip(times_ns, whole, strict=True)) / 1e6
    assert off_ms <= 4 * max(each["error_ms"] for each in phase["agents"])
    assert all(entry["remainder"] == 0 for entry in run["ledger"]["entries"])


def test_an_agents_machine_has_limits_of_its_own(workload: Path) -> None:
    """The leader's own limits are others."""
    with agent(files_max=256) as (address, _), serving(*CANNED) as url:
        done = ended(command(url, workload, (address,), "--in-flight", "300"))
    assert done.returncode == 1, done.stderr
    told = "a process may have 256 files open here, too few for 300 connections"
    assert f"at {address} ended: exit code 1: error: {told}" in done.stderr + done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("who", ["agent", "generator"])
def test_a_lost_generator_marks_the_run(workload: Path, who: str) -> None:
    with agent() as (first, process), agent() as (second, _), serving(*CANNED) as url:
        started = measuring(command(url, workload, (first, second), *LONG), ENVIRONMENT)
        if who == "agent":
            process.kill()
        else:
            (generator,) = generators(process.pid)
            generator.kill()
        _, errors = started.communicate(timeout=RUN_TIMEOUT_S)
    assert started.returncode == 1, errors
    (folder,) = (workload.parent / "out").iterdir()
    run = orjson.loads((folder / "run.json").read_bytes())
    assert run["verdict"] == "invalid"
    (reason,) = (each for each in run["reasons"] if f"at {first}" in each)
    assert ("was lost" if who == "agent" else "ended: exit code -9") in reason


def test_a_lost_leader_ends_its_generators(
    workload: Path, until: Callable[[Callable[[], object]], None]
) -> None:
    with agent() as (address, process), serving(*CANNED) as url:
        leader = measuring(command(url, workload, (address,), *LONG), ENVIRONMENT)
        (generator,) = generators(process.pid)
        leader.kill()
        leader.communicate()
        until(lambda: not generator.is_running())
        assert process.poll() is None  # for the next leader


def test_one_leader_at_a_time(workload: Path) -> None:
    """Two loads would slow each other down, and neither run would be marked."""
    with agent() as (address, _), serving(*CANNED) as url:
        first = measuring(command(url, workload, (address,), *LONG), ENVIRONMENT)
        second = ended(command(url, workload, (address,), "--seed", "2"))
        first.send_signal(signal.SIGINT)
        first.communicate(timeout=RUN_TIMEOUT_S)
        assert second.returncode == 1, second.stderr
        assert "the generators of another leader run here" in second.stderr + second.stdout
        third = ended(command(url, workload, (address,), "--seed", "3"))
    assert first.returncode == RUN_EXITS["interrupted"]
    assert third.returncode in (RUN_EXITS[verdict] for verdict in SOUND)


def test_none_sends_before_all_agents_have_accepted(
    workload: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one's generator loaded the server, for a run that there never was."""
    monkeypatch.setenv(TOKEN, SECRET)
    phase = Phase("load", 0, 1.0, 1.0, Schedule((Stage(RATE_PER_S, RATE_PER_S, 1.0),)))
    with agent() as (first, process), agent() as (second, _), serving(*CANNED) as url:
        other = measuring(command(url, workload, (second,), *LONG), ENVIRONMENT)
        load = Load(str(workload), 0.0, 2, 1, 0, agents=(first, second), files=(str(workload),))
        with pytest.raises(BenchError, match="the generators of another leader run here"):
            Generators(url, load, phase, 1, tmp_path)
        assert generators(process.pid) == []
        other.send_signal(signal.SIGINT)
        other.communicate(timeout=RUN_TIMEOUT_S)


def test_who_has_no_token_keeps_nobody_out(workload: Path) -> None:
    with agent() as (address, _), serving(*CANNED) as url, ExitStack() as open_ones:
        host, _, port = address.rpartition(":")
        for _ in range(CONNECTIONS_MAX):
            open_ones.enter_context(socket.create_connection((host, int(port))))
        done = ended(command(url, workload, (address,)))
        recorded(workload.parent / "out", done)
