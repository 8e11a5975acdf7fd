"""The sampler looks at the system and its machine once a second, while a phase runs.

A thread of its own: it starts no processes and keeps its connections. A source that does not answer
leaves its figures unknown, is asked again for the next sample, and is told of as an event. So is
the end of the sampler itself: the series then does not cover all of its window.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError
from bench.observe.flink import FlinkWatch
from bench.observe.gateway import Gauge, Gauges
from bench.observe.gc_log import read_pauses
from bench.observe.host import HostMeter
from bench.observe.kafka_offsets import Place, TrafficMeter
from bench.observe.processes import GROUPS, Pids, Usage, UsageMeter
from bench.records.series import Columns, Event, Series
from system.runtime.parts import kind_of
from system.wire import reply_topic

INTERVAL_S = 1.0
"""This much time passes between two samples of the system and its machine."""
TICK_S = 0.1
"""This much time passes between looks at how many processes wait for a CPU."""
KAFKA_TIMEOUT_S = 1.0
"""The broker may take this long to answer; else the lag of this sample is not known."""
SERIES_MAX = 3_600
"""A series has at most this many samples; then no more are taken. An hour is far longer than the
longest phase."""
TEXT_MAX = 200
"""An event's text has at most this many characters; the reason of a failure may cite a whole
answer."""
MEBIBYTE = 1024 * 1024

Usages = Mapping[str, Mapping[int, Usage]]
Present = Mapping[str, frozenset[int]]
"""A part leads to the processes that it has."""


class Failures(NamedTuple):
    """Readings of a source failed."""

    first_ns: int
    last_ns: int
    number: int
    why: str
    """The first failure says why."""

    def event(self, source: str) -> Event:
        """`event` returns them as one event, from the first to the last."""
        duration_ms = (self.last_ns - self.first_ns) / 1e6 + INTERVAL_S * 1e3
        text = f"{self.number} readings of {source} failed, the first: {self.why}"
        return Event("fault", self.first_ns, duration_ms, text[:TEXT_MAX])


class Sampler:
    """The sampler begins with `start`, and ends with `stop`, which returns all that it saw."""

    def __init__(
        self,
        urls: Sequence[str],
        workers: int,
        pids: Pids,
        flink_rest: str | None = None,
        gc_logs: Mapping[str, Path] | None = None,
        bootstrap: str | None = None,
        figures: Callable[[], Mapping[str, float]] = dict,
    ) -> None:
        """The `urls` are those of gateways with so many `workers` each; none of what is not one.

        `flink_rest` and `bootstrap` are ``host:port``, `gc_logs` names the log of each JVM;
        `figures` returns more figures for each sample, by the name of their series.
        """
        self._usage = UsageMeter(pids)
        self._host = HostMeter()
        self._gateway = Gateway(urls, workers, bootstrap) if urls else None
        self._flink = None if flink_rest is None else FlinkWatch(flink_rest)
        self._gc_logs = gc_logs or {}
        self._figures = figures
        self._columns = Columns()
        self._used: tuple[int, Usages] = (0, {})
        self._present: list[tuple[int, Present]] = []
        """The list has the times at which it changed."""
        self._failures: dict[str, Failures] = {}
        """The failures are by source."""
        self._ended: Event | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        self._began_ns = time.monotonic_ns()
        self._thread.start()

    def stop(self) -> Series:
        """`stop` takes the last sample, and looks for what happened meanwhile."""
        self._stopping.set()
        self._thread.join()
        at_ns = self._columns.at_ns
        is_alive = self._ended is None and len(at_ns) < SERIES_MAX
        if is_alive and time.monotonic_ns() - at_ns[-1] > TICK_S * 1e9:
            self._sample()
        end_ns = time.monotonic_ns()
        begin_ns = at_ns[0] if at_ns else self._began_ns
        events = [*outages(self._present, end_ns), *self._pauses(), *self._flink_events(end_ns)]
        events += [failed.event(source) for source, failed in self._failures.items()]
        events += [] if self._ended is None else [self._ended]
        self.close()
        return self._columns.series(
            event
            for event in events
            if event.at_ns <= end_ns and event.at_ns + event.duration_ms * 1e6 >= begin_ns
        )

    def close(self) -> None:
        for source in (self._gateway, self._flink):
            if source is not None:
                source.close()

    def _run(self) -> None:
        try:
            self._follow()
        except Exception as cause:  # noqa: BLE001 (what ends it is told, whatever it is)
            text = f"the sampler ended: {type(cause).__name__}: {cause}"
            self._ended = Event("fault", time.monotonic_ns(), INTERVAL_S * 1e3, text[:TEXT_MAX])

    def _follow(self) -> None:
        due_s = time.monotonic()
        while len(self._columns.at_ns) < SERIES_MAX:
            self._sample()
            # A sample that was late moves those after it: there is none twice in a second.
            due_s = max(due_s + INTERVAL_S, time.monotonic())
            while not self._stopping.is_set() and (left_s := due_s - time.monotonic()) > 0:
                self._stopping.wait(min(left_s, TICK_S))
                self._host.tick()
            if self._stopping.is_set():
                return

    def _sample(self) -> None:
        at_ns = time.monotonic_ns()
        values = {f"host.{name}": value for name, value in self._host.read().items()}
        values |= self._processes(at_ns)
        values |= self._figures()
        if self._gateway is not None:
            values |= self._asked("the gateway", self._gateway.read, at_ns)
            values |= self._asked("Kafka", self._gateway.lags, at_ns)
        if self._flink is not None:
            lags = self._asked("Flink", self._flink.read, at_ns)
            values |= {f"lag.{topic}": lag for topic, lag in lags.items()}
        self._columns.add(at_ns, values)

    def _asked(
        self, source: str, ask: Callable[[], dict[str, float]], at_ns: int
    ) -> dict[str, float]:
        try:
            return ask()
        except BenchError as cause:
            before = self._failures.get(source, Failures(at_ns, at_ns, 0, str(cause)))
            self._failures[source] = before._replace(last_ns=at_ns, number=before.number + 1)
            return {}

    def _processes(self, at_ns: int) -> dict[str, float]:
        used = self._usage.read()
        present = {part: frozenset(pids) for part, pids in used.items()}
        if not self._present or self._present[-1][1] != present:
            self._present.append((at_ns, present))
        before_ns, before = self._used
        self._used = (at_ns, used)
        return usage_series(before, used, (at_ns - before_ns) / 1e9)

    def _pauses(self) -> Iterable[Event]:
        for part, log in self._gc_logs.items():
            try:
                yield from read_pauses(part, log)
            except OSError:
                continue

    def _flink_events(self, end_ns: int) -> Sequence[Event]:
        if self._flink is None:
            return ()
        with suppress(BenchError):  # what was seen before is known
            self._flink.see()
        return self._flink.events(end_ns)


class Gateway:
    """The gateways tell their requests in flight, and how far they are behind their reply
    topics."""

    def __init__(self, urls: Sequence[str], workers: int, bootstrap: str | None) -> None:
        self._gauges = [Gauges(url, workers) for url in urls]
        self._kafka = None if bootstrap is None else TrafficMeter(bootstrap, KAFKA_TIMEOUT_S)
        self._origins: dict[str, int] = {}
        """A topic leads to the offset at which its worker began to read."""
        self._latest: Mapping[str, Gauge] = {}

    def read(self) -> dict[str, float]:
        """`read` returns the requests in flight. It raises `BenchError`."""
        self._latest = {}
        self._latest = {name: one for each in self._gauges for name, one in each.read().items()}
        return {"in_flight": float(sum(gauge.in_flight for gauge in self._latest.values()))}

    def close(self) -> None:
        for each in self._gauges:
            each.close()
        if self._kafka is not None:
            self._kafka.close()

    def lags(self) -> dict[str, float]:
        """`lags` returns how far each worker was behind at the last `read`. It raises `BenchError`.

        Where a worker began is not known, but it was never ahead of its topic: the least distance
        seen is taken for none. Exact from the first moment on at which it has read all.
        """
        if self._kafka is None or not self._latest:
            return {}
        replies = {reply_topic(name): gauge.replies for name, gauge in self._latest.items()}
        ends = self._kafka.ends_of([Place(topic, 0) for topic in replies])
        lags = {}
        for (topic, _), end in ends.items():
            origin = end - replies[topic]
            self._origins[topic] = min(origin, self._origins.get(topic, origin))
            lags[f"lag.{topic}"] = float(origin - self._origins[topic])
        return lags


def usage_series(before: Usages, after: Usages, elapsed_s: float) -> dict[str, float]:
    """`usage_series` returns what the groups used: cores, and MiB.

    A process counts from the first sample on in which it was there before. A group whose processes
    have all ended is not known. Flink's parts are there by themselves as well, under ``part.``.
    """
    found: dict[str, float] = {}

    def add(name: str, value: float) -> None:
        found[name] = found.get(name, 0.0) + value

    for part, pids in after.items():
        group = GROUPS.get(kind_of(part), part)
        names = [("", group), ("part.", part)] if part != group else [("", group)]
        both = [
            (earlier, usage)
            for pid, usage in pids.items()
            if (earlier := before.get(part, {}).get(pid)) is not None
        ]
        for prefix, name in names:
            for usage in pids.values():
                add(f"{prefix}rss_mib.{name}", usage.rss_bytes / MEBIBYTE)
            for earlier, usage in both:
                add(f"{prefix}cpu.{name}", max(0.0, usage.cpu_s - earlier.cpu_s) / elapsed_s)
    return found


def outages(present: Sequence[tuple[int, Present]], end_ns: int) -> list[Event]:
    """`outages` returns times in which a part that had been there had none of its processes, or got
    all new ones.

    Generators come and go, and are not looked at.
    """
    events = []
    last: dict[str, frozenset[int]] = {}
    gone: dict[str, int] = {}
    for at_ns, parts in present:
        for part, pids in parts.items():
            if part == "generator":
                continue
            if not pids and last.get(part):
                gone.setdefault(part, at_ns)
            elif pids:
                if part in gone:
                    events.append(_outage(part, gone.pop(part), at_ns, "ended, and was started"))
                elif part in last and not pids & last[part]:
                    events.append(_outage(part, at_ns, at_ns, "was replaced"))
                last[part] = pids
    return events + [_outage(part, at_ns, end_ns, "ended") for part, at_ns in gone.items()]


def _outage(part: str, begin_ns: int, end_ns: int, what: str) -> Event:
    return Event("fault", begin_ns, (end_ns - begin_ns) / 1e6, f"{part} {what}")
