"""Runs of other tools: what they are taken for, and what is said to be unknown of them."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from support.compared import BUDGETS, VALIDATOR, metric

from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.comparison_record import Comparison
from bench.imports import runs
from bench.imports.formats import ResultsError
from bench.imports.runs import UNKNOWN_OF_SUMMARY, read_imported
from bench.records.typed_json import to_plain
from bench.stats.window import asked, failures

FILES = Path(__file__).with_name("files")
START = datetime(2026, 1, 2, tzinfo=UTC)


def vegeta(requests: int, start_s: float = 0.0, rate: float = 100.0, failed: int = 0,
           factor: float = 1.0) -> bytes:  # fmt: skip
    """Results as vegeta writes them: latencies of 1 to 2 ms, and 503s first."""
    return b"\n".join(
        orjson.dumps({
            "code": 503 if number < failed else 200,
            "timestamp": (START + timedelta(seconds=start_s + number / rate)).isoformat(),
            "latency": round((1 + number * 7919 % requests / requests) * factor * 1e6),
            "error": "",
        })
        for number in range(requests)
    )  # fmt: skip


def a_set(folder: Path, side: str, pairs: int = 14, **change: float) -> Path:
    """Runs of A and B in turns, ABBA."""
    folder.mkdir()
    for index in range(pairs):
        place = 2 * index + ((side == "B") != (index % 2 == 1))
        change.setdefault("factor", 1.0)
        wobble = {**change, "factor": change["factor"] * (1 + (index * 3 % 7 - 3) / 1000)}
        (folder / f"{index}.json").write_bytes(vegeta(400, start_s=10.0 * place, **wobble))  # type: ignore[arg-type]
    return folder


def compared(a: Path, b: Path) -> Comparison:
    found = compare(Folders(a, b), BUDGETS)
    VALIDATOR.validate(to_plain(found))
    return found


def test_a_window_is_all_of_a_file() -> None:
    run = read_imported(FILES / "vegeta-results.json")
    assert (run.tool, run.started_utc[:19]) == ("vegeta", "2026-11-26T02:45:34")
    assert run.rate_per_s == pytest.approx(60.5, abs=0.1)
    ((_, window),) = run.windows
    assert window.requests == 120
    assert sum(window.failed.values()) == 13
    assert window.latency_ms is not None
    assert window.latency_ms.at_least == ["p99", "p99.9", "max"], "3 of 120 had no answer"


def test_iterations_that_never_began_rank_behind_all() -> None:
    ((_, window),) = read_imported(FILES / "k6-out.json").windows
    assert window.requests == 115
    assert window.latency_ms is not None
    assert "p99" in window.latency_ms.at_least
    assert window.open is not None
    assert window.open.not_sent > 0
    assert asked(window) == 115 + window.open.not_sent
    assert failures(window) == sum(window.failed.values()) + window.open.not_sent


def test_too_few_requests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.json"
    path.write_bytes(vegeta(runs.REQUESTS_MIN))
    assert read_imported(path).rate_per_s
    path.write_bytes(vegeta(runs.REQUESTS_MIN - 1))
    with pytest.raises(ResultsError, match="99 requests, at least 100 are needed"):
        read_imported(path)
    path.write_bytes(vegeta(200, rate=1e12))
    with pytest.raises(ResultsError, match="at one moment"):
        read_imported(path)


def test_unchanged_sides_are_the_same(tmp_path: Path) -> None:
    found = compared(a_set(tmp_path / "a", "A"), a_set(tmp_path / "b", "B"))
    assert found.verdict == "same"
    assert found.pairs is not None
    assert (found.pairs.used, found.pairs.fresh) == (10, 4)
    assert any("counts from when a request was sent" in note for note in found.notes)
    assert any("says nothing of the machine" in note for note in found.notes)


@pytest.mark.parametrize(
    ("change", "name"), [({"failed": 20}, "vegeta failed"), ({"factor": 1.3}, "vegeta p50")]
)
def test_a_regression(tmp_path: Path, change: dict[str, float], name: str) -> None:
    found = compared(a_set(tmp_path / "a", "A"), a_set(tmp_path / "b", "B", **change))
    assert found.verdict == "regression"
    assert metric(found, name).verdict == "regression"


def k6(requests: int, start_s: float, failing: int) -> bytes:
    """Requests as k6 writes them, all answered 200, of which the script finds some too long."""

    def points() -> Iterator[tuple[str, float, dict[str, str]]]:
        for number in range(requests):
            yield "http_req_duration", 1 + number / requests, {"status": "200"}
            yield "checks", float(number >= failing), {"check": "is short"}

    return b"\n".join(
        orjson.dumps({
            "metric": name,
            "type": "Point",
            "data": {
                "time": (START + timedelta(seconds=start_s + place / 200)).isoformat(),
                "value": value,
                "tags": tags,
            },
        })
        for place, (name, value, tags) in enumerate(points())
    )  # fmt: skip


@pytest.mark.parametrize(("failing", "verdict"), [(400, "regression"), (20, "regression"),
                                                  (0, "same")])  # fmt: skip
def test_answers_that_a_script_finds_wrong_are_no_answers(
    tmp_path: Path, failing: int, verdict: str
) -> None:
    """Their status was 200, and what the script checked was not looked at: SAME."""
    for side, wrong in (("A", 0), ("B", failing)):
        (tmp_path / side).mkdir()
        for index in range(14):
            place = 2 * index + ((side == "B") != (index % 2 == 1))
            (tmp_path / side / f"{index}.json").write_bytes(k6(400, 10.0 * place, wrong))
    found = compared(tmp_path / "A", tmp_path / "B")
    assert found.verdict == verdict
    line = f"k6 check is short: failed: 0.00% of A's requests, {failing / 4:.2f}% of B's"
    assert (line in " ".join(found.reasons)) == bool(failing)


def test_a_target_that_answers_nothing_is_no_target(tmp_path: Path) -> None:
    a, b = (a_set(tmp_path / side, side, failed=400) for side in "AB")
    found = compared(a, b)
    assert (found.verdict, "all 400 requests failed: unexpected 503" in found.headline) == (
        "invalid", True)  # fmt: skip
    assert compared(a_set(tmp_path / "c", "A"), a_set(tmp_path / "d", "B", failed=399)).verdict == (
        "regression")  # fmt: skip


def test_one_run_of_each_says_nothing(tmp_path: Path) -> None:
    found = compared(a_set(tmp_path / "a", "A", 1), a_set(tmp_path / "b", "B", 1, factor=3.0))
    assert found.verdict == "inconclusive"
    assert re.match(r"1 pair of runs can't tell: needs at least \d+ pairs", found.reasons[0])


def test_other_rates_are_not_compared(tmp_path: Path) -> None:
    found = compared(a_set(tmp_path / "a", "A"), a_set(tmp_path / "b", "B", rate=106))
    assert found.verdict == "incomparable"
    assert re.search(r"from 100\.. to 106\.. requests were sent a second", found.headline)
    found = compared(tmp_path / "a", a_set(tmp_path / "c", "B", rate=104))
    assert found.verdict == "same"


def test_what_is_of_one_tool_only_is_compared(tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", FILES / "k6-out.json"
    a.write_bytes(vegeta(200, rate=60))
    found = compared(a, b)
    assert found.verdict == "incomparable"
    assert "phases: vegeta | k6" in found.headline
    assert "phases: vegeta | vegeta's figures" in compared(a, FILES / "vegeta-report.json").headline


def test_the_same_file_on_both_sides(tmp_path: Path) -> None:
    found = compared(FILES / "k6-out.json", FILES / "k6-out.json")
    assert (found.verdict, "is on two sides" in found.headline) == ("invalid", True)


@pytest.mark.parametrize(
    ("name", "p99"),
    [("vegeta-report", True), ("k6-summary", False), ("oha", True), ("locust_stats", True)],
)
def test_figures_alone_are_shown_and_never_judged(tmp_path: Path, name: str, p99: bool) -> None:
    (path,) = FILES.glob(f"{name}.*")
    other = tmp_path / path.name
    other.write_bytes(path.read_bytes() + b"\n")
    found = compared(path, other)
    assert (found.verdict, found.exit_code) == ("inconclusive", 11)
    assert found.headline.endswith("without the requests behind them are shown and never judged")
    assert {row.role for row in found.metrics} == {"shown"}
    assert {row.change for row in found.metrics} == {None}
    assert any(row.name.endswith(" p99") for row in found.metrics) == p99
    tool = found.metrics[0].name.split()[0]
    assert UNKNOWN_OF_SUMMARY[tool] in found.notes
