"""Recorded runs that can't be compared: one clear line, and an exit code of its own, each."""

import re
from pathlib import Path
from typing import Any

import orjson
import pytest
from support.compared import BUDGETS, PAIRS, VALIDATOR, changed, compared, metric
from support.made_sets import (
    Run,
    a_run,
    a_set,
    cpu,
    environment,
    every,
    latency,
    p99,
    settings,
    verdict,
    write_set,
)

from bench.cli.main import call
from bench.compare.budgets import MetricRule
from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.outputs import markdown
from bench.records.typed_json import to_plain


def broken_set(folder: Path, content: bytes) -> Path:
    """A set of which one run.json was broken by hand."""
    write_set(folder, a_set("B", 3))
    sorted(folder.glob("*/run.json"))[1].write_bytes(content)
    return folder


def without(*keys: str) -> bytes:
    run = found = a_run(1, "B")
    found = run["phases"][0]["window"]
    for key in keys[:-1]:
        found = found[key]
    del found[keys[-1]]
    return orjson.dumps(run)


WHOLE = orjson.dumps(a_run(1, "B"))
CASES = {
    "truncated": (WHOLE[: len(WHOLE) // 2], 14, "truncated or not JSON"),
    "empty": (b"", 14, "truncated or not JSON"),
    "not a run": (b"[]", 14, "it is not a file of a run"),
    "no phases": (orjson.dumps({"schema_version": 3}), 14, "not the record of a run"),
    "other schema": (orjson.dumps(a_run(1, "B", lambda r: r.update(schema_version=4))), 16,
                     "its schema is 4, and this version reads 3"),
    "missing quantile": (without("latency_ms", "p99"), 15, "'p99' is a required property"),
    "other machine": (orjson.dumps(a_run(1, "B", environment(cpu_model="Z"))), 12,
                      "machine cpu_model: Imagined CPU 3000 | Z"),
    "other workload": (orjson.dumps(a_run(1, "B", settings(zipf=1.0))), 12, "setting zipf: 0.0 |"),
    "invalid": (orjson.dumps(a_run(1, "B", verdict("invalid", "remainder 3"))), 13,
                "is INVALID: remainder 3"),
    "failed": (orjson.dumps(a_run(1, "B", verdict("failed", "money"))), 13, "is FAILED: money"),
    "interrupted": (orjson.dumps(a_run(1, "B", verdict("interrupted", "interrupted"))), 13,
                    "is INTERRUPTED"),
    "two commits": (orjson.dumps(a_run(1, "B", lambda r: r["commit"].update(id="c"))), 12,
                    "one side has runs of commits bbbbbbbbbb, c"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_broken_input_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    content, code, says = CASES[case]
    a, b = write_set(tmp_path / "a", a_set("A", 3)), broken_set(tmp_path / "b", content)
    found = compare(Folders(a, b), BUDGETS)
    VALIDATOR.validate(to_plain(found))
    assert found.exit_code == code
    (reason,) = found.reasons
    assert says in reason
    assert "\n" not in reason
    assert call(["compare", str(a), str(b)]) == code
    assert says in capsys.readouterr().out


@pytest.mark.parametrize(("part", "lost"), [("kafka", "open kafka CPU ratio"), (None, "open p50")])
def test_a_reading_that_is_missing_voids_its_metric_alone(
    tmp_path: Path, part: str | None, lost: str
) -> None:
    """Unless the metric decides: once a lost reading of a metric that alarms ended a whole job."""

    def lose(run: dict[str, Any]) -> None:
        window = run["phases"][0]["window"]
        if part is None:
            window["latency_ms"] = None
        else:
            del window["cpu"][part]

    runs = [*a_set("B", 9), a_run(9, "B", lose)]
    found = compared(tmp_path, a_set("A", 10), runs)
    assert found.verdict == "same"
    assert f"can't tell: {lost}, which is missing in 1 of 20 runs" in found.notes
    assert lost not in [metric.name for metric in found.metrics]


UNREAD = cpu("gateway", 0)
"""A reading of a metric that decides was lost."""


@pytest.mark.parametrize("side", "AB")
def test_a_lost_reading_that_decides_voids_its_pair_alone(tmp_path: Path, side: str) -> None:
    """Once one reading that a busy machine had lost ended a whole job."""
    sets = {each: a_set(each, 10) for each in "AB"}
    sets[side][9] = a_run(9, side, UNREAD)
    found = compared(tmp_path, *sets.values())
    assert found.verdict == "same"
    assert found.pairs is not None
    (why,) = found.pairs.void
    assert re.fullmatch(r"run 2026\S+ has lost a reading that decides: open gateway CPU ratio", why)
    assert metric(found, "open gateway CPU ratio").change is not None


def test_readings_that_only_b_loses_are_b_s_doing(tmp_path: Path) -> None:
    b = [a_run(n, "B", UNREAD) if n % 2 else a_run(n, "B") for n in range(20)]
    found = compared(tmp_path, a_set("A", 20), b)
    assert found.verdict == "regression"
    assert "10 of 20 runs of B are void, and 0 of 20 of A" in found.headline
    assert "has lost a reading that decides" in found.headline


def test_a_side_without_a_metric_that_decides_can_t_be_compared(tmp_path: Path) -> None:
    found = compared(tmp_path, a_set("A", 3), a_set("B", 3, UNREAD))
    assert (found.verdict, found.exit_code) == ("missing_metric", 15)
    assert "open gateway CPU ratio is missing in run 2026" in found.headline


def test_a_folder_without_runs(tmp_path: Path) -> None:
    found = compare(Folders(tmp_path, tmp_path), BUDGETS)
    assert (found.exit_code, len(found.reasons)) == (14, 1)
    assert "has no run.json" in found.headline
    assert compare(Folders(tmp_path / "none", tmp_path), BUDGETS).exit_code == 14


def test_a_set_and_itself(tmp_path: Path) -> None:
    folder = write_set(tmp_path, a_set("A", 3))
    found = compare(Folders(folder, folder), BUDGETS)
    assert (found.verdict, "is on two sides" in found.headline) == ("invalid", True)


def test_a_fresh_batch_is_another_one_and_a_later_one(tmp_path: Path) -> None:
    """Else a finding repeats itself, or who compares chooses what repeats it."""
    sets = [
        Folders(*(write_set(tmp_path / f"{begin}{side}", a_set(side, 10, begin=begin))
                  for side in "AB"))
        for begin in (0, 10)
    ]  # fmt: skip
    assert compare(sets[0], BUDGETS, sets[1]).verdict == "same"
    again = compare(sets[0], BUDGETS, sets[0])
    assert (again.verdict, "is in the batch, and in the fresh one" in again.headline) == (
        "invalid", True)  # fmt: skip
    earlier = compare(sets[1], BUDGETS, sets[0])
    assert (earlier.verdict, "was not measured after" in earlier.headline) == ("invalid", True)


def test_what_was_measured_before_an_interruption_can_be_compared(tmp_path: Path) -> None:
    a, b = a_set("A", PAIRS), a_set("B", PAIRS + 1)
    b[-1].update(verdict="interrupted", reasons=["interrupted"], phases=[])
    assert compared(tmp_path / "last", a, b).verdict == "same"
    b[3].update(verdict="interrupted", reasons=["interrupted"])
    found = compare(Folders(write_set(tmp_path / "a", a), write_set(tmp_path / "b", b)), BUDGETS)
    assert found.verdict == "invalid"


def test_a_run_that_was_killed_is_not_left_out(tmp_path: Path) -> None:
    """A harness that B's memory killed left two runs less, and the rest was SAME."""
    a, b = (write_set(tmp_path / side, a_set(side, 14)) for side in "AB")
    (a / "stacks").mkdir()
    (a / "stacks" / "stack-A.log").write_text("no run\n")
    assert compare(Folders(a, b), BUDGETS).verdict == "same"
    (b / "20260103T000000Z-b-1").mkdir()
    (b / "20260103T000000Z-b-1" / "samples-open-0.bin").write_bytes(b"")
    found = compare(Folders(a, b), BUDGETS)
    assert (found.verdict, found.exit_code) == ("unreadable", 14)
    assert "20260103T000000Z-b-1 has samples and no run.json: its run was killed" in found.headline


def test_one_run_by_its_folder_or_its_file(tmp_path: Path) -> None:
    a, b = write_set(tmp_path / "a", a_set("A", 1)), write_set(tmp_path / "b", a_set("B", 1))
    (run,) = b.iterdir()
    expected = compare(Folders(a, b), BUDGETS)
    for where in (run, run / "run.json"):
        assert compare(Folders(a, where), BUDGETS) == expected


def test_a_metric_that_no_run_has_is_not_compared(tmp_path: Path) -> None:
    def elsewhere(run: Run) -> None:
        run["phases"][0]["window"]["cpu"].clear()
        run["phases"][0]["window"]["per_request"].clear()
        run["settings"]["target"] = "http://localhost:1"

    a, b = a_set("A", PAIRS, elsewhere), a_set("B", PAIRS, elsewhere)
    found = compared(tmp_path, a, b)
    assert [m.name for m in found.metrics] == ["open failed", "open p50", "open p99"]
    assert found.verdict == "same"


def test_budgets_that_gate_nothing(tmp_path: Path) -> None:
    found = changed(tmp_path, budgets=BUDGETS._replace(metrics={}))
    assert (found.verdict, found.exit_code) == ("missing_metric", 15)


def test_a_bound_is_not_a_value(tmp_path: Path) -> None:
    b = a_set("B", PAIRS)
    b[3]["phases"][0]["window"]["latency_ms"] = latency(5, 40, ["p99", "p99.9", "max"])
    rules = {**BUDGETS.metrics, "latency.p99": MetricRule(0.15)}
    found = compared(tmp_path, a_set("A", PAIRS), b, BUDGETS._replace(metrics=rules))
    assert found.verdict == "inconclusive"
    assert metric(found, "open p99").change is None
    assert "only a lower bound is known" in found.headline
    assert "| open p99 |" in markdown(found)


def unanswered(run: Run) -> None:
    run["phases"][0]["window"]["latency_ms"]["at_least"] = ["p99"]


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, "regression"), (1.0, "same")])
def test_a_side_is_surely_worse_by_what_it_is_at_least(
    tmp_path: Path, factor: float, verdict: str
) -> None:
    """One broken connection in a run of B, and a p99 twice as long was the SAME."""
    b = a_set("B", PAIRS, p99(factor), every(5, unanswered))
    assert compared(tmp_path, a_set("A", PAIRS), b).verdict == verdict


@pytest.mark.parametrize(("factor", "verdict"), [(2.0, "inconclusive"), (1.05, "same")])
def test_what_the_base_is_at_least_hides_no_alarm(
    tmp_path: Path, factor: float, verdict: str
) -> None:
    a = a_set("A", PAIRS, every(5, unanswered))
    found = compared(tmp_path, a, a_set("B", PAIRS, p99(factor)))
    assert found.verdict == verdict
    assert ("open p99: requests had no answer" in found.headline) == (verdict == "inconclusive")


def test_a_regression_counts_beside_a_bound(tmp_path: Path) -> None:
    def bounded(run: Run) -> None:
        run["phases"][0]["window"]["latency_ms"]["at_least"] = ["p99"]

    assert changed(tmp_path, bounded, cpu("gateway", 1.1)).verdict == "regression"
