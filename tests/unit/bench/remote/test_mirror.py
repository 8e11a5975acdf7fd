"""What several generators recorded on clocks of their own is, together, what one would have."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.records import request_log
from bench.records.hdr_log import intervals, new_histogram
from bench.records.request_log import History
from bench.records.samples import Samples, Window, Writer, read
from bench.remote.mirror import HISTORY, MARKS, SAMPLES, Mirror, samples_here
from bench.stats.window import summarize

OPERATIONS, OUTCOMES = ("find", "buy", "pay"), ("200", "409 sold", "timeout", "503 overloaded")
SAMPLE = st.tuples(
    st.integers(0, 2), st.integers(0, 3),
    st.integers(0, 5 * 10**9), st.integers(0, 10**8), st.integers(0, 4 * 10**9),
)  # fmt: skip
"""Operation, outcome, when it was due, how late it was sent, how long its answer took."""
WINDOW = Window(10**9, 4 * 10**9, is_open_loop=True)


def write(path: Path, parts: list[tuple[int, ...]], ahead_ns: int) -> None:
    """The samples of one generator, whose clock is ahead."""
    writer = Writer(path)
    for operation, outcome, due_ns, late_ns, took_ns in parts:
        label = writer.label(OPERATIONS[operation], OUTCOMES[outcome])
        at_ns = due_ns + ahead_ns
        writer.scheduled += 1
        writer.sent += 1
        writer.add((label, at_ns, at_ns + late_ns, at_ns + late_ns + took_ns))
    writer.close()


def mirrored(path: Path, ahead_ns: int, cut: int) -> Path:
    """The same as the leader has it; it came in two parts."""
    here = path.with_name(f"here-{path.name}")
    mirror = Mirror(here, here.with_name("history"))
    mirror.write(MARKS, path.with_suffix(".jsonl").read_bytes(), ahead_ns)
    content = path.read_bytes()
    mirror.write(SAMPLES, content[: 32 * cut], ahead_ns)
    mirror.write(SAMPLES, content[32 * cut :], ahead_ns)
    return here


def rows(samples: Samples) -> Counter[tuple[object, ...]]:
    names = zip(samples.operation, samples.outcome, strict=True)
    named = ((samples.operations[a], samples.outcomes[b]) for a, b in names)
    times = zip(samples.intended_ns, samples.sent_ns, samples.done_ns, strict=True)
    return Counter(zip(named, times, strict=True))


def logged(samples: Samples) -> dict[tuple[str, int], bytes]:
    return {
        (each.tag, each.begin_ns): each.histogram.encode()
        for each, _ in intervals(samples, samples.response_ns)
    }


@settings(max_examples=40)
@given(
    st.lists(SAMPLE, min_size=1, max_size=200),
    st.lists(st.integers(-(10**15), 10**15), min_size=4, max_size=4),
    st.integers(0, 30),
)
def test_merged_is_single(parts: list[tuple[int, ...]], ahead_ns: list[int], cut: int) -> None:
    with TemporaryDirectory() as folder:
        write(Path(folder) / "one.bin", parts, 0)
        paths = []
        for index in range(4):
            path = Path(folder) / f"{index}.bin"
            write(path, parts[index::4], ahead_ns[index])
            paths.append(mirrored(path, ahead_ns[index], cut))
        one, merged = read([Path(folder) / "one.bin"]), read(paths)
    assert rows(merged) == rows(one)
    assert summarize(merged, WINDOW) == summarize(one, WINDOW)
    assert logged(merged) == logged(one)
    for percent in (0, 50, 90, 99, 99.9, 100):
        assert np.percentile(merged.response_ns, percent) == np.percentile(one.response_ns, percent)


@given(st.lists(st.integers(1, 10**11), min_size=1, max_size=300))
def test_histograms_add_up_to_that_of_all(values: list[int]) -> None:
    whole, added = new_histogram(), new_histogram()
    for value in values:
        whole.record_value(value)
    for index in range(4):
        part = new_histogram()
        for value in values[index::4]:
            part.record_value(value)
        added.add(part)
    assert added.encode() == whole.encode()
    assert added.get_total_count() == len(values)
    percents = [50, 99, 99.9, 100]
    assert added.get_percentile_to_value_dict(percents) == whole.get_percentile_to_value_dict(
        percents
    )


def test_a_history_is_translated(tmp_path: Path) -> None:
    writer = request_log.Writer(tmp_path / "there")
    writer.scheduled = 1
    writer.append("find", "/find/1", None, 10**9 + 5, 10**9 + 9, 200, {"credit": 1})
    writer.wrong("find: wrong")
    writer.close()
    Mirror(tmp_path / "a.bin", tmp_path / "here").write(
        HISTORY, (tmp_path / "there").read_bytes(), 10**9
    )
    history = History([tmp_path / "here"])
    (row,) = history
    assert (row.sent_ns, row.done_ns, row.body) == (5, 9, {"credit": 1})
    assert history.wrong() == ["find: wrong"]
    assert history.footers() == [request_log.Footer(1, 0)]


def test_a_part_of_a_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole samples"):
        samples_here(bytes(33), 0)
