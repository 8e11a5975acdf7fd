"""Series are what was sampled during a phase: figures on one time axis, and events at known times.

Times are ns of the machine's monotonic clock. Each list of `series` has the length of `at_ns`; a
rate is the mean since the sample before. null: not known.
"""

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal, NamedTuple, Self, get_args

EVENTS_MAX = 10_000
"""A phase keeps at most this many events: faults first, then the longest."""
DIGITS = 4
"""Each value has so many digits after the point."""

Kind = Literal["checkpoint", "gc", "rebalance", "fault"]
KINDS: tuple[Kind, ...] = get_args(Kind)
RARE: tuple[Kind, ...] = ("rebalance", "fault")

Values = Sequence[float | None]


class Event(NamedTuple):
    kind: Kind
    at_ns: int
    """The event began at this time."""
    duration_ms: float
    text: str


class Series(NamedTuple):
    at_ns: list[int]
    series: dict[str, list[float | None]]
    events: list[Event]

    def known(self, name: str, opened_ns: int, closed_ns: int) -> list[float]:
        """`known` returns the values of a series that were sampled in a window; empty where there
        are none."""
        values = self.series.get(name, ())
        return [
            value
            for at_ns, value in zip(self.at_ns, values, strict=False)
            if value is not None and opened_ns < at_ns <= closed_ns
        ]

    def with_marks(self, names: Mapping[str, str], marks: Iterable[Mapping[str, float]]) -> Self:
        """`with_marks` adds series of marks that another process wrote: field of a mark → series.

        A sample takes the latest mark since the sample before it.
        """
        ordered = sorted(marks, key=lambda mark: mark["at_ns"])
        times = [mark["at_ns"] for mark in ordered]
        added: dict[str, list[float | None]] = {name: [] for name in names.values()}
        passed = 0
        for at_ns in self.at_ns:
            index = bisect_right(times, at_ns)
            for field, name in names.items():
                added[name].append(ordered[index - 1].get(field) if index > passed else None)
            passed = index
        return self._replace(series={**self.series, **added})


class Columns:
    """Columns grow by one sample at a time, in which any of them may be missing."""

    def __init__(self) -> None:
        self.at_ns: list[int] = []
        self._values: dict[str, list[float | None]] = {}

    def add(self, at_ns: int, values: Mapping[str, float]) -> None:
        for name in values.keys() - self._values.keys():
            self._values[name] = [None] * len(self.at_ns)
        self.at_ns.append(at_ns)
        for name, column in self._values.items():
            value = values.get(name)
            column.append(None if value is None else round(value, DIGITS))

    def series(self, events: Iterable[Event]) -> Series:
        values = {name: self._values[name] for name in sorted(self._values)}
        return Series(self.at_ns, values, foremost(events))


def foremost(events: Iterable[Event]) -> list[Event]:
    """`foremost` returns at most `EVENTS_MAX` of them, by time."""
    ranked = sorted(events, key=lambda event: (event.kind not in RARE, -event.duration_ms))
    return sorted(ranked[:EVENTS_MAX], key=lambda event: event.at_ns)
