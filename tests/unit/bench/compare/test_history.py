"""Metrics over commits, and their change points."""

import re
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.compared import BUDGETS
from support.made_sets import Change, Run, a_run, cpu, environment, latency, verdict, write_set

from bench.cli.main import call
from bench.compare.history import COMMITS_MIN, Series, find_shifts, read_history
from bench.compare.metric import Metric
from bench.compare.run_pairs import UnfitError
from bench.report.history_page import describe, page

CPU = Metric("open gateway CPU", "cpu.gateway", "µs/request")
RATE = Metric("throughput", "throughput", "requests/s", is_lower_better=False)
FAILED = Metric("open failed", "failed", "of requests", scale="difference")
LIMIT = CPU.limit(0.05)


def of_commit(name: str) -> Change:
    return lambda run: run.update(commit={"id": name, "dirty": False})


def commits(factors: list[float], runs: int = 2) -> list[Run]:
    """Runs of one commit after the other, each with its factor of the gateway's CPU time."""
    return [
        a_run(runs * place + number, "A", of_commit(f"commit{place:02}"), cpu("gateway", factor))
        for place, factor in enumerate(factors)
        for number in range(runs)
    ]


def series_of(folder: Path, name: str = "open gateway CPU") -> Series:
    found = read_history(folder, BUDGETS)
    return next(series for series in found.series if series.metric.name == name)


# ---- change points


def levels(random: np.random.Generator, *parts: tuple[int, float], noise: float) -> list[float]:
    """(commits, level) one after the other, with heavy-tailed noise."""
    values = np.concatenate([np.full(length, level) for length, level in parts])
    return list(values * np.exp(noise * random.standard_t(3, len(values)) / 3**0.5))


def test_a_step_is_found_where_it_is() -> None:
    random, right = np.random.default_rng(1), 0
    for _ in range(200):
        found = find_shifts(levels(random, (25, 100), (15, 110), noise=0.02), CPU, LIMIT)
        right += len(found) == 1 and abs(found[0].place - 25) <= 1 and found[0].is_worse
    assert right >= 0.95 * 200


def test_noise_has_no_change_points() -> None:
    random = np.random.default_rng(1)
    found = [find_shifts(levels(random, (60, 100), noise=0.02), CPU, LIMIT) for _ in range(200)]
    assert sum(map(bool, found)) <= 0.01 * 200


def test_up_and_down_again() -> None:
    random = np.random.default_rng(1)
    values = levels(random, (10, 100), (10, 130), (10, 100), noise=0.01)
    up, down = find_shifts(values, CPU, LIMIT)
    assert (up.place, down.place) == (10, 20)
    assert (up.is_worse, down.is_worse) == (True, False)
    assert up.change == pytest.approx(0.3, abs=0.02)
    assert down.change == pytest.approx(1 / 1.3 - 1, abs=0.02)


def test_a_single_wild_commit_is_no_change() -> None:
    values = [100.0, 101, 99, 100, 101, 300, 99, 100, 101, 100, 99, 100]
    assert find_shifts(values, CPU, LIMIT) == []


@pytest.mark.parametrize(("size", "found"), [(1.04, 0), (1.06, 1)])
def test_smaller_than_the_threshold_is_no_change(size: float, found: int) -> None:
    assert len(find_shifts([100.0] * 8 + [100.0 * size] * 8, CPU, LIMIT)) == found


