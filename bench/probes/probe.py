"""What a probe is: a small experiment on a running system, with a verdict in words of its own."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from bench.judge.checks import State
from bench.judge.reply_contract import faults
from bench.records import samples
from bench.records.request_log import Row
from bench.stats import window
from bench.stats.quantiles import quantiles

PLANNED_S_MAX = 15.0
"""What a probe sends and waits for fits into this time, on a machine that keeps time."""
PROBE_S_MAX = 60.0
"""What a probe that has not ended by then would have found is not known. The plan four times over:
a machine so slow has nothing to say of the system."""
WARM_UP_S = 1.0
"""The first answers are judged, but no samples of latency."""
LAG_MS_MAX = 10.0
"""Of the probe's own event loop, at p99; with more, it can hardly tell how late others are."""
LAGS_MAX = 10.0
"""A time on a busy machine is nobody's fault that is known, up to so many times its lag at p99:
what passes through several processes waits for a core in each. Beyond, it is the system's."""
WATCH_INTERVAL_S = 0.01
"""Between two looks of a probe at its own event loop."""


class Options(NamedTuple):
    """What a probe must know of the gateway, how long it loads it, and what it still accepts."""

    timeout_s: float = 5.0
    """The gateway's own, as `in_flight_max`: these are its defaults."""
    in_flight_max: int = 4096
    """Of each worker."""
    workers: int = 1
    duration_s: float = 7.0
    seed: int = 1
    late_504_ms_max: float = 50.0
    """At p99, after the deadline."""
    refusal_share_max: float = 0.2
    """The p99 of refusals under overload, of the median of what is answered meanwhile."""

    def gateway_options(self) -> tuple[str, ...]:
        """What makes a gateway so."""
        limits = {"--timeout-s": self.timeout_s, "--in-flight-max": self.in_flight_max}
        return tuple(str(part) for limit in limits.items() for part in limit)


OWN_STACK = Options(timeout_s=2.0, in_flight_max=128)
"""Limits at which all probes are quick, for a stack that is started for them."""


class Control:
    """How late the probing process's own clock rings: what the machine shows beside a probe.

    It asks nothing of the system, so whatever it waits for is the machine's doing.
    """

    def __init__(self) -> None:
        self.lag_ns: list[int] = []

    async def watch(self) -> None:
        """`watch` looks at the clock until it is cancelled."""
        while True:
            due_ns = time.monotonic_ns() + int(WATCH_INTERVAL_S * 1e9)
            await asyncio.sleep(WATCH_INTERVAL_S)
            self.lag_ns.append(time.monotonic_ns() - due_ns)

    @property
    def lag_ms(self) -> float:
        """At p99; 0 before the first look."""
        return percentile_ms(self.lag_ns, 99) if self.lag_ns else 0.0

    @property
    def is_busy(self) -> bool:
        return self.lag_ms > LAG_MS_MAX

    def excuses(self, late_ms: float) -> bool:
        """`excuses` tells whether the machine may be the cause of so much time."""
        return self.is_busy and late_ms <= LAGS_MAX * self.lag_ms


class Target(NamedTuple):
    """A gateway that nobody else uses meanwhile: the counts must be exact."""

    url: str
    kafka: str | None
    """``host:port`` of its Kafka."""
    options: Options = OWN_STACK
    control: Control = Control()
    """What the machine shows meanwhile; each probe that is run has one of its own."""


class Result(NamedTuple):
    name: str
    reasons: list[str]
    """One line for each promise of the system that is broken."""
    requests: int = 0
    latency_ms: window.Quantiles | None = None
    figures: Mapping[str, float] = MappingProxyType({})
    unknown: Sequence[str] = ()
    """One line for each thing that the probe or the machine could not do."""

    @property
    def state(self) -> State:
        return "broken" if self.reasons else "unknown" if self.unknown else "holds"

    def to_json(self) -> dict[str, Any]:
        """As the record of a run has it."""
        return {
            "name": self.name,
            "state": self.state,
            "reasons": [*self.reasons, *self.unknown],
            "requests": self.requests,
            "latency_ms": self.latency_ms,
            "figures": dict(self.figures),
        }

    def __str__(self) -> str:
        if self.state != "holds":
            word = "FAILED" if self.reasons else "can't tell"
            return f"{self.name:<9} {word}: {'; '.join([*self.reasons, *self.unknown])}"
        line = f"{self.name:<9} passed: {self.requests:,} requests"
        latency = self.latency_ms
        return f"{line}, p50 {latency['p50']} ms, p99 {latency['p99']} ms" if latency else line


class Probe(NamedTuple):
    run: Callable[[Target], Awaitable[Result]]
    text: str
    """What it asserts."""
    lacks: Callable[[Target], str | None]
    """What the target must have before the probe can judge it; None when it can."""


def latencies(timed: Iterable[tuple[str, int]]) -> window.Quantiles | None:
    """LAT of (outcome, ns): an answer is a sample, and of what was not answered only a lower bound
    is known (`bench.records.samples.kind_of`); refusals are neither."""
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
    """What a probe found wrong, so far."""

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
        latency_ms: window.Quantiles | None,
        figures: Mapping[str, float] = MappingProxyType({}),
    ) -> Result:
        unknown = list(self.unknown)
        if (unknown or self.reasons) and control.is_busy:
            lag = f"{control.lag_ms:,.1f} ms late at p99"
            unknown.append(f"the probe itself was {lag}: this machine is busy")
        return Result(name, self.reasons, requests, latency_ms, figures, unknown)


def percentile_ms(latencies_ns: Iterable[int], percent: float) -> float:
    """To the microsecond, by nearest rank; of at least one latency."""
    values = np.fromiter(latencies_ns, dtype=np.int64)
    (found,) = quantiles(values, np.zeros(0, np.int64), 0, [percent])
    return round(found.value_ns / 1e6, 3)


# ---- what is judged


def unlike(rows: Sequence[Row], *statuses: int) -> list[str]:
    """Reasons: those that ended otherwise, by the way they did."""
    others = Counter(window.kind_of(row) for row in rows if row.status not in statuses)
    expected = " or ".join(map(str, statuses))
    return [
        f"{number:,} of {len(rows):,} requests ended with {kind}, not {expected}"
        for kind, number in others.most_common()
    ]


def crossed(rows: Sequence[Row]) -> list[str]:
    """Reasons: answers that belong to another request, or are not as the contract has them."""
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
