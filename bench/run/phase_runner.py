"""A phase of a run is made by generator processes that record what they send.

The measured window opens when everything is prepared and the warm-up is over.
Whatever the processes send before and after is recorded too, and judged, but not measured.
"""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np

from bench.errors import BenchError
from bench.generator.fleet import Generators
from bench.generator.spec import READY_TIMEOUT_S, Load, Phase
from bench.observe.gateway import scrape_all
from bench.observe.jvm_allocation import AllocationMeter, Heaps
from bench.observe.kafka_offsets import Ends, TrafficMeter, records_between
from bench.observe.processes import BESIDE, Cpu, CpuMeter, Pids, Reading, spent
from bench.observe.sampler import Sampler
from bench.records.samples import Reader, Samples, Window, merge
from bench.records.series import Series
from bench.records.series_file import write_series
from bench.run import out_folder
from bench.run.model import Measured, Progress, System
from bench.run.overload import OVERLOAD_S, Overload
from bench.stats import steadiness
from bench.stats.steadiness import STRETCH_S, Steadiness

POLL_S = 0.05
"""This much time passes between looks at the generators."""
PROGRESS_INTERVAL_S = 1.0
"""This much time passes between two lines of progress."""


class Live:
    """The progress line tells what came in since the last one, and the most frequent failure."""

    def __init__(self, phase: Phase, progress: Progress) -> None:
        self._phase = phase
        self._progress = progress
        self._parts: list[Samples] = []
        self._since_s = self._begun_s = time.monotonic()
        self._stage = ""
        self._limits_s = {"warm up": phase.warmup_s, "measure": phase.duration_s}
        """The stages take at most so long, as far as that is known."""

    def see(self, samples: Samples, stage: str, in_flight: int | None) -> None:
        """`see` takes samples; `in_flight` requests were under way, as far as that is known."""
        self._parts.append(samples)
        now_s = time.monotonic()
        if stage != self._stage:
            self._stage, self._begun_s = stage, now_s
        if now_s - self._since_s < PROGRESS_INTERVAL_S:
            return
        seen = merge(self._parts)
        answered = seen.where(seen.of_kind("ok", "refused"))
        quantiles = "no reply"
        if len(answered):
            p50, p99 = np.percentile(answered.response_ns / 1e6, (50, 99))
            quantiles = f"p50 {p50:.1f} ms  p99 {p99:.1f} ms"
        failures = seen.where(seen.of_kind("failed", "censored"))
        failed = f"failed {len(failures)}"
        if len(failures):
            commonest = int(np.bincount(failures.outcome).argmax())
            failed += f" ({failures.outcomes[commonest]})"
        dropped = int(seen.of_kind("dropped").sum())
        lost = f"  dropped {dropped}" if self._phase.schedule is not None else ""
        under_way = "" if in_flight is None else f"  in flight {in_flight}"
        rate = len(answered) / (now_s - self._since_s)
        limit_s = self._limits_s.get(stage)
        by = "/" if self._phase.duration_s else " of at most "  # it ends once it is steady
        of = "" if limit_s is None else f"{by}{limit_s:.0f}"
        spent = f"{now_s - self._begun_s:.0f}{of} s"
        self._progress(
            f"{self._phase.name:>8}  {stage:<8}{spent:>9}"
            f"{rate:8,.0f}/s  {quantiles}{under_way}  {failed}{lost}"
        )
        self._parts, self._since_s = [], now_s


