"""Stages say where the time of traced requests went: stamps of client, gateway and services.

    stage           ends when                                                       stamp
    schedule lag    the generator sends                                             sent_ns
    client send     the gateway has parsed the request                              gateway_in
    gateway in      its record waits for a batch                                    queued
    produce         the batch goes to Kafka's connection                            produced
    request topic   the first service begins                                        [user, in_ns, …
    user            it gives its record away: the method, its state                 …, out_ns]
    topic order     the next service begins
    order           it gives its record away
    reply topic     the gateway has fetched the reply                               reply_in
    gateway out     the response is made                                            gateway_out
    client receive  the generator has it                                            done_ns

A stage ends where the next begins, so they add up to the response time exactly. All stamps are ns
of the wall clock, which hosts can share. A file of traces has one JSON object a line:

    {"operation": "find_user", "intended_ns": …, "sent_ns": …, "done_ns": …,
     "trace": [["gateway_in", …], …, ["user", in_ns, out_ns], …, ["gateway_out", …]]}

The trace is as the gateway answered it (docs/semantics.md, Traces), or null where it gave none.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any, NamedTuple

import numpy as np
import orjson

from bench.errors import UnreadableError
from bench.stats.quantiles import quantiles
from system.wire import TRACE_HOPS_MAX

SCHEMA_VERSION = 1
BEFORE = {"client send": "gateway_in", "gateway in": "queued", "produce": "produced"}
"""Each of these stages leads to the stamp that ends it."""
AFTER = {"reply topic": "reply_in", "gateway out": "gateway_out"}
STAMPS = {*BEFORE.values(), *AFTER.values()}


class TraceError(UnreadableError):
    """A file of traces can't be read; the message says which and where."""


class Traced(NamedTuple):
    """This is a traced request as its sender saw it, in ns of the wall clock."""

    operation: str
    intended_ns: int
    sent_ns: int
    done_ns: int
    trace: Any
    """The trace is whatever the answer had under that name."""


class Stage(NamedTuple):
    name: str
    duration_ns: int


def wall_ahead_ns() -> int:
    """`wall_ahead_ns` returns what the wall clock is ahead of the monotonic one; both are read as
    close as can be."""
    return time_ns() - monotonic_ns()


def encode(request: Traced) -> bytes:
    """`encode` returns a line of a file of traces."""
    return orjson.dumps(request._asdict(), option=orjson.OPT_APPEND_NEWLINE)


def read(paths: Iterable[Path]) -> Iterator[Traced]:
    """`read` yields all traced requests of some generators. It raises `TraceError`."""
    for path in paths:
        try:
            content = path.read_bytes()
        except OSError as cause:
            raise TraceError(f"{path}: {cause.strerror}") from None
        complete = content[: content.rfind(b"\n") + 1]  # its writer may have been killed in a line
        for number, line in enumerate(complete.splitlines(), 1):
            try:
                request = Traced(**orjson.loads(line))
            except (orjson.JSONDecodeError, TypeError):
                request = None
            if request is None or [*map(type, request[:4])] != [str, int, int, int]:
                raise TraceError(f"{path} line {number} is not a traced request")
            yield request


def stages_of(request: Traced) -> list[Stage] | None:
    """`stages_of` returns them in order; None where stamps are missing, as of a request that was
    not answered by a service.

    Where clocks disagree a duration is negative.
    """
    entries = request.trace if isinstance(request.trace, list) else []
    kinds = [[*map(type, entry)] if isinstance(entry, list) else None for entry in entries]
    stamps = dict(entry for entry, kind in zip(entries, kinds, strict=True) if kind == [str, int])
    hops = [entry for entry, kind in zip(entries, kinds, strict=True) if kind == [str, int, int]]
    if not 0 < len(hops) <= TRACE_HOPS_MAX or not stamps.keys() >= STAMPS:
        return None
    ends = [
        ("schedule lag", request.sent_ns),
        *((stage, stamps[name]) for stage, name in BEFORE.items()),
        *_of_services(hops),
        *((stage, stamps[name]) for stage, name in AFTER.items()),
        ("client receive", request.done_ns),
    ]
    begins_ns = [request.intended_ns, *(end_ns for _, end_ns in ends[:-1])]
    return [
        Stage(name, end_ns - begin_ns)
        for (name, end_ns), begin_ns in zip(ends, begins_ns, strict=True)
    ]


