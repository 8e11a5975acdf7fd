"""The generator against servers whose latencies are known: what it says must be the truth.

Open loop and closed loop, side by side over the same server with the same stall.
"""

import csv
import signal
import subprocess
import sys
import time
from math import ceil
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.truth_serving import server

from bench.calibrate import truth_server
from bench.calibrate.truth_server import truth_ms
from bench.generator.spec import Spec
from bench.judge import generator_health
from bench.judge.checks import doubts
from bench.project import PROJECT_DIR
from bench.records.samples import DROPPED_IN_FLIGHT, DROPPED_LATE, Reader, Samples, Window
from bench.stats.window import summarize
from bench.workload.arrivals import Schedule, Stage, intended_ns

RATE_PER_S = 300.0
DURATION_S = 12.0
STALL_AT_S = 5.0
LOSS_ALLOWED = 0.02
"""How far a quantile may be from the truth."""
SEED = 5
ATTEMPTS_MAX = 10
"""Runs until one is not void."""


class Generating:
    """A generator process, as `bench.run.phase_runner` runs it."""

    def __init__(self, url: str, folder: Path, **changes: object) -> None:
        workload = folder / "workload.toml"
        workload.write_text('[[request]]\noperation = "root"\npath = "/"\n')
        fields = {
            "url": url,
            "workload": str(workload),
            "zipf": 0.0,
            "seed": SEED,
            "stages": ((RATE_PER_S, RATE_PER_S, DURATION_S),),
            "arrivals": "constant",
            "users": 0,
            "duration_s": DURATION_S,
            "index": 0,
            "count": 1,
            "in_flight_max": 1500,
            "timeout_s": 20.0,
            "trace_every": 0,
            "samples": str(folder / "samples.bin"),
            "history": str(folder / "history.jsonl"),
            "traces": str(folder / "traces.jsonl"),
            "go": str(folder / "go"),
        }
        self.spec = Spec(**{**fields, **changes})  # type: ignore[arg-type]
        path = folder / "spec.json"
        path.write_bytes(self.spec.to_json())
        self._go = folder / "go"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.generator.process", str(path)]
        )
        self.reader = Reader(Path(self.spec.samples))
        self._parts: list[Samples] = []

    def __enter__(self) -> "Generating":
        while not self.reader.ready:
            self.reader.read()
            assert self.process.poll() is None
            time.sleep(0.01)
        partial = self._go.with_suffix(".partial")
        partial.write_text(str(time.monotonic_ns() + 100_000_000))
        partial.rename(self._go)
        self.begin_ns = int(self._go.read_text())
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()

    def finish(self) -> Samples:
        """Lets it end, and returns all that it recorded."""
        while time.monotonic_ns() < self.begin_ns + self.spec.duration_s * 1e9:
            assert self.process.poll() is None
            time.sleep(0.05)
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(timeout=60) == 0
        self.reader = Reader(Path(self.spec.samples))
        return self.reader.read()


def quantile(values: NDArray[np.float64], percent: float) -> float:
    return float(np.sort(values)[ceil(round(len(values) * percent / 100, 6)) - 1])


def in_time(folder: Path, *arguments: str) -> tuple[Generating, Samples]:
    """One that sent all that was due, in time: a machine that is too busy voids a run, as ever."""
    for attempt in range(ATTEMPTS_MAX):
        place = folder / str(attempt)
        place.mkdir()
        with server(*arguments) as url, Generating(url, place) as generating:
            samples = generating.finish()
        begin_ns = generating.begin_ns
        window = Window(begin_ns, begin_ns + int(DURATION_S * 1e9), is_open_loop=True)
        kept = summarize(samples, window).open
        marks, late = [generating.reader.watched], samples.count(DROPPED_LATE)
        doubted = doubts(generator_health.judge(marks, window, kept, late))
        if not doubted and not late:
            return generating, samples
    pytest.fail(f"void {ATTEMPTS_MAX} times: {doubted or late}")


@pytest.mark.parametrize("stall_at_s", [None, STALL_AT_S])
def test_an_open_loop_tells_the_truth(tmp_path: Path, stall_at_s: float | None) -> None:
    arguments = [] if stall_at_s is None else [str(stall_at_s)]
    generating, samples = in_time(tmp_path, *arguments)
    spec = generating.spec
    stages = tuple(Stage(*stage) for stage in spec.stages)
    due_ns = intended_ns(Schedule(stages, spec.arrivals), spec.seed)
    expected = truth_ms(due_ns / 1e9, stall_at_s)
    begin_ns = generating.begin_ns
    window = Window(begin_ns, begin_ns + int(DURATION_S * 1e9), is_open_loop=True)
    total, _, kept = summarize(samples, window)
    assert kept is not None
    assert (kept.scheduled, kept.dropped, total.requests) == (len(due_ns), 0, len(due_ns))
    errors = [truth_server.is_error(request) for request in range(len(due_ns))]
    assert total.failed == {"unexpected 503": sum(errors)}
    answered = expected[~np.array(errors)]
    assert total.latency_ms is not None
    for name, percent in (("p50", 50), ("p99", 99), ("p99.9", 99.9)):
        assert total.latency_ms.of(name) == pytest.approx(quantile(answered, percent), LOSS_ALLOWED)
    ended = np.count_nonzero(due_ns[~np.array(errors)] / 1e6 + answered < DURATION_S * 1e3)
    assert total.throughput_per_s == pytest.approx(ended / DURATION_S, LOSS_ALLOWED)


