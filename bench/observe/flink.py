"""Flink tells about its jobs: how far its sources are behind, checkpoints, faults.

Its times are of the wall clock, in ms; they are moved to the monotonic clock by the distance of the
two at the time of asking. Source: Flink's REST API, v1.
"""

import re
import time
from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import orjson

from bench.errors import BenchError, bench_errors
from bench.records.series import Event
from machine.http import KeepAlive

TIMEOUT_S = 1.0
"""Flink's answer is waited for so long: a figure that comes later than the next sample is of no
use."""
LAST_TIMEOUT_S = 10.0
"""The last look is waited for so long: nothing comes after it."""
LAG_EVERY = 5
"""The lags are asked for once in so many samples. The JobManager fetches all metrics of its
TaskManagers where it is asked for one, at most once each ``metrics.fetcher.update-interval``:
measured, 30 ms of CPU time of the system."""
CHECKPOINTS_EVERY = 5
"""The checkpoints are asked for once in so many samples. Flink remembers ten checkpoints, so
none is missed where they are at least half a second apart."""
EXCEPTIONS_MAX = 100
"""A job is asked for at most this many exceptions; Flink itself remembers 16."""
TEXT_MAX = 200
"""The text of an exception has at most this many characters."""

ENDED = ("FINISHED", "CANCELED")
_SOURCE = re.compile(r"Source: ([\w.-]+)")


class FlinkWatch:
    """The watch looks at all jobs that read topics. `rest` is the JobManager's ``host:port``.

    Not for use by several threads at once.
    """

    def __init__(self, rest: str) -> None:
        self._url = f"http://{rest}"
        self._http = KeepAlive(self._url, TIMEOUT_S)
        self._sources: dict[str, tuple[str, str]] = {}
        """A topic leads to path and name of the metric of the source that reads it."""
        self._jobs: list[str] = []
        self._found = False
        self._samples = 0
        self._lags: dict[str, float] = {}
        self._events: dict[str, dict[Hashable, Event]] = {}
        """A job leads to its events, each under a key of its own."""

    def read(self) -> dict[str, float]:
        """`read` returns topic → lag, in records of all its partitions, as of the source's latest
        fetch.

        Flink calls it ``pendingRecords`` (FLIP-33). Called for each sample: each `LAG_EVERY`-th has
        Flink fetch its metrics, the next one reads them, and the others repeat that. A topic of
        which nothing has been read yet has no lag. It raises `BenchError`.
        """
        count, self._samples = self._samples, self._samples + 1
        with self._asking() as found:
            if not found:
                self._find()
            if count % CHECKPOINTS_EVERY == 0:
                self._see(checkpoints, "checkpoints")
            if count % LAG_EVERY == 0:
                for job in self._jobs:
                    self._get(f"/jobs/{job}/metrics?get=numRestarts")
            if count % LAG_EVERY == 1:
                self._lags = self._ask_lags()
        return self._lags

    def see(self) -> None:
        """`see` takes in what happened since the last look; it is for the end. It raises
        `BenchError`."""
        self._http.close()
        self._http = KeepAlive(self._url, LAST_TIMEOUT_S)
        with self._asking() as found:
            if not found:
                self._find()
            self._see(checkpoints, "checkpoints")
            self._see(faults, f"exceptions?maxExceptions={EXCEPTIONS_MAX}")

    def events(self, end_ns: int) -> list[Event]:
        """`events` returns all that was seen so far; what has not ended yet lasts until
        `end_ns`."""
        return [
            event
            for seen in self._events.values()
            for event in with_durations(list(seen.values()), end_ns)
        ]

    def close(self) -> None:
        self._http.close()

    @contextmanager
    def _asking(self) -> Iterator[bool]:
        """After a failure the jobs are looked for anew: they may be those of another JobManager."""
        found, self._found = self._found, False
        try:
            yield found
        except (KeyError, TypeError, ValueError, AttributeError) as cause:
            raise BenchError(f"this is no answer of Flink's: {cause!r}") from None
        self._found = bool(self._jobs)

    def _find(self) -> None:
        """Jobs that read topics."""
        self._jobs, self._sources, self._lags = [], {}, {}
        jobs = self._get("/jobs")["jobs"]
        for job in sorted(jobs, key=lambda job: job["status"] == "RUNNING"):  # it has the last word
            if job["status"] in ENDED:
                continue
            path = f"/jobs/{job['id']}"
            topics = source_topics(self._get(path))
            for vertex, topic in topics.items():
                name = f"Source__{topic}.pendingRecords"
                metric = f"{path}/vertices/{vertex}/subtasks/metrics?get={name}&agg=sum"
                self._sources[topic] = (metric, name)
            if topics:
                self._jobs.append(job["id"])

    def _ask_lags(self) -> dict[str, float]:
        found = {}
        for topic, (path, name) in self._sources.items():
            for metric in self._get(path):
                if metric["id"] == name:
                    found[topic] = float(metric["sum"])
        return found

    def _see(self, parse: "Parser", resource: str) -> None:
        for job in self._jobs:
            answer = self._get(f"/jobs/{job}/{resource}")
            wall_offset_ns = time.time_ns() - time.monotonic_ns()
            for key, event in parse(answer, wall_offset_ns).items():
                self._events.setdefault(job, {})[key] = event

    def _get(self, path: str) -> Any:
        with bench_errors():
            return orjson.loads(self._http.call("GET", path))


