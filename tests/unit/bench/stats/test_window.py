"""Figures of hand-made samples."""

from pathlib import Path

from bench.records.run_record import Latency
from bench.records.samples import Samples, Window, Writer, read
from bench.stats.window import summarize

MS = 1_000_000


def made(folder: Path, *rows: tuple[int, int, str]) -> Samples:
    """(done_ms, latency_ms, outcome): sent 1 ms after it was due."""
    folder.mkdir(exist_ok=True)
    writer = Writer(folder / "s.bin")
    for done_ms, latency_ms, outcome in rows:
        intended_ns = (done_ms - latency_ms) * MS
        label = writer.label("find_user", outcome)
        writer.add((label, intended_ns, intended_ns + MS, done_ms * MS))
    writer.close()
    return read([folder / "s.bin"])


ROWS = (
    (1100, 10, "200"),
    (1200, 20, "409 out_of_stock"),
    (1300, 5000, "504 timeout"),
    (1400, 1, "503 overloaded"),
    (2500, 30, "200"),
    (3500, 700, "200"),
)


def test_a_closed_loop_counts_what_ended_in_the_window(tmp_path: Path) -> None:
    window = Window(1000 * MS, 3000 * MS)
    total, operations, kept = summarize(made(tmp_path, *ROWS), window)
    assert kept is None
    assert (total.requests, total.answered, total.throughput_per_s) == (5, 3, 1.5)
    assert total.refused == {"409 out_of_stock": 1}
    assert total.failed == {"504 timeout": 1, "503 overloaded": 1}
    assert total.done == {"200": 2}
    assert total.latency_ms == Latency(
        30, 5000, 5000, 5000, 5000, at_least=["p90", "p99", "p99.9", "max"]
    ), "of what was under way at the end, 200 ms are known"
    assert operations == {"find_user": total}


def test_what_a_closed_loop_waits_for_at_its_end_is_in_the_latencies(tmp_path: Path) -> None:
    """Else a system that stops halfway looks quick: nothing that ended was slow, and nothing had
    time to fail."""
    window = Window(1000 * MS, 3000 * MS)
    quick = [(1000 + number, 10, "200") for number in range(900)]
    stopped = [(5000, 3100, "504 timeout")] * 64
    total, operations, _ = summarize(made(tmp_path / "a", *quick, *stopped), window)
    assert (total.requests, total.failed) == (964, {"504 timeout": 64})
    assert total.latency_ms == Latency(10, 10, 3100, 3100, 3100, ["p99", "p99.9", "max"])
    assert operations == {"find_user": total}
    answered_late = [(5000, 3100, "200")] * 64
    total, _, _ = summarize(made(tmp_path / "late", *quick, *answered_late), window)
    assert (total.requests, total.failed) == (900, {})
    assert total.latency_ms == Latency(10, 10, 1100, 1100, 1100, ["p99", "p99.9", "max"])
    usual = [(3005, 10, "200"), (3001, 3, "200")]
    total, _, _ = summarize(made(tmp_path / "b", *quick, *usual), window)
    assert total.latency_ms == Latency(10, 10, 10, 10, 10, [])


def test_an_open_loop_counts_what_was_due_in_the_window(tmp_path: Path) -> None:
    window = Window(1000 * MS, 3000 * MS, is_open_loop=True)
    rows = (*ROWS, (1500, 0, "dropped in_flight"))
    total, _, kept = summarize(made(tmp_path, *rows), window)
    assert kept is not None
    assert (total.requests, total.answered) == (5, 4)
    assert total.latency_ms is not None
    assert total.latency_ms.p50 == 30
    assert "p50" not in total.latency_ms.at_least
    assert total.latency_ms.max == 700
    assert "max" in total.latency_ms.at_least
    assert (kept.scheduled, kept.dropped, kept.achieved_ratio) == (6, 1, 0.8333)
    assert kept.service_ms is not None
    assert kept.service_ms.max == 699
    assert kept.schedule_lag_ms is not None
    assert kept.schedule_lag_ms.p50 == 1


def test_nothing_in_the_window(tmp_path: Path) -> None:
    total, operations, _ = summarize(made(tmp_path, *ROWS[:2]), Window(0, 1))
    assert (total.requests, total.latency_ms, operations) == (0, None, {})
