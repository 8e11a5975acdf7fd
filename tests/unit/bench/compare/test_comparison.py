"""Comparisons of made-up recorded runs."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.compared import BUDGETS, PAIRS, changed, compared, metric
from support.made_sets import (
    FRESH_AT,
    Change,
    Run,
    a_run,
    a_set,
    control,
    cpu,
    environment,
    failed,
    latency,
    p99,
    phase,
    settings,
    verdict,
    write_set,
)

from bench.compare.budgets import MetricRule
from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.comparison_record import Comparison, PairsRecord, StatisticsRecord
from bench.compare.outputs import junit, markdown

GATEWAY = "open gateway CPU ratio"

# ---- verdicts


def test_the_same(tmp_path: Path) -> None:
    found = changed(tmp_path)
    assert (found.verdict, found.exit_code) == ("same", 0)
    assert found.headline == "SAME: 9 gated metrics are within their thresholds"
    assert found.pairs == PairsRecord(10, 4, [], "consecutive runs")
    gated = [m for m in found.metrics if m.role != "shown"]
    assert {m.verdict for m in gated} == {"same"}


@pytest.mark.parametrize(
    ("change", "name", "expected"),
    [
        (cpu("gateway", 1.10), "open gateway CPU ratio", 0.10),
        (cpu("flink", 1.07), "open flink CPU ratio", 0.07),
        (p99(1.3), "open p99", 0.3),
        (failed(40), "open failed", 0.01),
    ],
)
def test_a_regression(tmp_path: Path, change: Change, name: str, expected: float) -> None:
    found = changed(tmp_path, change)
    assert (found.verdict, found.exit_code) == ("regression", 10)
    row = metric(found, name)
    assert row.verdict == "regression"
    assert row.change == pytest.approx(expected, abs=0.005)
    assert row.low <= row.change <= row.high
    assert row.fresh_change == pytest.approx(expected, abs=0.01)
    assert row.reason in found.reasons
    others = [m for m in found.metrics if m is not row and m.role != "shown"]
    assert {m.verdict for m in others} == {"same"}


def test_swapped_sides_are_faster(tmp_path: Path) -> None:
    found = compared(tmp_path, a_set("A", PAIRS, cpu("gateway", 1.1)), a_set("B", PAIRS))
    assert (found.verdict, found.exit_code) == ("faster", 0)
    assert metric(found, "open gateway CPU ratio").change == pytest.approx(1 / 1.1 - 1, abs=0.005)


def test_what_is_faster_beside_what_surely_got_worse(tmp_path: Path) -> None:
    """A target's p50 decides, or the gateway's CPU; p99 only alarms, and the fresh batch did not
    repeat it."""
    slow = a_set("A", PAIRS, cpu("gateway", 1.1))
    first, fresh = a_set("B", 10, p99(1.6)), a_set("B", 4, p99(1.05), begin=10)
    found = compared(tmp_path, slow, [*first, *fresh])
    assert metric(found, "open p99").verdict == "inconclusive"
    assert (found.verdict, found.exit_code) == ("inconclusive", 11)
    assert "open p99" in found.headline


def test_what_can_t_be_told_is_named_beside_what_is_faster(tmp_path: Path) -> None:
    wide = [run for index in range(PAIRS)
            for run in a_set("B", 1, p99(1.5 if index % 2 else 0.7), begin=index)]  # fmt: skip
    found = compared(tmp_path, a_set("A", PAIRS, cpu("gateway", 1.1)), wide)
    assert found.verdict == "faster"
    assert found.headline.endswith("; can't tell: open p99")


def test_more_throughput_is_faster(tmp_path: Path) -> None:
    def closed(factor: float) -> Change:
        def change(run: Run) -> None:
            run["phases"][0].update(loop="closed", users=8, schedule=None)
            run["phases"][0]["window"]["throughput_per_s"] *= factor
            run["phases"][0]["window"]["open"] = None

        return change

    a, b = a_set("A", PAIRS, closed(1)), a_set("B", PAIRS, closed(1.2))
    found = compared(tmp_path, a, b)
    row = metric(found, "open throughput")
    assert (found.verdict, row.verdict) == ("faster", "faster")
    assert row.change == pytest.approx(0.2, abs=0.01)
    assert row.low < row.change < row.high
    assert compared(tmp_path / "swapped", b, a).verdict == "regression"


@pytest.mark.parametrize("pairs", [1, 3, 7])
def test_few_pairs_can_not_tell(tmp_path: Path, pairs: int) -> None:
    found = changed(tmp_path, cpu("gateway", 1.5), pairs=pairs)
    assert (found.verdict, found.exit_code) == ("inconclusive", 11)
    (reason,) = found.reasons
    assert reason.startswith(f"{pairs} pair")
    assert reason.endswith("needs at least 9 pairs")


def test_without_a_fresh_batch_a_finding_is_not_confirmed(tmp_path: Path) -> None:
    found = changed(tmp_path, cpu("gateway", 1.1), pairs=11)
    assert found.verdict == "inconclusive"
    assert "a fresh batch of at least 4 pairs must repeat it" in found.headline


def test_the_fresh_batch_of_other_folders(tmp_path: Path) -> None:
    for factor, expected in ((1.1, "regression"), (1.0, "inconclusive")):
        folder = tmp_path / expected
        fresh = Folders(
            write_set(folder / "fresh-a", a_set("A", 4, begin=FRESH_AT)),
            write_set(folder / "fresh-b", a_set("B", 4, cpu("gateway", factor), begin=FRESH_AT)),
        )
        found = changed(folder, cpu("gateway", 1.1), pairs=9, fresh=fresh)
        assert found.verdict == expected
        assert found.pairs == PairsRecord(9, 4, [], "consecutive runs")
        assert len(found.b.runs) == 13
    assert "did not repeat it" in found.headline


def test_looks_spend_alpha_and_hold_nothing_back(tmp_path: Path) -> None:
    found = changed(tmp_path, looks=3)
    assert found.statistics == StatisticsRecord(0.05 / 3, 3, 9)
    assert found.pairs == PairsRecord(PAIRS, 0, [], "consecutive runs")


def saturated(run: Run) -> None:
    """A job's run: the fixed rate, and then saturation."""
    again = phase("users-64", 1.0, users=64)
    again["window"]["per_request"] = {"kafka_records": 3.2, "kafka_bytes": 700.0}
    again["window"]["cpu"] = run["phases"][0]["window"]["cpu"]
    run["phases"].append(again)