def test_a_slow_creep_is_not_lost_among_small_steps() -> None:
    values = [100 * 1.03 ** (place // 6) for place in range(24)]
    found = find_shifts(values, CPU, LIMIT)
    assert len(found) >= 1
    assert all(shift.is_worse for shift in found)


def test_more_throughput_is_better() -> None:
    (shift,) = find_shifts([100.0] * 6 + [120.0] * 6, RATE, LIMIT)
    assert (shift.is_worse, shift.change) == (False, pytest.approx(0.2))


def test_shares_that_are_mostly_zero() -> None:
    assert find_shifts([0.0] * 12, FAILED, 0.001) == []
    (shift,) = find_shifts([0.0] * 6 + [0.01] * 6, FAILED, 0.001)
    assert (shift.place, shift.change) == (6, 0.01)


@pytest.mark.parametrize("count", range(2 * COMMITS_MIN))
def test_few_commits_tell_nothing(count: int) -> None:
    assert find_shifts([1.0] * (count // 2) + [9.0] * (count - count // 2), CPU, LIMIT) == []


@given(st.lists(st.floats(0.1, 1000), min_size=1, max_size=40), st.floats(0.01, 0.5), st.booleans())
@example([20.0, 29.0, 1.0, 1.0, 1.0, 24.0, 24.0], 0.5, False)  # the logarithm of a middle of two
def test_changes_are_in_order_apart_and_large_enough(
    values: list[float], limit: float, is_lower_better: bool
) -> None:
    metric = CPU._replace(is_lower_better=is_lower_better)
    found = find_shifts(values, metric, limit)
    places = [0, *(shift.place for shift in found), len(values)]
    assert all(b - a >= COMMITS_MIN for a, b in pairwise(places) if found)
    for shift in found:
        worse = metric.worsening(shift.before, shift.after)
        assert abs(worse) >= limit * (1 - 1e-9)
        assert shift.is_worse == (worse > 0)


# ---- recorded runs


def test_a_point_is_the_median_run_of_a_commit(tmp_path: Path) -> None:
    runs = commits([1.0, 1.0], runs=3)
    cpu("gateway", 5)(runs[0])
    found = series_of(write_set(tmp_path, runs))
    assert [(point.commit, point.runs) for point in found.points] == [
        ("commit00", 3),
        ("commit01", 3),
    ]
    assert all(point.value == pytest.approx(300, rel=0.01) for point in found.points)


def test_runs_at_any_depth_and_by_time(tmp_path: Path) -> None:
    runs = commits([1.0, 1.1, 1.2])
    write_set(tmp_path / "z" / "2026", runs[:2])
    write_set(tmp_path / "a", runs[2:])
    found = series_of(tmp_path)
    assert [point.commit for point in found.points] == ["commit00", "commit01", "commit02"]


def test_what_is_left_out_is_said(tmp_path: Path) -> None:
    runs = commits([1.0] * 8)
    verdict("void", "too busy")(runs[0])
    environment(cores=8)(runs[1])
    environment(cores=8)(runs[2])
    write_set(tmp_path, runs)
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text("{")
    (tmp_path / "killed").mkdir()
    for name in ("samples-open-0.bin", "samples-open-0.jsonl"):
        (tmp_path / "killed" / name).touch()
    found = read_history(tmp_path, BUDGETS)
    assert found.runs == 13
    broken, killed, void, other = sorted(found.left_out)
    assert broken.startswith(f"1 left out: {tmp_path}/broken/run.json is truncated or not JSON")
    assert killed.startswith("1 left out: killed before its record was written")
    assert void == "1 left out: not valid but void"
    assert other == "2 left out: not comparable with the newest, machine cores: 2 | 8"
    assert all(f"- {line}" in describe(found) for line in found.left_out)


def test_a_commit_whose_runs_fail_is_named(tmp_path: Path) -> None:
    """It is in no series, and was one of so many that were not valid."""
    runs = commits([1.0] * 4, runs=2)
    for run in runs:
        if run["commit"]["id"] == "commit02":
            verdict("failed", "money: broken 3 times")(run)
    write_set(tmp_path, runs)
    line = "2 left out: not valid but failed, of commit commit02"
    assert read_history(tmp_path, BUDGETS).left_out == [line]


def test_a_bound_is_no_point(tmp_path: Path) -> None:
    runs = commits([1.0, 1.0], runs=1)
    runs[0]["phases"][0]["window"]["latency_ms"] = latency(5, 40, ["p99", "max"])
    found = series_of(write_set(tmp_path, runs), "open p99")
    assert [point.commit for point in found.points] == ["commit01"]


@pytest.mark.parametrize("runs", [[], [a_run(0, "A", verdict("invalid", "x"))]])
def test_nothing_to_draw(tmp_path: Path, runs: list[Run]) -> None:
    with pytest.raises(UnfitError, match="has no run to draw"):
        read_history(write_set(tmp_path, runs), BUDGETS)


# ---- the page

STEP = [1.0] * 6 + [1.12] * 6


def test_commits_come_in_the_order_of_their_history(tmp_path: Path) -> None:
    """Not in that of measuring: an older commit may be measured last. Ids in runs are short."""
    folder = write_set(tmp_path, commits([1.0, 1.1, 1.2, 1.3], runs=1))
    order = [f"commit{place:02}{'0' * 32}" for place in (2, 0, 3)]
    found = read_history(folder, BUDGETS, order).series[0]
    names = [point.commit for point in found.points]
    assert names == ["commit02", "commit00", "commit03", "commit01"]


def test_the_text_names_the_commit(tmp_path: Path) -> None:
    text = describe(read_history(write_set(tmp_path, commits(STEP)), BUDGETS))
    assert text.startswith("# History: 24 runs of 12 commits\n")
    line = r"^- open gateway CPU: \+1[12]\.\d % since commit06, worse, for 6 commits$"
    assert re.search(line, text, re.MULTILINE)
    quiet = describe(read_history(write_set(tmp_path / "new", commits([1.0] * 8)), BUDGETS))
    assert "- open gateway" not in quiet
    assert "no change was found" in describe(read_history(tmp_path / "new", BUDGETS))


def test_the_page_asks_nothing_of_a_network(tmp_path: Path) -> None:
    text = page(read_history(write_set(tmp_path, commits(STEP)), BUDGETS))
    assert not re.search(r"<(?:script|img|iframe)[^>]*\ssrc=|<link", text)
    assert "default-src &#x27;none&#x27;" in text
    assert text.count('<div id="chart-') == 16
    assert "commit06, worse" in text


def test_names_from_a_record_are_text_on_the_page(tmp_path: Path) -> None:
    runs = commits(STEP)
    for run in runs:
        run["commit"]["id"] = f"</script><b>{run['commit']['id']}"
        run["phases"][0]["name"] = "<script>alert(1)"
    text = page(read_history(write_set(tmp_path, runs[:]), BUDGETS))
    assert "<script>alert" not in text
    assert "</script><b>" not in text
    assert "&lt;script&gt;alert(1) gateway CPU" in text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, out = write_set(tmp_path / "runs", commits(STEP)), tmp_path / "page.html"
    assert call(["history", str(folder), "--out", str(out)]) == 0
    assert out.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "since commit06" in capsys.readouterr().out
    assert call(["history", str(tmp_path / "none"), "--out", str(out)]) == 14
    (line,) = capsys.readouterr().err.splitlines()
    assert "has no run to draw" in line


def test_what_is_known_by_a_bound_alone_is_left_out_and_told(tmp_path: Path) -> None:
    def bounded(run: Run) -> None:
        for phase in run["phases"]:
            phase["window"]["latency_ms"] = latency(5, 101, ["p99"])

    write_set(tmp_path, [*commits([1.0] * 3), a_run(9, "A", of_commit("commit09"), bounded)])
    told = read_history(tmp_path, BUDGETS).left_out
    assert any("p99 is only known to be at least so much" in line for line in told), told
    assert all(
        len(series.points) == 3
        for series in read_history(tmp_path, BUDGETS).series
        if series.metric.kind.endswith("p99")
    )
