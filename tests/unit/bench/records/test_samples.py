"""Samples, written and read back; files that are not as they should be."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.records.samples import (
    DROPPED_IN_FLIGHT,
    FIRST_ANSWERS_MAX,
    LABELS_MAX,
    Footer,
    Kind,
    Reader,
    SamplesError,
    Writer,
    kind_of,
    merge,
    read,
)

ROWS = [("a", "200", 1, 2, 5), ("b", "409 sold", 2, 2, 9), ("a", "timeout", 3, 4, 90)]


def written(path: Path, rows: list[tuple[str, str, int, int, int]]) -> Path:
    writer = Writer(path)
    writer.ready()
    for operation, outcome, *times in rows:
        writer.scheduled += 1
        writer.sent += 1
        writer.add((writer.label(operation, outcome), *times))
    writer.watch(at_ns=1, loop_lag_ns=2, cpu_ns=3)
    writer.close()
    return path


def named(path: Path) -> list[tuple[str, str, int, int, int]]:
    samples = read([path])
    return [
        (samples.operations[operation], samples.outcomes[outcome], *map(int, times))
        for operation, outcome, *times in zip(*samples[2:], strict=True)
    ]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = written(tmp_path / "s.bin", ROWS)
    assert named(path) == ROWS
    reader = Reader(path)
    reader.read()
    assert reader.footer == Footer(scheduled=3, sent=3)
    assert (reader.ready, reader.watched) == (1, [{"at_ns": 1, "loop_lag_ns": 2, "cpu_ns": 3}])
    assert reader.wall_ns > reader.monotonic_ns > 0


def test_a_reader_follows_the_writer(tmp_path: Path) -> None:
    path = tmp_path / "s.bin"
    reader = Reader(path)
    assert len(reader.read()) == 0
    writer = Writer(path)
    for operation, outcome, *times in ROWS:
        writer.add((writer.label(operation, outcome), *times))
        writer.flush()
        (done_ns,) = reader.read().done_ns.tolist()
        assert done_ns == times[-1]
    assert reader.footer is None
    writer.close()
    assert len(reader.read()) == 0
    assert reader.footer is not None


def test_first_answers_are_kept_up_to_a_limit(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "a.bin")
    for status in range(500, 500 + FIRST_ANSWERS_MAX + 1):
        writer.first_answer("find", f"unexpected {status}", f"said {status}")
    writer.close()
    reader = Reader(tmp_path / "a.bin")
    reader.read()
    assert len(reader.answers) == FIRST_ANSWERS_MAX
    assert reader.answers["find: unexpected 500"] == "said 500"
    assert reader.footer == Footer(0, 0)


def test_the_same_names_of_several_generators_are_one(tmp_path: Path) -> None:
    paths = [written(tmp_path / "0.bin", ROWS), written(tmp_path / "1.bin", ROWS[::-1])]
    samples = read(paths)
    assert (samples.operations, len(samples)) == (["a", "b"], 6)
    assert samples.operation.tolist() == [0, 1, 0, 0, 1, 0]
    assert samples.count("timeout") == 2
    assert samples.response_ns.tolist() == [4, 7, 87, 87, 7, 4]
    assert samples.service_ns.tolist() == [3, 7, 86, 86, 7, 3]
    assert samples.schedule_lag_ns.tolist() == [1, 0, 1, 1, 0, 1]
    assert len(merge([])) == 0


def test_a_sample_cut_in_two_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "s.bin", ROWS)
    path.write_bytes(path.read_bytes()[:-1])
    assert named(path) == ROWS[:2]


@pytest.mark.parametrize(
    ("marks", "message"),
    [
        (b'{"schema_version": 99}\n', "schema"),
        (b"what is this\n", "line 1"),
        (b"", "without a name"),
        (b'{"schema_version":1,"monotonic_ns":1,"wall_ns":2}\n{"odd":1}\n', "line 2"),
    ],
)
def test_marks_that_are_none(tmp_path: Path, marks: bytes, message: str) -> None:
    path = written(tmp_path / "s.bin", ROWS)
    path.with_suffix(".jsonl").write_bytes(marks)
    with pytest.raises(SamplesError, match=message):
        read([path])


def test_samples_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SamplesError, match="missing"):
        read([tmp_path / "none.bin"])


def test_as_many_names_as_a_label_can_hold(tmp_path: Path) -> None:
    writer = Writer(tmp_path / "s.bin")
    for index in range(LABELS_MAX):
        writer.label("a", str(index))
    with pytest.raises(SamplesError, match="outcome"):
        writer.label("a", "one more")
    writer.close()


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [("200", "ok"), ("302", "ok"), ("409 out_of_stock", "refused"), ("503 overloaded", "failed"),
     ("500", "failed"), ("504 timeout", "censored"), ("timeout", "censored"),
     ("connection closed", "censored"), (DROPPED_IN_FLIGHT, "dropped"),
     ("unexpected 404", "failed")],
)  # fmt: skip
def test_the_kind_of_an_outcome(outcome: str, kind: Kind) -> None:
    assert kind_of(outcome) == kind


@given(st.text(max_size=10))
def test_every_outcome_has_a_kind(outcome: str) -> None:
    assert kind_of(outcome) in ("ok", "refused", "failed", "censored", "dropped")
