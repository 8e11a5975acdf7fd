"""The generator is measured itself, against what it promises: ``python -m bench calibrate``.

ceiling    how fast one process can send, beside wrk; how late it sends at 70 % of that
recording  what keeping every sample costs it
tracing    what tracing requests costs a stack
agreement  what wrk and Locust say of a server whose latencies are known, with a stall and without

What is compared takes turns, in pairs; which of the two is first takes turns too. Only ratios of
pairs can be compared between machines, or between days.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from math import inf
from pathlib import Path
from statistics import median
from typing import NamedTuple, Protocol

from bench.calibrate import rivals
from bench.calibrate.agreement import DURATION_S, RATE_PER_S, Agreement, closed_users
from bench.calibrate.bare_server import KINDS, Kind
from bench.calibrate.lab import Lab, Load, Ran, Server, kept_and_not
from bench.calibrate.table import Estimate, Section, Target, located, ratio, span, table
from bench.errors import BenchError
from bench.run.model import Progress
from system.runtime.options import StackOptions
from system.runtime.stack import Stack

PAIRS_MAX = 100
"""A part has at most this many pairs."""
BURST_S_MIN = 4.0
"""A burst must be at least this long, for two of a generator's marks, which come each second, to be
inside what is measured."""
BURST_S_MAX = 60.0
"""A burst is at most this long."""
FOREIGN_CORES_MAX = 0.1
"""Others may use so many cores while something is measured; with more it is done once more."""
TRIES_PER_PAIR_MAX = 5
"""A pair is tried so often; then a busy machine ends the calibration."""
CONNECTIONS = 64
CEILING_PER_S_MIN = 25_000.0
"""One process should send at least so many requests per second."""
SERVER_CORES_MAX = 0.95
"""A server with one core may use so much of it; with more it was the limit, and the generator can't
be judged."""
CPU_US_MAX = 20.0
"""A request may take this much CPU, recording included."""
LAG_LOAD_SHARE = 0.7
"""The lag is measured at this share of the ceiling, or of what that must be where it is higher."""
LAG_P99_MS_MAX = 2.0
"""The lag's p99 should be at most this, at 70 % of the ceiling."""
RECORDING_SHARE_MAX = 0.03
"""Recording should take at most this share of the generator's CPU time."""
TRACE_EVERY = 100
TRACING_SHARE_MAX = 0.02
"""Tracing may take this share of the throughput of the system."""
STACK_WARM_UP_S = 20.0
"""The stack is loaded this long before tracing is measured."""
GENERATOR, WRK = "bench.generator.process", "wrk"
Side = Callable[[], Ran]
Kept = dict[str, list[Ran]]


class Plan(NamedTuple):
    """The plan says how often and how long each part measures."""

    pairs: int
    burst_s: float
    folder: Path
    """The folder holds what is needed meanwhile."""
    progress: Progress


class Part(Protocol):
    def measure(self) -> None:
        """`measure` keeps what was measured until then when it is interrupted. It raises
        `BenchError`."""

    def section(self) -> Section | None:
        """The section is None where nothing was measured yet."""


def take_turns(plan: Plan, what: str, sides: Mapping[str, Side], kept: Kept) -> None:
    """`take_turns` adds whole pairs to `kept`, each measured while nobody else used the machine.

    It raises `BenchError` when that is not to be had.
    """
    tries = done = 0
    while done < plan.pairs:
        if tries == plan.pairs * TRIES_PER_PAIR_MAX:
            raise BenchError(f"{what}: others use this machine, {done} of {tries} tries were good")
        names = list(sides) if tries % 2 == 0 else list(sides)[::-1]
        tries += 1
        ran = {name: sides[name]() for name in names}
        told = ", ".join(f"{name} {ran[name].per_s:,.0f}/s" for name in sides)
        foreign_cores = max(each.foreign_cores for each in ran.values())
        if foreign_cores > FOREIGN_CORES_MAX:
            plan.progress(f"{what}, once more: others used {foreign_cores:.2f} cores ({told})")
            continue
        done += 1
        for name in sides:
            kept.setdefault(name, []).append(ran[name])
        plan.progress(f"{what}, {done} of {plan.pairs}: {told}")


def _per_s(ran: Sequence[Ran]) -> list[float]:
    return [each.per_s for each in ran]


def _cpu_us(ran: Sequence[Ran]) -> list[float]:
    return [each.cpu_us for each in ran]