def test_what_is_gated_of_a_job(tmp_path: Path) -> None:
    found = compared(tmp_path, a_set("A", 20, saturated), a_set("B", 20, saturated))
    assert found.verdict == "same"
    roles = {each.name: each.role for each in found.metrics}
    assert {name for name, role in roles.items() if role == "decides"} == {
        "open failed",
        "users-64 gateway CPU ratio",
        "users-64 flink CPU ratio",
        "users-64 kafka_records per request",
        "users-64 kafka_bytes per request",
    }
    assert {name for name, role in roles.items() if role == "alarms"} == {
        "open p50",
        "open p99",
        "users-64 compacting",
        "users-64 compiling",
        "users-64 throughput",
    }
    assert {"open gateway CPU ratio", "users-64 system CPU", "users-64 p99"} <= roles.keys()


# ---- the base against itself


def with_again(
    folder: Path, pairs: int, a: float = 1.0, again: float = 1.0, b: float = 1.0
) -> Comparison:
    """Of three systems, whose gateways take more by these factors."""
    runs = {name: a_set("A", pairs, cpu("gateway", by)) for name, by in (("a", a), ("2", again))}
    for run in runs["2"]:
        run["run_id"] += "-again"
    fresh, batch = (
        Folders(
            write_set(folder / f"{name}-a", runs["a"][begin:end]),
            write_set(
                folder / f"{name}-b",
                a_set("B", end - begin, cpu("gateway", b), begin=begin),
            ),
            write_set(folder / f"{name}-2", runs["2"][begin:end]),
        )
        for name, begin, end in (("fresh", pairs - 4, pairs), ("batch", 0, pairs - 4))
    )
    return compare(batch, BUDGETS, fresh)


def test_a_is_the_mean_of_both_of_its_systems(tmp_path: Path) -> None:
    found = with_again(tmp_path, PAIRS, a=1.0, again=1.02, b=1.2)
    assert found.verdict == "regression"
    assert found.pairs == PairsRecord(10, 4, [], "another system")
    gateway = metric(found, GATEWAY)
    assert gateway.change == pytest.approx(1.2 / 1.02**0.5 - 1, abs=0.005)
    assert gateway.base is not None
    assert (gateway.base.state, gateway.base.pairs) == ("moved", PAIRS)
    assert gateway.base.change == pytest.approx(0.02, abs=0.001)
    assert len(found.a.runs) == 2 * PAIRS


