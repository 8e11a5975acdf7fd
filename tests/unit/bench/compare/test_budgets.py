"""The budget file, and service levels."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_sets import a_run, a_set, latency, record

from bench.compare.budgets import (
    DEFAULT_FILE,
    BudgetError,
    Budgets,
    MetricRule,
    check_levels,
    read_budgets,
    unchecked,
)
from bench.compare.metric import Metric
from bench.compare.metrics import readings


def read(tmp_path: Path, text: str) -> Budgets:
    path = tmp_path / "budgets.toml"
    path.write_text(text)
    return read_budgets(path)


def test_the_default_file_gates_every_kind() -> None:
    budgets = read_budgets(DEFAULT_FILE)
    kinds = ("cpu.gateway", "cpu.of_my_own", "per_request.kafka_records", "failed", "latency.p50",
             "latency.p99", "throughput", "capacity")  # fmt: skip
    rules = {kind: budgets.rule(Metric("", kind, "")) for kind in kinds}
    assert {kind: rule.threshold for kind, rule in rules.items() if rule} == {
        **dict.fromkeys(kinds, 0.05),
        "failed": 0.001,
        "latency.p99": 0.15,
    }


def test_the_more_exact_key_wins(tmp_path: Path) -> None:
    budgets = read(tmp_path, '[metrics]\ncpu.threshold = 0.1\n"cpu.kafka".threshold = 0.2\n')
    assert budgets.rule(Metric("", "cpu.gateway", "")) == MetricRule(0.1)
    assert budgets.rule(Metric("", "cpu.kafka", "")) == MetricRule(0.2)
    assert budgets.rule(Metric("", "failed", "")) is None
    assert budgets.rule(Metric("", "cpu.kafka", "", operation="find_user")) is None


def test_an_operation_by_itself(tmp_path: Path) -> None:
    text = '[operations.checkout.metrics."latency.p99"]\nthreshold = 0.3\nrole = "alarms"\n'
    budgets = read(tmp_path, text)
    found = readings(record(a_run(0, "A")), list(budgets.operation_metrics))
    (metric,) = (metric for metric in found if metric.operation)
    assert (metric.name, found[metric].value) == ("open checkout p99", 40.0)
    assert budgets.rule(metric) == MetricRule(0.3, "alarms")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[metrics", "is not TOML"),
        ("x = 1", "the file has an unknown key 'x': one of metrics, control, operations"),
        ("metrics = 1", "metrics = 1: a table was expected"),
        ("[metrics.cpi]\nthreshold = 0.1", "metrics.cpi: a metric begins with one of cpu,"),
        ('[metrics."latency.p95"]\nthreshold = 0.1', "after latency may follow: p50, p99"),
        ('[metrics."cpu_ratio.gatway"]\nthreshold = 0.1', "may follow: gateway, kafka, flink"),
        ('[metrics."per_request."]\nthreshold = 0.1', "may follow: kafka_records, kafka_bytes"),
        ('[metrics."failed.open"]\nthreshold = 0.1', "after failed nothing may follow"),
        ("[metrics.cpu]\nthreshhold = 0.1", "metrics.cpu has an unknown key 'threshhold'"),
        ("[metrics.cpu]\nrole = 'shown'", "metrics.cpu has no threshold"),
        ("[metrics.cpu]\nthreshold = 0", "nothing would ever be the same"),
        ("[metrics.cpu]\nthreshold = 15", "metrics.cpu.threshold = 15: a number from 0 to 10"),
        ("[metrics.cpu]\nthreshold = true", "metrics.cpu.threshold = True: a number"),
        ("[metrics.cpu]\nthreshold = nan", "metrics.cpu.threshold = nan: a number"),
        ("[metrics.cpu]\nthreshold = 0.1\naa_spread = -1", "metrics.cpu.aa_spread = -1: a number"),
        ("[metrics.cpu]\nthreshold = 0.1\nrole = 'x'", "role = 'x': one of decides, alarms, shown"),
        ("[control]\nmoved = 1", "control has an unknown key 'moved'"),
        ("[control]\nmoved_max = 'x'", "control.moved_max = 'x': a number"),
        ("operations.find_user = 1", "operations.find_user = 1: a table"),
        ("[operations.a]\np99_ms = 1", "operations.a has an unknown key 'p99_ms'"),
        ("[operations.a]\np99_ms_max = '5'", "operations.a.p99_ms_max = '5': a number"),
        ("[operations.a]\nfailed_share_max = 2", "failed_share_max = 2: a number from 0 to 1"),
        ("[operations.a]\nphases = []", "operations.a.phases = []: a list of names"),
        ("[operations.a]\nphases = 'open'", "operations.a.phases = 'open': a list of names"),
        ("[operations.a.metrics.cpu]\nthreshold = 1", "metrics.cpu: one of failed, latency.p50"),
    ],
)
def test_a_broken_file_is_one_clear_line(tmp_path: Path, text: str, says: str) -> None:
    with pytest.raises(BudgetError) as caught:
        read(tmp_path, text)
    (line,) = str(caught.value).splitlines()
    assert line.startswith(str(tmp_path / "budgets.toml"))
    assert says in line


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=r"cannot read .*none: No such file"):
        read_budgets(tmp_path / "none")


@given(st.binary(max_size=60))
def test_any_bytes_are_a_budget_or_one_clear_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.mktemp("budgets") / "budgets.toml"
    path.write_bytes(b"[metrics.cpu]\nthreshold = " + content)
    try:
        threshold = read_budgets(path).metrics["cpu"].threshold
    except BudgetError as cause:
        threshold, says = 1.0, str(cause)
    else:
        says = str(path)
    assert 0 < threshold <= 10
    assert str(path) in says


# ---- service levels

LEVEL = "[operations.find_user]\np99_ms_max = 100\nfailed_share_max = 0.01\n"


def in_operation(run: dict[str, Any], **fields: Any) -> dict[str, Any]:
    run["phases"][0]["window"]["operations"]["find_user"].update(fields)
    return run


def checked(tmp_path: Path, runs: list[dict[str, Any]], text: str = LEVEL) -> dict[str, bool]:
    levels = check_levels(read(tmp_path, text).levels, list(map(record, runs)))
    assert all(level.runs == len(runs) for level in levels)
    return {level.limit: level.is_broken for level in levels}


def test_levels_that_hold(tmp_path: Path) -> None:
    held = {"p99_ms_max": False, "failed_share_max": False}
    assert checked(tmp_path, a_set("B", 3)) == held
    assert checked(tmp_path, a_set("B", 3), LEVEL.replace("100", "40.2")) == held


def test_the_median_run_counts(tmp_path: Path) -> None:
    slow = in_operation(a_run(9, "B"), latency_ms=latency(5, 101))
    assert not checked(tmp_path, [slow, *a_set("B", 2)])["p99_ms_max"]
    assert checked(tmp_path, [slow, slow, *a_set("B", 1)])["p99_ms_max"]


def test_failures_of_a_few_runs_count_with_all_requests(tmp_path: Path) -> None:
    """The median of the runs' shares would be that nothing failed."""
    answered = a_run(0, "B")["phases"][0]["window"]["operations"]["find_user"]["answered"]

    def failing(count: int) -> dict[str, Any]:
        return in_operation(a_run(9, "B"), failed={"504 timeout": count})

    allowed = int(0.01 * 4 * answered)
    few, many = failing(allowed), failing(allowed + answered // 20)
    assert not checked(tmp_path, [few, *a_set("B", 3)])["failed_share_max"]
    assert checked(tmp_path, [many, *a_set("B", 3)])["failed_share_max"]


@pytest.mark.parametrize(
    "found", [None, latency(5, 101, ["p99"]), latency(5, 99, ["p99"]), latency(5, 100.001)]
)
def test_a_latency_that_is_not_within(tmp_path: Path, found: dict[str, Any] | None) -> None:
    assert checked(tmp_path, [in_operation(a_run(0, "B"), latency_ms=found)])["p99_ms_max"]


def test_a_bound_of_a_rarer_quantile_says_nothing_about_p99(tmp_path: Path) -> None:
    run = in_operation(a_run(0, "B"), latency_ms=latency(5, 99, ["p99.9", "max"]))
    assert not checked(tmp_path, [run])["p99_ms_max"]


def test_a_level_that_nothing_could_show_is_told(tmp_path: Path) -> None:
    text = LEVEL + "[operations.fnd_user]\np99_ms_max = 1\nfailed_share_max = 0.1\n"
    levels, runs = read(tmp_path, text).levels, list(map(record, a_set("B", 3)))
    (told,) = unchecked(levels, check_levels(levels, runs))
    assert told.endswith("no phase that they are for has it: fnd_user")
    assert unchecked(levels[:1], check_levels(levels[:1], runs)) == []


def test_levels_are_for_open_loops_or_for_the_phases_that_are_named(tmp_path: Path) -> None:
    run = a_run(0, "B")
    run["phases"][0].update(loop="closed", name="users-8")
    assert checked(tmp_path, [run]) == {}
    assert len(checked(tmp_path, [run], LEVEL + 'phases = ["users-*"]')) == 2
    assert checked(tmp_path, [run], LEVEL + 'phases = ["open"]') == {}


def test_an_operation_that_no_run_has(tmp_path: Path) -> None:
    assert checked(tmp_path, a_set("B", 1), "[operations.other]\np99_ms_max = 1") == {}


def test_where_runs_have_both_loops_a_metric_is_gated_in_one() -> None:
    budgets = read_budgets(DEFAULT_FILE)
    roles = {}
    for loop in ("open", "closed"):
        for kind in ("cpu_ratio.gateway", "failed", "latency.p99"):
            metric = Metric("", kind, "", loop=loop)
            rule = budgets.rule(metric)
            assert rule is not None
            assert rule.among(metric, {loop}).role == rule.role, "there is no other"
            roles[kind, loop] = rule.among(metric, {"open", "closed"}).role
    assert roles["cpu_ratio.gateway", "open"] == roles["failed", "closed"] == "shown"
    assert roles["cpu_ratio.gateway", "closed"] == roles["failed", "open"] == "decides"
    assert roles["latency.p99", "open"] == "alarms"
