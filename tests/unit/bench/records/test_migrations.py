"""Each older schema version, by the record of a real run: examples/run-N.json is of version N."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from support.compared import BUDGETS

from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.history import read_history
from bench.compare.metrics import readings
from bench.records.migrations import OLDEST, UPDATES, update
from bench.records.run_files import read_run
from bench.records.run_record import SCHEMA_VERSION, Latency
from bench.report.build import build
from bench.report.markdown import summarize

EXAMPLES = Path(__file__).with_name("examples")
VERSIONS = range(OLDEST, SCHEMA_VERSION)


def example(version: int) -> Any:
    return orjson.loads((EXAMPLES / f"run-{version}.json").read_bytes())


def recorded(folder: Path, version: int, **parts: Any) -> Path:
    """A run's folder that holds the example alone, with some parts replaced."""
    folder.mkdir(parents=True)
    (folder / "run.json").write_bytes(orjson.dumps({**example(version), **parts}))
    return folder


def test_each_version_has_an_example_and_a_way_to_the_next() -> None:
    assert [path.name for path in sorted(EXAMPLES.iterdir())] == [
        f"run-{version}.json" for version in VERSIONS
    ]
    assert list(UPDATES) == [version + 1 for version in VERSIONS]
    assert [example(version)["schema_version"] for version in VERSIONS] == list(VERSIONS)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_read_and_nothing_of_it_is_lost(version: int) -> None:
    before, run = example(version), read_run(EXAMPLES / f"run-{version}.json")
    assert run.schema_version == SCHEMA_VERSION
    assert run.run_id == before["run_id"]
    assert run.commit.id == before["commit"]["id"]
    for phase, old in zip(run.phases, before["phases"], strict=True):
        assert (phase.name, phase.histories) == (old["name"], old["histories"])
        if phase.window is None:
            assert old["window"] is None
            continue
        assert phase.window.requests == old["window"]["requests"]
        assert phase.window.operations.keys() == old["window"]["operations"].keys()
        for operation, figures in phase.window.operations.items():
            latency, before_ms = figures.latency_ms, old["window"]["operations"][operation]
            assert latency
            assert latency.p99 == before_ms["latency_ms"]["p99"]
    assert readings(run)


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_shown(tmp_path: Path, version: int) -> None:
    parts = example(version)["phases"]
    bare = [{**each, **dict.fromkeys(("series", "stages")), "samples": []} for each in parts]
    folder = recorded(tmp_path / "run", version, phases=bare if version > 1 else parts)
    assert build(folder).read_text().startswith("<!doctype html>")
    assert "| 64 users" in summarize(read_run(folder))


@pytest.mark.parametrize("version", VERSIONS)
def test_it_is_compared_and_has_a_place_in_the_history(tmp_path: Path, version: int) -> None:
    for number in range(2):
        started = f"2026-01-02T00:00:{10 * number}0+00:00"
        run_id = f"run-{number}"
        parts = {"run_id": run_id, "started_utc": started, "verdict": "valid"}
        recorded(tmp_path / run_id, version, **parts)
    found = compare(Folders(tmp_path / "run-0", tmp_path / "run-1"), BUDGETS)
    assert (found.verdict, len(found.metrics) > 5) == ("inconclusive", True)
    history = read_history(tmp_path, BUDGETS)
    assert (history.runs, history.left_out) == (2, [])


def test_an_update_leaves_what_it_was_given() -> None:
    before = example(1)
    update(before)
    assert before == example(1)


# ---- from 1 to 2


def latency_of(failed: dict[str, int]) -> Latency:
    run = example(1)
    window = run["phases"][1]["window"]
    window["latency_ms"] = {"p50": 1.0, "p90": 2.0, "p99": 3.0, "max": 9.0}
    window["failed"] = failed
    found = update(run)["phases"][1]["window"]["latency_ms"]
    return Latency(*(found[name] for name in ("p50", "p90", "p99", "p99.9", "max", "at_least")))


def test_what_was_not_measured_is_a_lower_bound() -> None:
    assert latency_of({"503 overloaded": 3}) == Latency(1, 2, 3, 3, 9, at_least=["p99.9"])


@pytest.mark.parametrize("kind", ["504 timeout", "connection"])
def test_requests_without_an_answer_had_been_left_out(kind: str) -> None:
    assert latency_of({kind: 1}).at_least == ["p50", "p90", "p99", "p99.9", "max"]


def test_nothing_was_answered() -> None:
    run = example(1)
    run["phases"][1]["window"]["latency_ms"] = None
    assert update(run)["phases"][1]["window"]["latency_ms"] is None


# ---- from 2 to 3


def test_probes_that_passed_and_that_did_not() -> None:
    probe = {"name": "echo", "reasons": [], "requests": 3, "latency_ms": None, "figures": {}}
    probes = [{**probe, "passed": True}, {**probe, "passed": False}]
    found = update({**example(2), "probes": probes})["probes"]
    assert [each["state"] for each in found] == ["holds", "broken"]


def test_nothing_had_been_too_much_to_fail() -> None:
    assert update(example(2))["settings"]["max_failed"] == 1.0
