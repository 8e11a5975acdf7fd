"""What a sampler reads: logs of the JVMs, the gateway's gauges, Flink's jobs."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.small_server import CHECKPOINTS, EXCEPTIONS, METRIC, flink, metrics, serving

from bench.errors import BenchError
from bench.observe.flink import LAG_EVERY, FlinkWatch, checkpoints, faults, with_durations
from bench.observe.gateway import Gauge, Gauges, parse_gauge
from bench.observe.gc_log import Pause, freed_bytes, parse, read_pauses
from bench.records.series import Event

MS = 1_000_000

# ---- logs of garbage collection

GC_LOG = b"""\
[7317198426937ns] GC(0) Pause Young (Allocation Failure) 137M->18M(494M) 401.413ms
[7325711666340ns] GC(1) Pause Full (CodeCache GC Threshold) 81M->24M(494M) 612.081ms
[7339000000000ns] GC(2) Concurrent Mark Cycle 21.500ms
[7339072393769ns] GC(2) Pause Remark 125M->34M(494M) 0.942ms
[7356151845183ns] GC(3) Pause Young (Normal) (G1 Evacuation Pause) 169M->38M(1024M) 6.561ms
[7356151845184ns] GC(4) Pause Young (Nor"""


def test_pauses_begin_before_their_line(tmp_path: Path) -> None:
    log = tmp_path / "gc.log"
    log.write_bytes(GC_LOG)
    assert read_pauses("kafka", log) == [
        Event("gc", 7316797013937, 401.413, "kafka: Pause Young (Allocation Failure)"),
        Event("gc", 7325099585340, 612.081, "kafka: Pause Full (CodeCache GC Threshold)"),
        Event("gc", 7356145284183, 6.561, "kafka: Pause Young (Normal) (G1 Evacuation Pause)"),
    ]


def test_what_collections_free_is_summed_by_their_end(tmp_path: Path) -> None:
    log = tmp_path / "gc.log"
    assert freed_bytes(log, 0, 2**62) == 0
    log.write_bytes(GC_LOG)
    assert freed_bytes(log, 0, 2**62) == (119 + 57 + 91 + 131) << 20
    assert freed_bytes(log, 7317198426937, 7325711666340) == 119 << 20
    assert freed_bytes(log, 7317198426938, 7325711666341) == 57 << 20


def test_a_rotated_log_comes_first(tmp_path: Path) -> None:
    log, lines = tmp_path / "gc.log", GC_LOG.splitlines(keepends=True)
    whole = tmp_path / "whole.log"
    whole.write_bytes(GC_LOG)
    assert read_pauses("kafka", log) == []
    log.write_bytes(b"".join(lines[1:]))
    assert len(read_pauses("kafka", log)) == 2
    log.with_name("gc.log.0").write_bytes(lines[0])
    assert read_pauses("kafka", log) == read_pauses("kafka", whole)


@given(st.binary() | st.text("[]0123456789ns GC()Pause.msM->\n").map(str.encode))
def test_any_log_can_be_read(text: bytes) -> None:
    assert all(pause.duration_ms >= 0 for pause in parse(text))


@given(
    st.integers(10**13, 2**60),
    st.integers(1000, 10**9),
    st.sampled_from([("", 0), (" 9M->1M(512M)", 8 << 20), (" 9216K->1024K(1G)", 8 << 20)]),
)
def test_a_pause_is_read_to_the_microsecond(
    end_ns: int, pause_us: int, heap: tuple[str, int]
) -> None:
    line = f"[{end_ns}ns] GC(7) Pause Young (Normal){heap[0]} {pause_us / 1000:.3f}ms\n"
    assert [*parse(line.encode())] == [
        Pause("Pause Young (Normal)", end_ns, pause_us / 1000, heap[1])
    ]


# ---- the gateway


def test_the_gauge_of_a_gateway() -> None:
    found = parse_gauge(metrics("a-1", 7, matched=3, late=2))
    assert found == ("a-1", Gauge(in_flight=7, replies=5))
    for text in (b"", b"# HELP\n", metrics("a", 1) + metrics("b", 2)):
        with pytest.raises(BenchError):
            parse_gauge(text)


@given(st.binary())
def test_any_other_text_is_not_a_gateway_s(text: bytes) -> None:
    with pytest.raises(BenchError):
        parse_gauge(text)


def test_each_worker_has_a_connection_of_its_own() -> None:
    """The kernel gives each new connection to any of the workers that share a port."""
    asked: list[int] = []

    def reply(path: str, connection: int) -> tuple[int, bytes]:
        asked.append(connection)
        return 200, metrics("ab"[connection // 2 % 2], connection)

    with serving(reply) as url:
        gauges = Gauges(url, workers=2)
        assert gauges.read() == {"a": Gauge(1, 0), "b": Gauge(2, 0)}
        assert asked == [0, 1, 2]
        assert gauges.read() == {"a": Gauge(0, 0), "b": Gauge(2, 0)}
        assert asked[3:] == [0, 2]
        gauges.close()


def test_a_worker_that_is_not_there() -> None:
    with serving(lambda path, _: (200, metrics("a", 0))) as url:
        gauges = Gauges(url, workers=2)
        with pytest.raises(BenchError, match="has 1 gateway workers, not 2"):
            gauges.read()
        gauges.close()
    with pytest.raises(BenchError):
        gauges.read()


# ---- Flink


def test_checkpoints_and_restarts_by_the_monotonic_clock() -> None:
    assert [*checkpoints(CHECKPOINTS, wall_offset_ns=1000 * MS).values()] == [
        Event("checkpoint", 3000 * MS, 0.0, "checkpoint 53: in progress"),
        Event("checkpoint", 2000 * MS, 68.0, "checkpoint 52: 2 KiB"),
        Event("checkpoint", 0, 8.0, "checkpoint 51: Trigger checkpoint failure."),
        Event(
            "rebalance",
            500 * MS,
            0.0,
            "the job goes on from checkpoint 51: partitions are assigned anew",
        ),
    ]


def test_a_fault_lasts_until_the_next_checkpoint() -> None:
    events = [*checkpoints(CHECKPOINTS, 0).values(), *faults(EXCEPTIONS, 0).values()]
    found = {event.kind: event for event in with_durations(events, end_ns=9000 * MS)}
    assert found["fault"] == Event(
        "fault", 1200 * MS, 1800.0, "the job failed: a.Lost: TaskManager is gone"
    )
    assert found["rebalance"].duration_ms == 1500
    (alone,) = with_durations([*faults(EXCEPTIONS, 0).values()], end_ns=9000 * MS)
    assert alone.duration_ms == 7800


def test_lags_are_asked_for_now_and_then() -> None:
    asked: list[str] = []
    with serving(flink(asked)) as url:
        watch = FlinkWatch(url.removeprefix("http://"))
        lags = [watch.read() for _ in range(2 * LAG_EVERY)]
        assert lags == [{}] + [{"user_in": 7.0}] * (2 * LAG_EVERY - 1)
        assert asked.count(METRIC) == 2
        assert asked.count("/jobs") == 1
        watch.see()
        watch.close()
    kinds = [event.kind for event in watch.events(end_ns=2**62)]
    assert sorted(kinds) == ["checkpoint"] * 3 + ["fault", "rebalance"]


@pytest.mark.parametrize("broken", [{}, [], None, {"history": 7}, {"history": [{"id": 1}]}, "x"])
def test_an_answer_that_is_not_flink_s_is_a_bench_error(broken: Any) -> None:
    with serving(flink([], **{"/jobs/j/checkpoints": broken})) as url:
        watch = FlinkWatch(url.removeprefix("http://"))
        for ask in (watch.read, watch.see):
            with pytest.raises(BenchError):
                ask()
        watch.close()


def test_after_a_failure_the_jobs_are_looked_for_anew() -> None:
    asked: list[str] = []
    answer, down = flink(asked), False
    with serving(lambda path, number: (503, b"") if down else answer(path, number)) as url:
        watch = FlinkWatch(url.removeprefix("http://"))
        for _ in range(LAG_EVERY):
            watch.read()
        down = True
        with pytest.raises(BenchError):
            watch.read()
        down = False
        assert watch.read() == {"user_in": 7.0}
        assert asked.count("/jobs") == 2
        watch.close()
