"""A probe is a small experiment on a running system, with a verdict in words of its own."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from bench.judge.checks import State
from bench.judge.reply_contract import faults
from bench.probes.target import Control, Target
from bench.records import samples
from bench.records.request_log import Row
from bench.records.run_record import Latency, ProbeRecord
from bench.stats import window

PLANNED_S_MAX = 15.0
"""A probe sends and waits for no longer than this, on a machine that keeps time."""
PROBE_S_MAX = 60.0
"""A probe that has not ended by then finds nothing that is known. The limit is the plan four times
over: a machine so slow has nothing to say of the system."""
WARM_UP_S = 1.0
"""The first answers, of this time, are judged, but are no samples of latency."""


class Result(NamedTuple):
    name: str
    reasons: list[str]
    """The reasons are one line for each promise of the system that is broken."""
    requests: int = 0
    latency_ms: Latency | None = None
    figures: Mapping[str, float] = MappingProxyType({})
    unknown: Sequence[str] = ()
    """The lines are one for each thing that the probe or the machine could not do."""

    @property
    def state(self) -> State:
        return "broken" if self.reasons else "unknown" if self.unknown else "holds"

    def record(self) -> ProbeRecord:
        return ProbeRecord(
            name=self.name,
            state=self.state,
            reasons=[*self.reasons, *self.unknown],
            requests=self.requests,
            latency_ms=self.latency_ms,
            figures=dict(self.figures),
        )

    def __str__(self) -> str:
        if self.state != "holds":
            word = "FAILED" if self.reasons else "can't tell"
            return f"{self.name:<9} {word}: {'; '.join([*self.reasons, *self.unknown])}"
        line = f"{self.name:<9} passed: {self.requests:,} requests"
        latency = self.latency_ms
        return f"{line}, p50 {latency.p50} ms, p99 {latency.p99} ms" if latency else line


class Probe(NamedTuple):
    run: Callable[[Target], Awaitable[Result]]
    text: str
    """The text says what it asserts."""
    lacks: Callable[[Target], str | None]
    """`lacks` tells what the target must have before the probe can judge it; None when it can."""


def latencies(timed: Iterable[tuple[str, int]]) -> Latency | None:
    """`latencies` makes LAT of (outcome, ns): an answer is a sample, and of what was not answered
    only a lower bound is known (`bench.records.samples.kind_of`); refusals are neither."""
    known: list[int] = []
    waited: list[int] = []
    for outcome, latency_ns in timed:
        kind = samples.kind_of(outcome)
        if kind in ("ok", "refused"):
            known.append(latency_ns)
        elif kind == "censored":
            waited.append(latency_ns)
    return window.latency_ms(np.array(known, np.int64), np.array(waited, np.int64))


class Found(NamedTuple):
    """A probe found this wrong, so far."""

    reasons: list[str]
    unknown: list[str]

    def timed(self, lines: Sequence[str], control: Control, late_ms: float = 0.0) -> None:
        """`timed` adds what a machine that is late by `late_ms` could have caused as well."""
        (self.unknown if control.excuses(late_ms) else self.reasons).extend(lines)

    def result(
        self,
        name: str,
        control: Control,
        requests: int,
        latency_ms: Latency | None,
        figures: Mapping[str, float] = MappingProxyType({}),
    ) -> Result:
        unknown = list(self.unknown)
        if (unknown or self.reasons) and control.is_busy:
            lag = f"{control.lag_ms:,.1f} ms late at p99"
            unknown.append(f"the probe itself was {lag}: this machine is busy")
        return Result(name, self.reasons, requests, latency_ms, figures, unknown)


# ---- what is judged


def unlike(rows: Sequence[Row], *statuses: int) -> list[str]:
    """`unlike` returns reasons: those that ended otherwise, by the way they did."""
    others = Counter(window.kind_of(row) for row in rows if row.status not in statuses)
    expected = " or ".join(map(str, statuses))
    return [
        f"{number:,} of {len(rows):,} requests ended with {kind}, not {expected}"
        for kind, number in others.most_common()
    ]


def crossed(rows: Sequence[Row]) -> list[str]:
    """`crossed` returns reasons: answers that belong to another request, or are not as the contract
    has them."""
    found: dict[str, list[str]] = {}
    for row in rows:
        for invariant, message in faults(row):
            found.setdefault(invariant, []).append(message)
    ids = Counter(str(row.body.get("request_id")) for row in rows if row.status == 200)
    del ids[str(None)]
    shared = [
        f"{number} answers are for request {id_}" for id_, number in ids.items() if number > 1
    ]
    if shared:
        found.setdefault("no_crossed_replies", []).extend(shared)
    what = {"no_crossed_replies": "got another request's answer"}
    return [
        f"{len(messages):,} of {len(rows):,} requests "
        f"{what.get(invariant, f'broke {invariant}')}: {messages[0]}"
        for invariant, messages in found.items()
    ]