Parser = Callable[[Mapping[str, Any], int], dict[Hashable, Event]]


def source_topics(job: Mapping[str, Any]) -> dict[str, str]:
    """`source_topics` returns vertex → the topic that it reads, of a job as Flink describes it."""
    named = ((vertex["id"], _SOURCE.match(vertex["name"])) for vertex in job["vertices"])
    return {vertex: source[1] for vertex, source in named if source}


def checkpoints(answer: Mapping[str, Any], wall_offset_ns: int) -> dict[Hashable, Event]:
    """`checkpoints` returns the checkpoints that Flink remembers, and the latest restart from
    one."""
    found: dict[Hashable, Event] = {}
    for each in answer["history"]:
        outcome = f"{each['checkpointed_size'] / 1024:,.0f} KiB"
        if each["status"] != "COMPLETED":
            outcome = each.get("failure_message") or each["status"].lower().replace("_", " ")
        found[each["id"]] = Event(
            "checkpoint",
            each["trigger_timestamp"] * 1_000_000 - wall_offset_ns,
            max(0.0, each["end_to_end_duration"]),
            f"checkpoint {each['id']}: {outcome}"[:TEXT_MAX],
        )
    restored = (answer.get("latest") or {}).get("restored")
    if restored:
        at_ms = restored["restore_timestamp"]
        text = f"the job goes on from checkpoint {restored['id']}: partitions are assigned anew"
        found["restored", at_ms] = Event("rebalance", at_ms * 1_000_000 - wall_offset_ns, 0.0, text)
    return found


def faults(answer: Mapping[str, Any], wall_offset_ns: int) -> dict[Hashable, Event]:
    """`faults` returns what made a job fail or restart."""
    found: dict[Hashable, Event] = {}
    for entry in answer["exceptionHistory"]["entries"]:
        at_ms, cause = entry["timestamp"], _cause(entry["stacktrace"])
        at_ns = at_ms * 1_000_000 - wall_offset_ns
        found[at_ms, cause] = Event("fault", at_ns, 0.0, f"the job failed: {cause[:TEXT_MAX]}")
    return found


def with_durations(events: list[Event], end_ns: int) -> list[Event]:
    """`with_durations` gives the events of one job their ends: a fault or restart lasts until its
    next checkpoint, for which all tasks run."""
    begun = sorted(event.at_ns for event in events if event.kind == "checkpoint")
    return [
        event
        if event.kind == "checkpoint"
        else event._replace(
            duration_ms=max(0, _next(begun, event.at_ns, end_ns) - event.at_ns) / 1e6
        )
        for event in events
    ]


def _next(times: list[int], at_ns: int, default_ns: int) -> int:
    place = bisect_right(times, at_ns)
    return times[place] if place < len(times) else default_ns


def _cause(stacktrace: str) -> str:
    """The root cause: the last line that is no place in the code."""
    lines = [line for line in stacktrace.splitlines() if line and not line.startswith("\t")]
    return lines[-1].removeprefix("Caused by: ") if lines else "no reason given"