class Ceiling:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._closed: dict[Kind, Kept] = {}
        self._open: dict[Kind, Kept] = {}

    def measure(self) -> None:
        for kind in KINDS:
            with (
                Lab(self._plan.folder) as lab,
                lab.serving("bench.calibrate.bare_server", kind) as server,
            ):
                self._load(kind, lab, server)

    def _load(self, kind: Kind, lab: Lab, server: Server) -> None:
        plan, kept = self._plan, self._closed.setdefault(kind, {})
        closed = Load(plan.burst_s, users=CONNECTIONS)
        sides: dict[str, Side] = {GENERATOR: lambda: lab.burst(server, closed)[0]}
        if rivals.has_wrk():
            given = plan.folder, CONNECTIONS, plan.burst_s
            sides[WRK] = lambda: rivals.wrk(lab, server, *given)[1]
        take_turns(plan, f"ceiling, {kind}", sides, kept)
        ceiling_per_s = min(CEILING_PER_S_MIN, median(_per_s(kept[GENERATOR])))
        rate_per_s = LAG_LOAD_SHARE * ceiling_per_s
        paced = Load(plan.burst_s, rate_per_s=rate_per_s)
        alone: dict[str, Side] = {GENERATOR: lambda: lab.burst(server, paced)[0]}
        late = self._open.setdefault(kind, {})
        take_turns(plan, f"ceiling, {kind}, {LAG_LOAD_SHARE:.0%}", alone, late)

    def section(self) -> Section | None:
        loads, notes, targets = [], [], []
        for kind, kept in self._closed.items():
            loads += [_load_row(kind, name, f"{CONNECTIONS} users", ran)
                      for name, ran in kept.items()]  # fmt: skip
            if WRK in kept:
                rate = ratio(_per_s(kept[GENERATOR]), _per_s(kept[WRK]))
                cpu = ratio(_cpu_us(kept[GENERATOR]), _cpu_us(kept[WRK]))
                notes.append(f"- {kind}, {GENERATOR} to {WRK}: requests/s {rate}, CPU {cpu}")
            if late := self._late(kind):
                loads.append(_load_row(kind, GENERATOR, f"{LAG_LOAD_SHARE:.0%}, Poisson", late))
            if kept and is_limit(kept[GENERATOR]):
                notes.append(f"- {kind}: the server was the limit, so nothing is judged")
            elif kept:
                targets += self._targets(kind)
        if not loads:
            return None
        columns = ("server", "by", "load", "requests/s", "CPU µs per request", "lag p99, ms",
                   "server's cores")  # fmt: skip
        if not rivals.has_wrk():
            notes.append("- wrk is not installed: it is left out")
        return Section("Ceiling", [*table(columns, loads), "", *notes], targets)

    def _late(self, kind: Kind) -> list[Ran]:
        return self._open.get(kind, {}).get(GENERATOR, [])

    def _targets(self, kind: Kind) -> list[Target]:
        ran = self._closed[kind][GENERATOR]
        rates, cpu_us = _per_s(ran), _cpu_us(ran)
        targets = [
            Target(f"{kind}: {CEILING_PER_S_MIN:,.0f} requests/s and more", span(rates, 0),
                   located(rates), CEILING_PER_S_MIN, at_least=True),
            Target(f"{kind}: at most {CPU_US_MAX:g} µs of CPU per request", span(cpu_us, 1),
                   located(cpu_us), CPU_US_MAX),
        ]  # fmt: skip
        if late := self._late(kind):
            lags = [each.lag_p99_ms for each in late]
            what = f"{kind}: lag p99 at most {LAG_P99_MS_MAX:g} ms at {LAG_LOAD_SHARE:.0%}"
            targets.append(Target(what, f"{span(lags, 3)} ms", located(lags), LAG_P99_MS_MAX))
        return targets


def is_limit(ran: Sequence[Ran]) -> bool:
    """`is_limit` returns whether the server could do no more."""
    return median(each.server_cores for each in ran) > SERVER_CORES_MAX


def _load_row(kind: str, name: str, load: str, ran: Sequence[Ran]) -> list[str]:
    lags = [each.lag_p99_ms for each in ran]
    return [
        *(kind, name, load, span(_per_s(ran), 0), span(_cpu_us(ran), 1)),
        span(lags, 3) if load.endswith("Poisson") else "",
        f"{median(each.server_cores for each in ran):.2f}",
    ]