def run_phase(
    system: System,
    load: Load,
    phase: Phase,
    seed: int,
    folder: Path,
    progress: Progress,
) -> Measured:
    """`run_phase` measures a phase. Ctrl-C ends it early, and so does a generator or a system that
    ends, or users that are not ready in time, which is then the `cause`: the window is kept as far
    as it got.

    Each Locust process has a seed of its own, counted up from `seed`. It raises `BenchError` where
    nothing could be begun.
    """
    generators = Generators(system.url, load, phase, seed, folder)

    def pids() -> dict[str, Sequence[int]]:
        # What is sent from elsewhere has a cost that is not known here.
        own = {"generator": [os.getpid(), *generators.pids()]} if generators.are_here else {}
        return {**system.pids(), **own}

    def all_pids() -> dict[str, Sequence[int]]:
        here = [] if generators.are_here else [os.getpid(), *generators.pids()]
        beside = [*system.beside(), *here]
        return {**pids(), BESIDE: beside} if beside else pids()

    meter, sampler = CpuMeter(pids), _sampler(system, load, all_pids)
    sampler.start()
    counted = Counted(system)
    live = Live(phase, progress)
    # Of the shop a search or a comparison may ask for more than there is.
    overload = None if load.is_shop or phase.schedule is None else Overload()
    watch = _Watch(system, generators, phase, meter, counted, live, folder, overload)
    interrupted, cause, amounts = False, None, dict[str, float]()
    try:
        try:
            watch.until_closed()
        except KeyboardInterrupt:
            interrupted = True
            watch.close()
        except BenchError as fault:
            cause = fault
            watch.close()
        if overload is not None and overload.found:
            progress(f"{phase.name}: ended early: most requests were dropped for {OVERLOAD_S:g} s")
        amounts = counted.amounts()  # now, as the generators' own topics end with them
        generators.stop()
    except KeyboardInterrupt:  # again, or as they answer what is under way
        interrupted = True
    except BenchError as fault:
        cause = cause or fault
    finally:
        series = sampler.stop()
        generators.close()
    samples, histories, traces = generators.written()
    series_path = folder / f"series-{phase.name}.json"
    write_series(series_path, with_generators(series, samples))
    return Measured(
        phase,
        len(generators.samples),
        samples,
        histories,
        traces,
        watch.groups,
        watch.window,
        watch.cpu,
        watch.warmup_s,
        watch.settled,
        interrupted,
        cause,
        series_path,
        agents=generators.agents(),
        counted=amounts,
    )


class Counted:
    """The system itself alone can tell this of the time between two moments, as far as it does."""

    def __init__(self, system: System) -> None:
        self._kafka = None if system.bootstrap is None else TrafficMeter(system.bootstrap)
        self._jvms = AllocationMeter(system.pids, system.gc_logs())
        self._gateway = (system.urls, system.workers)
        self._ends: list[Ends] = []
        self._own_echoes: list[int] = []
        """The gateway sent and got so many records by itself so far: they are no part of the
        load."""
        self._heaps: list[Heaps] = []

    def read(self) -> None:
        with suppress(BenchError):
            self._heaps.append(self._jvms.read())
        if self._kafka is not None:
            with suppress(BenchError):
                ends, own = self._kafka.ends(), scrape_all(*self._gateway).own_echo_records
                self._ends.append(ends)
                self._own_echoes.append(own)

    def amounts(self) -> dict[str, float]:
        """`amounts` is what was taken between the two reads; without what one of them did not get.
        It is for the end."""
        found: dict[str, float] = {}
        if self._kafka is not None and len(self._ends) == 2:
            added = records_between(*self._ends)
            before, after = self._own_echoes
            found["kafka_records"] = added - (after - before)
            with suppress(BenchError):
                share = found["kafka_records"] / max(1, added)  # an echo is as large as most
                found["kafka_bytes"] = self._kafka.bytes_between(*self._ends) * share
        if len(self._heaps) == 2:
            with suppress(BenchError):
                allocated = self._jvms.between(*self._heaps)
                found |= {f"{group}_allocated_bytes": size for group, size in allocated.items()}
        if self._kafka is not None:
            self._kafka.close()
        return found


def _sampler(system: System, load: Load, pids: Pids) -> Sampler:
    gateways = system.urls if load.is_shop else ()
    return Sampler(
        gateways, system.workers, pids, system.flink_rest, system.gc_logs(), system.bootstrap,
        system.figures,
    )  # fmt: skip


def with_generators(series: Series, samples: Sequence[Path]) -> Series:
    """`with_generators` adds how the generators fared by their own account, on the same time
    axis."""
    marks: list[dict[str, float]] = []
    for path in samples:
        reader = Reader(path)
        reader.read_marks()
        marks += [{**mark, "loop_lag_ms": mark["loop_lag_ns"] / 1e6} for mark in reader.watched]
    names = {"loop_lag_ms": "generator.loop_lag_ms"}
    if len(samples) == 1 and marks and "in_flight" in marks[0]:
        names["in_flight"] = "generator.in_flight"
    return series.with_marks(names, marks)