@pytest.mark.parametrize(
    ("b", "verdict"),
    [(0.5, "faster"), (1.0, "inconclusive"), (1.08, "inconclusive"), (1.5, "regression")],
)
def test_a_base_that_is_surely_not_itself_hides_no_larger_change(
    tmp_path: Path, b: float, verdict: str
) -> None:
    """It hid any: p50 twice as long was SAME beside a base that had moved by 13 %."""
    found = with_again(tmp_path, PAIRS, a=0.97, again=1.03, b=b)
    gateway = metric(found, GATEWAY)
    assert gateway.base is not None
    assert gateway.base.state == "beyond"
    assert gateway.verdict == verdict
    if verdict == "inconclusive":
        assert found.verdict == verdict
        assert "but the base differs from itself by +6.2 % to +6.2 %" in gateway.reason
        assert "+6.2 % to +6.2 %" in markdown(found)


@pytest.mark.parametrize(
    ("b", "verdict"),
    [(1.0, "same"), (1.08, "inconclusive"), (1.12, "regression"), (0.8, "faster")],
)
def test_a_change_must_be_larger_by_what_the_base_shows_of_itself(
    tmp_path: Path, b: float, verdict: str
) -> None:
    """With an alarm beyond 5 % and a base that moved by 4 %."""
    found = with_again(tmp_path, PAIRS, a=0.98, again=1.02, b=b)
    gateway = metric(found, GATEWAY)
    assert gateway.base is not None
    assert gateway.base.state == "moved"
    assert gateway.verdict == verdict


def test_one_start_shows_nothing_of_what_another_makes(tmp_path: Path) -> None:
    """Which is why a second system of the base is measured: see docs/regressions.md."""
    once = changed(tmp_path / "once", cpu("gateway", 1.08))
    gateway = metric(once, GATEWAY)
    assert gateway.base is not None
    assert gateway.base.state == "same"
    assert once.pairs.base == "consecutive runs"
    assert once.verdict == "regression"
    twice = with_again(tmp_path / "twice", PAIRS, a=1.0, again=1.08, b=1.08)
    assert twice.verdict == "inconclusive"


def test_a_base_of_too_few_pairs_is_unknown(tmp_path: Path) -> None:
    """Six pairs find one gated metric, four repeat it, and five pairs of the base tell nothing."""
    one = BUDGETS._replace(
        metrics={"cpu_ratio.gateway": BUDGETS.metrics["cpu_ratio"]}, operation_metrics={}
    )
    found = changed(tmp_path, cpu("gateway", 1.2), pairs=10, budgets=one)
    gateway = metric(found, GATEWAY)
    assert gateway.base is not None
    assert gateway.base.state == "unknown"
    assert gateway.base.low is None
    assert found.verdict == "inconclusive"
    assert "what the base differs by from itself is not known" in gateway.reason


def test_a_wide_interval_is_never_the_same(tmp_path: Path) -> None:
    a = [a_run(i, "A", cpu("flink", 1.2 if i % 3 else 0.8)) for i in range(PAIRS)]
    found = compared(tmp_path, a, a_set("B", PAIRS))
    assert found.verdict == "inconclusive"
    assert metric(found, "open flink CPU ratio").verdict == "inconclusive"
    relaxed = BUDGETS._replace(
        metrics={**BUDGETS.metrics, "cpu_ratio.flink": MetricRule(0.05, "alarms")}
    )
    found = compare(Folders(tmp_path / "a", tmp_path / "b"), relaxed)
    assert found.verdict == "same"
    assert found.headline.endswith("can't tell: open flink CPU ratio")


def test_a_metric_that_is_only_shown_raises_no_alarm(tmp_path: Path) -> None:
    shown = {**BUDGETS.metrics, "cpu_ratio.gateway": MetricRule(0.05, "shown")}
    found = changed(tmp_path, cpu("gateway", 2), budgets=BUDGETS._replace(metrics=shown))
    assert found.verdict == "same"
    assert metric(found, "open gateway CPU ratio").change == pytest.approx(1, abs=0.01)
    assert found.statistics.gated == 8


