"""series-<phase>.json: what goes in comes out, and what is broken is told in one line."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records import series
from bench.records.series import KINDS, Columns, Event, Series, foremost
from bench.records.series_file import read_series, write_series
from bench.records.versioned_json import RunFileError

SECOND_NS = 1_000_000_000
VALUES = st.floats(-1e9, 1e9)
EVENTS = st.builds(
    Event,
    kind=st.sampled_from(KINDS),
    at_ns=st.integers(0, 2**60),
    duration_ms=st.floats(0, 1e6),
    text=st.text(st.characters(codec="utf-8"), max_size=20),
)


@given(st.lists(st.dictionaries(st.sampled_from("abcd"), VALUES)), st.lists(EVENTS))
def test_every_list_has_the_length_of_the_times(tmp_path_factory, samples, events) -> None:
    columns = Columns()
    for index, values in enumerate(samples):
        columns.add(index * SECOND_NS, values)
    grown = columns.series(events)
    for name, column in grown.series.items():
        expected = [values.get(name) for values in samples]
        assert [value is None for value in column] == [value is None for value in expected]
        assert [v for v in column if v is not None] == pytest.approx(
            [v for v in expected if v is not None], abs=1e-4
        )
    path = tmp_path_factory.mktemp("run") / "series-one.json"
    write_series(path, grown)
    assert read_series(path) == grown
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def content(**changed: Any) -> dict[str, Any]:
    event = {"kind": "gc", "at_ns": 1, "duration_ms": 2.5, "text": "kafka: Pause Young"}
    whole = {"schema_version": 1, "at_ns": [1, 2], "series": {"a": [None, 1]}, "events": [event]}
    return whole | changed


def written(folder: Path, changed: dict[str, Any]) -> Path:
    path = folder / "series-one.json"
    path.write_bytes(orjson.dumps(content(**changed)))
    return path


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"schema_version": 2}, "newer version"),
        ({"schema_version": None}, "no schema_version"),
        ({"at_ns": [2, 1]}, "ascending"),
        ({"at_ns": [1.5, 2]}, "ascending"),
        ({"at_ns": None}, "ascending"),
        ({"series": []}, "not an object"),
        ({"series": {"a": [1]}}, "a is not a list of 2 numbers"),
        ({"series": {"a": [1, "2"]}}, "a is not a list of 2 numbers"),
        ({"series": {"a": [1, True]}}, "a is not a list of 2 numbers"),
        ({"events": [{"kind": "gc"}]}, "not a series"),
        ({"events": [{**content()["events"][0], "kind": "party"}]}, "not an event"),
        ({"events": [{**content()["events"][0], "at_ns": "noon"}]}, "not an event"),
        ({"events": [[]]}, "not a series"),
    ],
)
def test_a_broken_file_is_told_in_one_line(tmp_path: Path, changed, told: str) -> None:
    with pytest.raises(RunFileError, match=told) as caught:
        read_series(written(tmp_path, changed))
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_told_in_one_line(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    assert read_series(path).events[0].duration_ms == 2.5
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(RunFileError, match="truncated"):
        read_series(path)
    path.write_bytes(orjson.dumps({"schema_version": 1}))
    with pytest.raises(RunFileError, match="'at_ns' is missing"):
        read_series(path)


def test_faults_are_kept_before_the_longest(monkeypatch) -> None:
    monkeypatch.setattr(series, "EVENTS_MAX", 3)
    events = [Event("gc", index, float(index), "") for index in range(9)]
    fault = Event("fault", 99, 0.0, "")
    assert foremost([fault, *events]) == [events[7], events[8], fault]


def test_a_window_and_marks_of_another_process() -> None:
    sampled = Series([10, 20, 30, 40], {"a": [None, 1.0, None, 3.0]}, [])
    assert sampled.known("a", 10, 40) == [1.0, 3.0]
    assert sampled.known("a", 20, 40) == [3.0]
    assert sampled.known("b", 0, 99) == []
    marks = [{"at_ns": 22, "lag": 5}, {"at_ns": 12, "lag": 3}, {"at_ns": 15, "lag": 4}]
    added = sampled.with_marks({"lag": "generator.lag", "cpu": "generator.cpu"}, marks)
    assert added.series["generator.lag"] == [None, 4, 5, None]
    assert added.series["generator.cpu"] == [None] * 4
    assert added.series["a"] == sampled.series["a"]
