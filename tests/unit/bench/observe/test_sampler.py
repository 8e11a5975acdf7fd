"""Sampling processes and sources that come, go and fail."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_server import flink as flink_answers
from support.small_server import metrics, serving
from support.watched_sampler import watch

from bench.observe import flink, sampler
from bench.observe.processes import Usage, UsageMeter
from bench.observe.sampler import MEBIBYTE, Sampler, outages, usage_series
from bench.records.series import Event

MS = 1_000_000

# ---- processes


def usage(cpu_s: float) -> Usage:
    return Usage(cpu_s, 10 * MEBIBYTE)


def test_what_groups_used() -> None:
    before = {
        "flink_jobmanager": {1: usage(5)},
        "flink_taskmanager": {2: usage(7)},
        "gateway": {3: usage(1)},
        "kafka": {4: usage(9)},
    }
    after = {
        "flink_jobmanager": {1: usage(5.5)},
        "flink_taskmanager": {2: usage(8)},
        "gateway": {3: usage(1.5), 5: usage(30)},
        "kafka": {},
    }
    found = usage_series(before, after, elapsed_s=2)
    assert found == {
        "cpu.flink": 0.75,
        "part.cpu.flink_jobmanager": 0.25,
        "part.cpu.flink_taskmanager": 0.5,
        "rss_mib.flink": 20,
        "part.rss_mib.flink_jobmanager": 10,
        "part.rss_mib.flink_taskmanager": 10,
        "cpu.gateway": 0.25,  # the new process counts from the next sample on
        "rss_mib.gateway": 20,
    }


@given(
    st.dictionaries(st.integers(1, 9), st.floats(0, 1e6)),
    st.dictionaries(st.integers(1, 9), st.floats(0, 1e6)),
)
def test_a_group_never_uses_less_than_nothing(before, after) -> None:
    """Not even where a process id was given to another process."""
    used = [{"kafka": {pid: usage(cpu_s) for pid, cpu_s in r.items()}} for r in (before, after)]
    found = usage_series(*used, elapsed_s=1)
    assert found.get("cpu.kafka", 0) >= 0
    assert ("cpu.kafka" in found) == bool(before.keys() & after.keys())


@pytest.fixture
def child() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def test_a_killed_process_is_not_there(child: "subprocess.Popen[bytes]") -> None:
    pids = {"kafka": [child.pid], "generator": [os.getpid()]}
    meter = UsageMeter(lambda: pids)
    first = meter.read()
    assert first["kafka"][child.pid].rss_bytes > 0
    assert first["generator"][os.getpid()].cpu_s > 0
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # dead, and still in the table
    assert meter.read()["kafka"] == {}
    child.wait()
    del pids["kafka"]
    assert meter.read()["kafka"] == {}


def test_a_process_that_takes_the_place_of_another_is_seen_at_once(
    child: "subprocess.Popen[bytes]",
) -> None:
    asked = []

    def pids() -> dict[str, list[int]]:
        asked.append(True)
        return {"kafka": [child.pid] if len(asked) == 1 else [os.getpid()]}

    meter = UsageMeter(pids)
    assert meter.read()["kafka"].keys() == meter.read()["kafka"].keys() == {child.pid}
    assert len(asked) == 1, "asking costs more than all else"
    child.kill()
    child.wait()
    assert meter.read()["kafka"].keys() == {os.getpid()}


def test_outages() -> None:
    def parts(**pids: int) -> dict[str, frozenset[int]]:
        return {part: frozenset([pid] if pid else []) for part, pid in pids.items()}

    present = [
        (0, parts(kafka=1, gateway=2, generator=3)),
        (5 * MS, parts(kafka=0, gateway=2, generator=0)),
        (8 * MS, parts(kafka=4, gateway=5, generator=0)),
        (9 * MS, parts(kafka=4, gateway=0, generator=6)),
    ]
    assert outages(present, 11 * MS) == [
        Event("fault", 5 * MS, 3.0, "kafka ended, and was started"),
        Event("fault", 8 * MS, 0.0, "gateway was replaced"),
        Event("fault", 9 * MS, 2.0, "gateway ended"),
    ]
    assert outages(present[:1], 11 * MS) == []


# ---- all together

NOWHERE = "127.0.0.1:9"


@pytest.fixture
def quick(monkeypatch) -> None:
    """Answers come from a thread of this very process, however long it stands still."""
    monkeypatch.setattr(sampler, "INTERVAL_S", 0.001)
    monkeypatch.setattr("bench.observe.gateway.GAUGE_TIMEOUT_S", 60.0)
    monkeypatch.setattr(flink, "TIMEOUT_S", 60.0)


@pytest.mark.usefixtures("quick")
def test_sources_that_do_not_answer_leave_the_rest(until, tmp_path: Path) -> None:
    pids, logs = {"generator": [os.getpid()]}, {"kafka": tmp_path / "gc.log"}
    running = Sampler([f"http://{NOWHERE}"], 1, lambda: pids, NOWHERE, logs, NOWHERE)
    watched = watch(running)
    running.start()
    until(lambda: "cpu.generator" in watched.latest)
    sampled = running.stop()
    assert {event.kind for event in sampled.events} == {"fault"}
    told = sorted(event.text.partition(" readings of ")[2] for event in sampled.events)
    assert [text.partition(" failed, the first: ")[0] for text in told] == ["Flink", "the gateway"]
    assert all(event.duration_ms > 0 for event in sampled.events)
    assert sampled.series["rss_mib.generator"][-1] > 1
    assert sampled.series["cpu.generator"][0] is None
    kinds = {name.partition(".")[0] for name in sampled.series}
    assert kinds <= {"cpu", "rss_mib", "host"}


@pytest.mark.usefixtures("quick")
def test_all_sources_on_one_time_axis(until, tmp_path: Path, monkeypatch) -> None:
    no_distance = SimpleNamespace(time_ns=lambda: 0, monotonic_ns=lambda: 0)
    monkeypatch.setattr(flink, "time", no_distance)
    clock_ns = count(2900 * MS, 10 * MS).__next__
    clock = SimpleNamespace(monotonic=time.monotonic, monotonic_ns=clock_ns)
    monkeypatch.setattr(sampler, "time", clock)
    (tmp_path / "gc.log").write_bytes(
        b"[2950000000ns] GC(1) Pause Remark 9M->9M(9M) 5.000ms\n"
        b"[1000000000ns] GC(0) Pause Remark 9M->9M(9M) 5.000ms\n"
    )
    gateway = serving(lambda path, _: (200, metrics("a", 3)))
    with gateway as url, serving(flink_answers([])) as rest:
        logs = {"kafka": tmp_path / "gc.log"}
        running = Sampler([url], 1, dict, rest.removeprefix("http://"), logs)
        running.start()
        until(lambda: len(running._columns.at_ns) >= 20)
        sampled = running.stop()
    assert sampled.known("in_flight", 0, 2**62) == [3] * len(sampled.at_ns)
    assert sampled.series["lag.user_in"][1:] == [7] * (len(sampled.at_ns) - 1)
    seen = [(event.kind, event.at_ns // MS) for event in sampled.events]
    # The fault and the restart had begun before, and ended in the time that was sampled.
    expected = [("fault", 1200), ("rebalance", 1500), ("gc", 2945), ("checkpoint", 3000)]
    assert seen == expected


@pytest.mark.usefixtures("quick")
def test_a_series_has_an_end(until, monkeypatch) -> None:
    monkeypatch.setattr(sampler, "SERIES_MAX", 5)
    running = Sampler((), 1, dict)
    running.start()
    until(lambda: not running._thread.is_alive())
    assert len(running.stop().at_ns) == 5


def test_a_sampler_that_is_stopped_at_once_has_a_sample() -> None:
    running = Sampler((), 1, dict)
    running.start()
    assert running.stop().at_ns


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("samples", [0, 3])
def test_a_sampler_that_dies_says_so_and_covers_no_more(until, monkeypatch, samples) -> None:
    running = Sampler((), 1, dict)
    left = iter(range(samples))
    read = running._host.read

    def failing() -> dict[str, float]:
        if next(left, None) is None:
            raise KeyError("cpu")
        return read()

    monkeypatch.setattr(running._host, "read", failing)
    running.start()
    until(lambda: not running._thread.is_alive())
    sampled = running.stop()
    assert len(sampled.at_ns) == samples
    (event,) = sampled.events
    assert (event.kind, event.text) == ("fault", "the sampler ended: KeyError: 'cpu'")