def test_without_turns_a_drift_looks_like_a_change(tmp_path: Path) -> None:
    later = a_set("B", PAIRS, cpu("gateway", 1.1), begin=FRESH_AT)
    found = compared(tmp_path, a_set("A", PAIRS), later)
    assert found.verdict == "inconclusive"
    assert "did not take turns" in found.headline


# ---- pairs


def test_a_machine_that_moved_voids_the_pair(tmp_path: Path) -> None:
    a, b = a_set("A", PAIRS), a_set("B", PAIRS)
    for index in (2, 5):
        cpu("gateway", 3)(b[index])
        b[index]["probes"] = [control(400.0)]
    found = compared(tmp_path, a, b)
    assert found.verdict == "same"
    assert found.pairs.used + found.pairs.fresh == PAIRS - 2
    assert (
        found.pairs.void == ["the machine moved: control loops_per_s by 150% between the runs"] * 2
    )


def test_a_void_run_voids_its_pair(tmp_path: Path) -> None:
    b = a_set("B", PAIRS)
    verdict("void", "generator 0 used 99% of a core")(b[0])
    cpu("gateway", 3)(b[0])
    found = compared(tmp_path, a_set("A", PAIRS), b)
    assert found.verdict == "same"
    assert len(found.pairs.void) == 1
    assert "generator 0 used 99%" in markdown(found)


def test_only_void_pairs(tmp_path: Path) -> None:
    found = changed(tmp_path, verdict("void", "too busy"), pairs=2)
    assert (found.verdict, found.exit_code) == ("inconclusive", 11)
    (suite,) = ElementTree.fromstring(junit(found))
    assert (suite.get("errors"), suite.get("failures"), suite.get("skipped")) == ("0", "0", "1")
    assert "no usable pair is left" in found.headline
    assert "too busy" in found.headline


def test_runs_without_a_partner_are_named(tmp_path: Path) -> None:
    found = compared(tmp_path, a_set("A", PAIRS), a_set("B", PAIRS - 1))
    assert found.verdict == "same"
    assert "A has 14 runs and B 13: the rest has no partner" in found.notes


def test_notes_on_how_it_was_measured(tmp_path: Path) -> None:
    def of_a(run: Run) -> None:
        run.update(commit={"id": "aaaaaaaaaa", "dirty": False}, probes=None)

    target = [settings(target="http://localhost:1")]
    found = compared(tmp_path / "3", a_set("A", PAIRS, *target), a_set("B", PAIRS, *target))
    assert "the harness was not the same: commits aaaaaaaaaa, bbbbbbbbbb" in found.notes
    (note,) = changed(tmp_path / "1", environment(python="3.11.14")).notes
    assert note == "part of the change: python: 3.11.13 | 3.11.14"
    a, b = a_set("A", PAIRS, of_a), a_set("B", PAIRS, of_a)
    for index, pair in enumerate(zip(a, b, strict=True)):
        for place, run in enumerate(pair):
            run["started_utc"] = f"2026-01-02T00:{index:02}:{place * 20:02}+00:00"
    found = compared(tmp_path / "2", a, b)
    assert found.verdict == "same"
    assert [note.partition(":")[0].partition(",")[0] for note in found.notes] == [
        "one side came first in most pairs",
        "there is no control workload",
        "A and B are of one commit",
    ]


# ---- service levels


def test_a_broken_service_level_is_said_of_a_single_run(tmp_path: Path) -> None:
    def slow(run: Run) -> None:
        run["phases"][0]["window"]["operations"]["checkout"]["latency_ms"] = latency(300, 1200)

    b = [a_run(0, "B"), *(a_run(i, "B", slow, verdict("void", "busy")) for i in (1, 2))]
    assert compared(tmp_path / "void", a_set("A", 3), b).verdict == "inconclusive"
    found = changed(tmp_path, slow, pairs=1)
    assert (found.verdict, found.exit_code) == ("over_budget", 17)
    line = "checkout in open: p99 1200 ms, at most 1000 ms, in the median of 1 run"
    assert found.reasons[0] == line
    assert [level.is_broken for level in found.levels] == [False, False, True, False]
    both = changed(tmp_path / "both", slow, cpu("gateway", 1.2))
    assert both.verdict == "regression"
    assert any(line[:40] in reason for reason in both.reasons)