def _of_services(hops: Iterable[tuple[str, int, int]]) -> Iterator[tuple[str, int]]:
    """A service that comes again, as the order of a checkout does, gets a number: "order 2"."""
    times: Counter[str] = Counter()
    for index, (service, in_ns, out_ns) in enumerate(hops):
        times[service] += 1
        name = service if times[service] == 1 else f"{service} {times[service]}"
        yield f"topic {name}" if index else "request topic", in_ns
        yield name, out_ns


class _Tally:
    """Of one operation."""

    def __init__(self) -> None:
        self.totals_ns: list[int] = []
        self.durations_ns: dict[str, list[int]] = defaultdict(list)
        self.ways: Counter[tuple[str, ...]] = Counter()
        self.disordered = 0
        self.incomplete = 0

    def add(self, request: Traced) -> None:
        stages = stages_of(request)
        if stages is None:
            self.incomplete += 1
        elif any(stage.duration_ns < 0 for stage in stages):
            self.disordered += 1
        else:
            self.totals_ns.append(request.done_ns - request.intended_ns)
            self.ways[tuple(stage.name for stage in stages)] += 1
            for name, duration_ns in stages:
                self.durations_ns[name].append(duration_ns)

    def describe(self) -> dict[str, Any]:
        count = len(self.totals_ns)
        total = _figures(self.totals_ns, count)
        return {
            "requests": count,
            "disordered": self.disordered,
            "incomplete": self.incomplete,
            "total_ms": {name.removesuffix("_ms"): value for name, value in total.items()},
            "stages": [
                {"name": name, "requests": len(durations_ns), **_figures(durations_ns, count)}
                for name in merge(way for way, _ in self.ways.most_common())
                for durations_ns in (self.durations_ns[name],)
            ],
        }


def _figures(durations_ns: Sequence[int], count: int) -> dict[str, float]:
    """In ms, to the nanosecond. The mean is that of all `count` requests, so that means add up."""
    values = np.array(durations_ns, dtype=np.int64)
    p50, p99 = quantiles(values, np.zeros(0, dtype=np.int64), 0, (50.0, 99.0))
    return {
        "mean_ms": round(int(values.sum()) / count / 1e6, 6),
        "p50_ms": p50.value_ns / 1e6,
        "p99_ms": p99.value_ns / 1e6,
    }


def merge(ways: Iterable[Sequence[str]]) -> list[str]:
    """`merge` makes one order for the stages of all ways; where two ways contradict, it is that of
    the first."""
    after: dict[str, list[str]] = {}

    def reached(name: str) -> set[str]:
        found, new = set[str](), {name}
        while new:
            found |= new
            new = {then for each in new for then in after[each]} - found
        return found

    for way in ways:
        for name in way:
            after.setdefault(name, [])
        for name, then in pairwise(way):
            if then not in after[name] and name not in reached(then):
                after[name].append(then)

    order: dict[str, None] = {}

    def visit(name: str) -> None:
        if name not in order:
            for then in reversed(after[name]):
                visit(then)
            order[name] = None

    for name in reversed(after):
        visit(name)
    return list(reversed(order))


def summarize(requests: Iterable[Traced]) -> dict[str, Any]:
    """`summarize` returns what stages-<phase>.json holds; see `SCHEMA_VERSION`.

    Ways may differ between requests of an operation: the last answer of a checkout is the user's or
    an item's. A stage's mean counts 0 where a request did not come through it, its quantiles and
    its `requests` are of those that did. Requests with stamps out of order (`disordered`: a clock
    was set) or without all of them (`incomplete`) are counted, and left out.
    """
    tallies: dict[str, _Tally] = defaultdict(_Tally)
    for request in requests:
        tallies[request.operation].add(request)
    return {
        "schema_version": SCHEMA_VERSION,
        "requests": sum(len(tally.totals_ns) for tally in tallies.values()),
        "disordered": sum(tally.disordered for tally in tallies.values()),
        "incomplete": sum(tally.incomplete for tally in tallies.values()),
        "operations": {
            name: tally.describe() for name, tally in sorted(tallies.items()) if tally.totals_ns
        },
    }