def test_a_closed_loop_hides_the_stall(tmp_path: Path) -> None:
    """20 users: 20 requests see 2 s of stall, where 600 were due in it."""
    with (
        server(str(STALL_AT_S)) as url,
        Generating(url, tmp_path, stages=(), users=20) as generating,
    ):
        samples = generating.finish()
    due_ns = np.arange(0, DURATION_S, 1 / RATE_PER_S)
    truth_p90 = quantile(truth_ms(due_ns, STALL_AT_S), 90)
    answered = samples.where(samples.of_kind("ok"))
    assert truth_p90 > 500
    assert quantile(answered.response_ns / 1e6, 90) < truth_p90 / 2
    assert np.count_nonzero(answered.response_ns > 1.5e9) <= 40


def test_more_than_may_be_under_way_is_dropped_and_counted(tmp_path: Path) -> None:
    with (
        server() as url,
        Generating(
            url, tmp_path, in_flight_max=8, stages=((RATE_PER_S, RATE_PER_S, 3.0),), duration_s=3.0
        ) as generating,
    ):
        samples = generating.finish()
    dropped = samples.count(DROPPED_IN_FLIGHT)
    assert dropped > 0
    footer = generating.reader.footer
    assert footer is not None
    assert (footer.scheduled, footer.sent) == (900, 900 - dropped - samples.count(DROPPED_LATE))
    sent = samples.where(~samples.of_kind("dropped"))
    began = np.sort(sent.sent_ns)
    ended = np.sort(sent.done_ns)
    under_way = np.arange(1, len(began) + 1) - np.searchsorted(ended, began, side="right")
    assert under_way.max() <= 8


def test_what_is_not_answered_in_time_is_censored(tmp_path: Path) -> None:
    with (
        server("0") as url,
        Generating(
            url, tmp_path, timeout_s=0.5, stages=((20.0, 20.0, 1.0),), duration_s=1.0
        ) as generating,
    ):
        samples = generating.finish()
    late = samples.count(DROPPED_LATE)
    assert samples.count("timeout") + late == len(samples) == 20 > late
    assert (samples.where(~samples.of_kind("dropped")).response_ns >= 5e8).all()


def test_locusts_page_is_told_how_long_answers_are(tmp_path: Path) -> None:
    """It shows an average size; the server's answers have two bytes each."""
    with server() as url:
        subprocess.run(
            [sys.executable, "-m", "locust", "--headless", "--locustfile", "locustfiles/shop.py",
             "--host", url, "--users", "2", "--run-time", "20s", "--csv", str(tmp_path / "shop")],
            cwd=PROJECT_DIR, capture_output=True, check=False,
        )  # fmt: skip
    with (tmp_path / "shop_stats.csv").open(newline="") as file:
        *_, total = csv.DictReader(file)
    assert (int(total["Request Count"]) > 0, total["Average Content Size"]) == (True, "2.0")


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with Generating(
        "http://127.0.0.1:9", tmp_path, stages=((20.0, 20.0, 1.0),), duration_s=1.0
    ) as generating:
        samples = generating.finish()
    late = samples.count(DROPPED_LATE)
    assert samples.count("connection ConnectionRefusedError") + late == len(samples) == 20 > late


def test_a_generator_that_is_held_back_says_so(tmp_path: Path) -> None:
    """Stopped for half of the time: 300 ms of each 600."""
    stages = ((RATE_PER_S, RATE_PER_S, 6.0),)
    with (
        server() as url,
        Generating(url, tmp_path, stages=stages, duration_s=6.0) as generating,
    ):
        while time.monotonic_ns() < generating.begin_ns + 5.5e9:
            generating.process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            generating.process.send_signal(signal.SIGCONT)
            time.sleep(0.3)
        samples = generating.finish()
    window = Window(generating.begin_ns, generating.begin_ns + 6 * 10**9, is_open_loop=True)
    kept = summarize(samples, window).open
    marks = [generating.reader.watched]
    reasons = doubts(generator_health.judge(marks, window, kept, samples.count(DROPPED_LATE)))
    assert any("late at p99" in reason for reason in reasons)
    assert any("were not sent" in reason for reason in reasons)
