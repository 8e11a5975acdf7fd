"""The line of progress."""

import numpy as np
import pytest

from bench.generator.spec import Phase
from bench.records.samples import Samples
from bench.run import phase_runner
from bench.run.phase_runner import Live

MS = 1_000_000


def samples(*outcomes: str) -> Samples:
    names = sorted(set(outcomes))
    index = np.array([names.index(name) for name in outcomes], dtype=np.int64)
    zeros = np.zeros(len(outcomes), dtype=np.int64)
    return Samples(["a"], names, zeros, index, zeros, zeros, zeros + 5 * MS)


def test_a_line_of_progress_names_the_most_frequent_failure(monkeypatch) -> None:
    lines: list[str] = []
    live = Live(Phase("open", 0, 0.0, 9.0), lines.append)
    live.see(samples("200", "timeout"), "measure", 7)
    assert lines == []
    monkeypatch.setattr(phase_runner, "PROGRESS_INTERVAL_S", 0.0)
    live.see(samples("200", "unexpected 500", "unexpected 500", "404"), "measure", 7)
    live.see(samples("timeout"), "measure", None)
    first, second = lines
    assert "p50 5.0 ms  p99 5.0 ms  in flight 7  failed 3 (unexpected 500)" in first
    assert "no reply  failed 1 (timeout)" in second
    assert "in flight" not in second


def test_a_line_of_progress_says_how_much_of_a_stage_is_over(monkeypatch) -> None:
    monkeypatch.setattr(phase_runner, "PROGRESS_INTERVAL_S", 0.0)
    now_s = 100.0
    monkeypatch.setattr(phase_runner.time, "monotonic", lambda: now_s)
    lines: list[str] = []
    live = Live(Phase("open", 0, 3.0, 9.0), lines.append)
    for stage in ("prepare", "warm up", "warm up", "measure", "measure"):
        now_s += 2.0
        live.see(samples("200"), stage, 0)
    spent = ["prepare 0 s", "warm up 0/3 s", "warm up 2/3 s", "measure 0/9 s", "measure 2/9 s"]
    for line, expected in zip(lines, spent, strict=True):
        assert " ".join(line.split()).startswith(f"open {expected} ")
    live = Live(Phase("warmup", 0, 120.0, 0.0), lines.append)
    now_s += 2.0
    live.see(samples("200"), "warm up", 0)
    assert " ".join(lines[-1].split()).startswith("warmup warm up 0 of at most 120 s ")


@pytest.mark.parametrize("kind", ["200", "404"])
def test_nothing_failed(kind: str, monkeypatch) -> None:
    monkeypatch.setattr(phase_runner, "PROGRESS_INTERVAL_S", 0.0)
    lines: list[str] = []
    Live(Phase("open", 0, 0.0, 9.0), lines.append).see(samples(kind), "measure", 0)
    assert lines[0].endswith("in flight 0  failed 0")