class Recording:
    """The recording is measured against the server that lets the generator use all of its core.
    Samples are kept in every other stretch of 50 ms alone, so that a machine whose speed changes is
    as fast for both."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._cpu_us: list[tuple[float, float]] = []

    def measure(self) -> None:
        load = Load(self._plan.burst_s, users=CONNECTIONS, alternating=True)
        with (
            Lab(self._plan.folder) as lab,
            lab.serving("bench.calibrate.bare_server", "canned") as server,
        ):
            for burst in range(self._plan.pairs):
                _, _, marks = lab.burst(server, load)
                self._cpu_us.append(kept_and_not(marks))
                kept, not_kept = self._cpu_us[-1]
                told = f"{kept:.2f} µs with samples, {not_kept:.2f} µs without"
                self._plan.progress(f"recording, {burst + 1} of {self._plan.pairs}: {told}")

    def section(self) -> Section | None:
        if not self._cpu_us:
            return None
        kept, not_kept = zip(*self._cpu_us, strict=True)
        cost = ratio(kept, not_kept)
        rows = [("kept", span(kept, 2)), ("not kept", span(not_kept, 2))]
        what = f"recording costs at most {RECORDING_SHARE_MAX:.0%} of the generator's CPU"
        target = Target(what, f"ratio {cost}", cost, 1 + RECORDING_SHARE_MAX)
        return Section("Recording", table(("samples", "CPU µs per request"), rows), [target])


class Tracing:
    """Tracing is measured on a stack of its own, whose users send as fast as they are answered.

    Every request is traced, or none. What that costs is shared by `TRACE_EVERY` requests where
    only one of so many is: the other way round it could not be told from noise.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._kept: Kept = {}

    def measure(self) -> None:
        plan = self._plan
        load = Load(plan.burst_s, users=CONNECTIONS, workload="shop")
        with Stack(StackOptions(), progress=plan.progress) as stack:
            pids = [pid for part in stack.pids().values() for pid in part]
            server = Server(stack.url, pids)
            with Lab(plan.folder, apart=False) as lab:
                lab.burst(server, load._replace(duration_s=STACK_WARM_UP_S))
                sides = {
                    "all traced": lambda: lab.burst(server, load._replace(trace_every=1))[0],
                    "none traced": lambda: lab.burst(server, load)[0],
                }
                take_turns(plan, "tracing", sides, self._kept)

    def section(self) -> Section | None:
        if not self._kept:
            return None
        rows = [
            (name, span(_per_s(ran), 0), span([each.server_us for each in ran], 0))
            for name, ran in self._kept.items()
        ]
        every, none = self._kept.values()
        rate = ratio(_per_s(every), _per_s(none))
        cpu = ratio([each.server_us for each in every], [each.server_us for each in none])
        share = Estimate(*(thinned(value, TRACE_EVERY) for value in rate))
        what = f"tracing 1 in {TRACE_EVERY} costs at most {TRACING_SHARE_MAX:.0%} of the throughput"
        target = Target(what, f"ratio {share}", share, 1 - TRACING_SHARE_MAX, at_least=True)
        lines = [
            *table(("requests", "requests/s", "system's CPU µs per request"), rows),
            *("", f"- all to none: requests/s {rate}, system's CPU {cpu}"),
        ]
        return Section("Tracing", lines, [target])


def thinned(rate_ratio: float, every: int) -> float:
    """`thinned` returns the ratio of throughputs when what lowers it to `rate_ratio` is done to 1
    in `every` alone.

    A request takes 1 / rate of the system's time; only that of those to which it is done is longer.
    """
    if not 0 < rate_ratio < inf:
        return rate_ratio
    return 1 / (1 + (1 / rate_ratio - 1) / every)


PARTS: dict[str, Callable[[Plan], Part]] = {
    "ceiling": Ceiling,
    "recording": Recording,
    "tracing": Tracing,
    "agreement": lambda plan: Agreement(
        plan.folder,
        rivals.sides(plan.folder, closed_users(), RATE_PER_S, DURATION_S),
        plan.progress,
    ),
}


def calibrate(
    names: Sequence[str],
    pairs: int,
    burst_s: float,
    progress: Progress,
    show: Callable[[Sequence[Section]], object],
) -> bool:
    """`calibrate` shows what was found, however it ends. It returns False when a target is missed.

    It raises `BenchError`, and `StackError` when the stack does not come up.
    """
    with tempfile.TemporaryDirectory() as folder:
        plan = Plan(pairs, burst_s, Path(folder), progress)
        parts = [PARTS[name](plan) for name in names or PARTS]
        try:
            for part in parts:
                part.measure()
        finally:
            sections = [section for part in parts if (section := part.section()) is not None]
            show(sections)
    return not any(
        target.verdict == "does not hold" for section in sections for target in section.targets
    )