class _Watch:
    """Follows the generators, and opens and closes the window."""

    def __init__(
        self,
        system: System,
        generators: Generators,
        phase: Phase,
        meter: CpuMeter,
        counted: Counted,
        live: Live,
        folder: Path,
        overload: Overload | None,
    ) -> None:
        """`overload`: ends a load that is beyond the service's reach; None: none is ended."""
        self._folder = folder
        self._overload = overload
        self._system = system
        self._generators = generators
        self._phase = phase
        self._meter = meter
        self._counted = counted
        self._live = live
        self._opened: tuple[int, Reading] | None = None
        self.groups = frozenset[str]()
        self.window: Window | None = None
        self.cpu: dict[str, Cpu] = {}
        self.warmup_s = 0.0
        self.settled: Steadiness | None = None
        self._gave_up_ns = 0
        """When the rate turned out to be out of reach; 0: it did not."""

    def until_closed(self) -> None:
        phase = self._phase
        self._follow("prepare", time.monotonic() + READY_TIMEOUT_S, self._prepared)
        if self._generators.unready():
            raise BenchError(
                f"{self._generators.unready()} users or generators were not ready after "
                f"{READY_TIMEOUT_S:g} s: {self._generators.last_words()}"
            )
        begin_ns = self._generators.go()
        begin_s = begin_ns / 1e9
        open_s = begin_s + phase.warmup_s
        if phase.duration_s:
            self._follow("warm up", open_s)
            self.warmup_s = phase.warmup_s
            self._counted.read()
            self._opened = (time.monotonic_ns(), self._meter.read())
            self.groups = frozenset(self._opened[1])
            self._follow("measure", open_s + phase.duration_s, self._is_out_of_reach)
            self.close()
            if phase.schedule is not None:  # exactly the scheduled times
                length_ns = int(phase.duration_s * 1e9)
                opened_ns = begin_ns + int(phase.warmup_s * 1e9)
                closed_ns = self._gave_up_ns or opened_ns + length_ns
                self.window = Window(opened_ns, closed_ns, is_open_loop=True)
        else:
            warming = _Warming(begin_ns, given_rate=phase.schedule is not None)
            self._follow("warm up", open_s, warming.is_over)
            self.settled, self.warmup_s = warming.settled, time.monotonic() - begin_s

    def close(self) -> None:
        if self._opened is not None:
            opened_ns, cpu = self._opened
            is_open_loop = self._phase.schedule is not None
            self.window = Window(opened_ns, time.monotonic_ns(), is_open_loop)
            self.cpu = spent(cpu, self._meter.read())
            self._counted.read()

    def _is_out_of_reach(self, samples: Samples) -> bool:
        if self._overload is None or not self._overload.is_over(samples):
            return False
        self._gave_up_ns = time.monotonic_ns()
        return True

    def _prepared(self, _: Samples) -> bool:
        return self._generators.unready() == 0

    def _follow(
        self, stage: str, deadline_s: float, is_over: Callable[[Samples], bool] = lambda _: False
    ) -> None:
        while time.monotonic() < deadline_s:
            self._system.check()
            self._generators.check()
            out_folder.check_space(self._folder)
            samples = self._generators.read()
            self._live.see(samples, stage, self._generators.in_flight())
            if is_over(samples):
                return
            time.sleep(max(0.0, min(POLL_S, deadline_s - time.monotonic())))


class _Warming:
    """Judges the last seconds, each time that one more has passed."""

    def __init__(self, begin_ns: int, *, given_rate: bool) -> None:
        self._begin_ns = begin_ns
        self._given_rate = given_rate
        self._parts: list[Samples] = []
        self._judged = 0
        self.settled = Steadiness(False, "it was too short to tell")

    def is_over(self, samples: Samples) -> bool:
        self._parts.append(samples)
        passed = (time.monotonic_ns() - self._begin_ns) // 1_000_000_000
        if passed <= self._judged or passed < STRETCH_S + 1:
            return False
        self._judged = passed
        # The last second is left out: its samples may not all be written yet.
        end_ns = self._begin_ns + (passed - 1) * 1_000_000_000
        recent = merge(self._parts)
        from_ns = end_ns - STRETCH_S * 1_000_000_000
        self._parts = [recent.where(recent.done_ns >= from_ns)]
        stretch = steadiness.seconds(self._parts[0], from_ns, end_ns)
        self.settled = steadiness.judge(stretch, given_rate=self._given_rate)
        return self.settled.steady
