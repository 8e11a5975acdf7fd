"""The control workload, and the CPU clock of other processes."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.made_sets import a_run, record

from bench.observe.processes import (
    COMPACTORS,
    COMPILERS,
    Cpu,
    CpuMeter,
    cpu_s,
    open_files,
    spent,
    threads_s,
)
from bench.records.run_record import CONTROL
from bench.run import run as measured_run
from bench.run.control import control
from bench.run.settings import Settings


def test_its_figures_are_what_voids_a_pair() -> None:
    result = control()
    assert result.name == CONTROL
    assert result.state == "holds"
    run = replace(record(a_run(0, "A")), probes=[result])
    assert run.controls.keys() == {"python_us", "round_trip_us"}


def test_cpu_time_only_grows() -> None:
    before = cpu_s(os.getpid())
    control()
    assert before < cpu_s(os.getpid())


def test_a_process_that_has_ended_has_no_cpu_time() -> None:
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait()
    with pytest.raises(OSError, match="Invalid argument"):
        cpu_s(done.pid)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("C1 CompilerThread0", "compiling_s"),
        ("C2 CompilerThread1", "compiling_s"),
        ("rocksdb:low", "compacting_s"),
        ("rocksdb:high", "compacting_s"),
    ],
)
def test_what_a_thread_does_is_told_by_its_name(
    until: Callable[[Callable[[], object]], None], name: str, kind: str
) -> None:
    def work() -> None:
        Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)
        begin_s = time.thread_time()
        while time.thread_time() - begin_s < 0.05:
            pass
        worked.set()
        ended.wait()

    worked, ended = threading.Event(), threading.Event()
    thread = threading.Thread(target=work)
    meter = CpuMeter(lambda: {"kafka": [os.getpid()]})
    before = meter.read()
    thread.start()
    worked.wait()
    found = spent(before, meter.read())["kafka"]
    ended.set()
    thread.join()
    until(lambda: not Path(f"/proc/self/task/{thread.native_id}").exists())
    assert 0.05 <= getattr(found, kind) <= found.total_s
    assert found.compiling_s + found.compacting_s == getattr(found, kind), "and it alone"
    assert threads_s(os.getpid(), COMPILERS, COMPACTORS) == [0, 0]  # it has ended
    own = before["kafka"][os.getpid()]
    assert own is not None
    assert (own.compiling_s, own.compacting_s) == (0, 0)


def test_a_process_that_came_meanwhile_counts_from_its_begin() -> None:
    before = {"kafka": {1: Cpu(5.0, 2.0, 1.0)}, "flink": {}}
    after = {"kafka": {1: Cpu(6.0, 1.5, 1.5), 2: Cpu(0.5, 0.25, 0.125)}, "flink": {}}
    assert spent(before, after) == {"kafka": Cpu(1.5, 0.25, 0.625), "flink": Cpu(0, 0, 0)}


def test_files_of_a_folder_are_not_counted_unless_they_are_deleted(tmp_path: Path) -> None:
    topics = tmp_path / "topics"
    topics.mkdir()
    before = open_files(os.getpid(), topics)
    with (topics / "0.log").open("w"), (topics / "1.log").open("w"):
        assert open_files(os.getpid(), topics) == before
        assert open_files(os.getpid(), tmp_path / "elsewhere") == before + 2
        (topics / "0.log").unlink()
        assert open_files(os.getpid(), topics) == before + 1, "kept open for ever, it fills a disk"
    with (tmp_path / "topics.lock").open("w"):
        assert open_files(os.getpid(), topics) == before + 1
    with pytest.raises(OSError, match="No such file"):
        open_files(2**22 + 1, topics)


def test_what_a_process_took_that_has_ended_is_not_known() -> None:
    """A TaskManager that was started anew would leave its group the JobManager's time alone."""
    child = subprocess.Popen(["sleep", "60"])
    parts = {"flink_jobmanager": [os.getpid()], "flink_taskmanager": [child.pid]}
    whole = CpuMeter(lambda: parts)
    before = whole.read()
    assert spent(before, whole.read()).keys() == {"flink"}
    child.kill()
    child.wait()
    assert spent(before, whole.read()) == {}, "it ended in the window"
    assert spent(whole.read(), whole.read()) == {}, "it had ended before"
    parts["flink_taskmanager"] = []
    assert spent(before, whole.read()) == {}, "nobody names it any more"
    assert spent(whole.read(), whole.read()).keys() == {"flink"}


def test_any_share_of_what_is_compared_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """The comparison judges how often; any other run of a system that is up obeys its settings."""
    given: list[Settings] = []

    class Recorded:
        def __init__(self, settings: Settings, *_: object, **__: object) -> None:
            given.append(settings)

        def execute(self) -> tuple[str, Path]:
            return "the record", Path()

    monkeypatch.setattr(measured_run, "Run", Recorded)
    subject: Any = None
    assert measured_run.measure(Settings(max_failed=0.01), Path(), subject) == "the record"
    assert [settings.max_failed for settings in given] == [1.0]
