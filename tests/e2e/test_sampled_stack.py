"""A sampler on the stack of the session, under load and through a fault."""

import asyncio
import os
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TypeVar

import psutil
from support.watched_sampler import watch

from bench.errors import BenchError
from bench.judge.client import Client
from bench.observe.flink import FlinkWatch
from bench.observe.gc_log import freed_bytes, read_pauses
from bench.observe.jvm_allocation import AllocationMeter
from bench.observe.jvm_attach import ask
from bench.observe.sampler import Sampler
from bench.records.series import Series
from bench.records.series_file import read_series, write_series
from bench.workload.journey import Call
from system.runtime.stack import Stack

IN_FLIGHT = 8
SECOND_NS = 1_000_000_000
CREATE = Call("create_user", "POST", "/users/create")
PARTS = ("gateway", "kafka", "flink", "generator")
ATTEMPTS_MAX = 10
Told = TypeVar("Told")


def sampler_of(stack: Stack) -> Sampler:
    def pids() -> dict[str, list[int]]:
        return {**stack.pids(), "generator": [os.getpid()]}

    return Sampler(
        [stack.url],
        stack.options.workers,
        pids,
        stack.flink_rest,
        stack.gc_logs(),
        stack.bootstrap_servers,
    )


async def load_until(stack: Stack, enough: Callable[[], bool]) -> int:
    """Keeps some requests in flight; returns how many were answered."""
    async with Client(stack.url, IN_FLIGHT) as client:

        async def customer() -> None:
            while not enough():
                await client.send(CREATE)

        await asyncio.gather(*(customer() for _ in range(IN_FLIGHT)))
        return sum(row.status == 200 for row in client.rows)


async def test_a_loaded_stack(stack: Stack, tmp_path: Path) -> None:
    sampler = sampler_of(stack)
    watched = watch(sampler)
    assert stack.flink_rest
    flink = FlinkWatch(stack.flink_rest)
    began_ns = time.monotonic_ns()
    seen: set[str] = set()

    def checkpointed() -> bool:
        with suppress(BenchError):  # the JobManager took its time
            flink.read()
            flink.see()
        return any(
            event.kind == "checkpoint" and event.at_ns > began_ns
            for event in flink.events(time.monotonic_ns())
        )

    def enough() -> bool:
        """Each figure has been there, some seconds have passed, and a checkpoint with them."""
        seen.update(name for name, value in watched.latest.items() if value)
        wanted = {f"cpu.{part}" for part in PARTS} | {"in_flight", "host.busy"}
        return (
            wanted <= seen
            and "lag.requests" in watched.latest
            and time.monotonic_ns() - began_ns > 4 * SECOND_NS
            and checkpointed()
        )

    sampler.start()
    answered = await load_until(stack, enough)
    series = sampler.stop()
    flink.close()
    assert answered

    path = tmp_path / "series-users-8.json"
    write_series(path, series)
    assert read_series(path) == series
    window = (began_ns, time.monotonic_ns())
    cores = psutil.cpu_count()
    for part in PARTS:
        # The kernel counts a process's time in ticks of 10 ms.
        assert 0 < sum(series.known(f"cpu.{part}", *window)) < 1.1 * cores * len(series.at_ns)
        assert min(series.known(f"rss_mib.{part}", *window)) > 10
    for part in ("jobmanager", "taskmanager"):
        assert min(series.known(f"part.rss_mib.flink_{part}", *window)) > 100
    assert 0 < max(series.known("in_flight", *window)) <= IN_FLIGHT
    lags = [name for name in series.series if name.startswith("lag.")]
    assert {"lag.requests"} < set(lags), "and a reply topic"
    for name in lags:
        assert all(0 <= lag <= answered + IN_FLIGHT for lag in series.known(name, *window))
    assert max(series.known("host.busy", *window)) <= 1.1 * cores
    assert_checkpoints(series)


def assert_checkpoints(series: Series) -> None:
    """They come at most each second, and each is told once."""
    found = [event for event in series.events if event.kind == "checkpoint"]
    assert found
    assert len(found) <= (series.at_ns[-1] - series.at_ns[0]) / SECOND_NS + 3
    assert len({event.text for event in found}) == len(found)
    assert all(
        series.at_ns[0] - event.duration_ms * 1e6 <= event.at_ns <= time.monotonic_ns()
        for event in found
    )


def test_the_jvms_log_their_pauses_by_the_clock_of_the_samples(stack: Stack) -> None:
    wall_offset_s = time.time() - time.monotonic()
    began_s = psutil.Process().create_time()  # a JVM may be another one by now, this process isn't
    pauses = [pause for part, log in stack.gc_logs().items() for pause in read_pauses(part, log)]
    assert pauses, "each JVM pauses while it starts"
    # psutil's times of creation are by the wall clock, and rounded.
    begin_ns = (began_s - wall_offset_s - 1) * SECOND_NS
    assert all(begin_ns < pause.at_ns < time.monotonic_ns() for pause in pauses)


def patient(tell: Callable[[], Told]) -> Told:
    """What a JVM tells; one that a busy machine has no time for is asked again."""
    for _ in range(ATTEMPTS_MAX - 1):
        with suppress(BenchError):
            return tell()
    return tell()


async def test_the_jvms_tell_what_they_allocate(stack: Stack) -> None:
    """More than the requests' own bytes, and a collection in between hides none of it."""
    logs, requests, request_bytes_min = stack.gc_logs(), 500, 100
    meter = AllocationMeter(stack.pids, logs)
    before = patient(meter.read)
    left = iter(range(requests))
    await load_until(stack, lambda: next(left, None) is None)
    for heap in before.values():
        patient(partial(ask, heap.pid, "GC.run"))
    after = patient(meter.read)
    for part, log in logs.items():
        assert freed_bytes(log, before[part].at_ns, after[part].at_ns) > 0
    allocated = meter.between(before, after)
    assert allocated.keys() == {"kafka", "flink"}
    assert min(allocated.values()) > requests * request_bytes_min


def test_a_killed_part_and_the_job_s_restart_are_seen(
    stack: Stack, until: Callable[[Callable[[], object]], None]
) -> None:
    sampler = sampler_of(stack)
    watched = watch(sampler)
    sampler.start()
    part = "flink_taskmanager"
    until(lambda: f"part.cpu.{part}" in watched.latest)
    stack.kill(part)
    until(lambda: f"part.cpu.{part}" not in watched.latest)
    stack.start(part)
    stack.wait_ready()
    until(lambda: f"part.cpu.{part}" in watched.latest)
    series = sampler.stop()
    assert None in series.series[f"part.cpu.{part}"][1:]
    rare = [event for event in series.events if event.kind in ("fault", "rebalance")]
    assert all(series.at_ns[0] < event.at_ns < series.at_ns[-1] + SECOND_NS for event in rare)
    told = " | ".join(f"{event.kind}: {event.text}" for event in rare)
    assert f"fault: {part} ended, and was started" in told
    assert "fault: the job failed: " in told
    assert "rebalance: the job goes on from checkpoint" in told
    assert all(event.duration_ms > 0 for event in rare)
