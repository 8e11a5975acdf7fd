"""What a window of a history shows: exact figures, from every sample.

A sample of latency is a request that was answered: 200 or 4xx. A timeout, a refusal for overload
and a broken connection are no samples, however quick or slow; they are counted under their kind.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from math import ceil
from typing import NamedTuple

from bench.history import Row


class Window(NamedTuple):
    """From `opened_ns` until before `closed_ns`, on the machine's monotonic clock."""

    opened_ns: int
    closed_ns: int

    @property
    def length_s(self) -> float:
        return (self.closed_ns - self.opened_ns) / 1e9

    def holds(self, row: Row) -> bool:
        return self.opened_ns <= row.done_ns < self.closed_ns


class Latency(NamedTuple):
    """In ms, to the microsecond."""

    p50: float
    p90: float
    p99: float
    max: float


class Figures(NamedTuple):
    requests: int
    """Those that ended in the window, however they did."""
    answered: int
    throughput_per_s: float
    """Answered requests."""
    latency_ms: Latency | None
    """None where nothing was answered."""
    refused: dict[str, int]
    """4xx by kind, as "409 out_of_stock": answers, nearly all of them asked for by the journeys."""
    failed: dict[str, int]
    """5xx and broken connections by kind."""


def kind_of(row: Row) -> str:
    return f"{row.status} {row.code or 'no error code'}" if row.status else "connection"


def is_answered(row: Row) -> bool:
    return row.status == 200 or 400 <= row.status < 500


def percentile(ordered: Sequence[int], percent: float) -> int:
    """The nearest rank: the smallest sample that `percent` of all are not above."""
    return ordered[max(0, ceil(len(ordered) * percent / 100) - 1)]


def latency_of(latencies_ns: Iterable[int]) -> Latency | None:
    ordered = sorted(latencies_ns)
    if not ordered:
        return None
    ranks = (percentile(ordered, percent) for percent in (50, 90, 99, 100))
    return Latency(*(round(latency_ns / 1e6, 3) for latency_ns in ranks))


class Tally:
    """Adds up rows."""

    def __init__(self) -> None:
        self.latencies_ns: list[int] = []
        self.refused: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        if is_answered(row):
            self.latencies_ns.append(row.done_ns - row.sent_ns)
            if row.status != 200:
                self.refused[kind_of(row)] += 1
        else:
            self.failed[kind_of(row)] += 1

    def figures(self, length_s: float) -> Figures:
        answered = len(self.latencies_ns)
        return Figures(
            requests=answered + self.failed.total(),
            answered=answered,
            throughput_per_s=round(answered / length_s, 1),
            latency_ms=latency_of(self.latencies_ns),
            refused=dict(self.refused.most_common()),
            failed=dict(self.failed.most_common()),
        )


def summarize(history: Iterable[Row], window: Window) -> tuple[Figures, dict[str, Figures]]:
    """Figures of all requests that ended in the window, and of each operation."""
    total, tallies = Tally(), defaultdict[str, Tally](Tally)
    for row in history:
        if window.holds(row):
            total.add(row)
            tallies[row.operation].add(row)
    length_s = window.length_s
    operations = {name: tally.figures(length_s) for name, tally in sorted(tallies.items())}
    return total.figures(length_s), operations
