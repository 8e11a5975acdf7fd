"""Arrivals are when requests shall be sent: all times are known before the first request is.

An open loop sends by the clock, whether answers come or not. So a stall of the system under test
delays no later request, and each one's response time counts from when it should have been sent
(G. Tene, "How NOT to Measure Latency", 2013: coordinated omission).
"""

import re
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

RATE_MAX = 100_000.0
"""A schedule asks for at most this many requests per second; more than one process can send."""
STAGES_MAX = 100
"""A schedule has at most this many stages."""
REQUESTS_MAX = 10_000_000
"""A schedule has at most this many requests: 80 MB of intended times."""

Arrivals = Literal["poisson", "constant"]
ARRIVALS: tuple[Arrivals, ...] = get_args(Arrivals)


class ScheduleError(ValueError):
    """A schedule can't be read or exceeds a limit; the message says which."""


class Stage(NamedTuple):
    """The rate goes evenly from one value to another; equal values are a constant rate."""

    from_per_s: float
    to_per_s: float
    duration_s: float

    @property
    def requests(self) -> float:
        return (self.from_per_s + self.to_per_s) / 2 * self.duration_s


class Schedule(NamedTuple):
    """A schedule's arrivals are poisson: independent, as of many users; or constant: evenly
    spaced."""

    stages: tuple[Stage, ...]
    arrivals: Arrivals = "poisson"

    @property
    def duration_s(self) -> float:
        return sum(stage.duration_s for stage in self.stages)

    @property
    def requests(self) -> float:
        """So many requests are expected; a Poisson schedule has more or fewer."""
        return sum(stage.requests for stage in self.stages)

    def __str__(self) -> str:
        parts = (
            f"{a:g}/s for {s:g} s" if a == b else f"{a:g} to {b:g}/s in {s:g} s"
            for a, b, s in self.stages
        )
        return f"{self.arrivals}, {', '.join(parts)}"


def parse(text: str, duration_s: float, arrivals: Arrivals = "poisson") -> Schedule:
    """`parse` reads ``500``, ``100..1000`` (a ramp), ``100,200,400`` (steps),
    ``200@10,200..800@30``.

    ``@S`` is a stage's length in seconds; stages without one share what `duration_s` leaves.
    It raises `ScheduleError`.
    """
    parts = text.split(",")
    if len(parts) > STAGES_MAX:
        raise ScheduleError(f"{len(parts)} stages, at most {STAGES_MAX} are allowed")
    read = [_stage(part.strip()) for part in parts]
    open_ended = sum(length is None for *_, length in read)
    left_s = duration_s - sum(length or 0.0 for *_, length in read)
    if open_ended and left_s <= 0:
        raise ScheduleError(f"{text!r}: its stages leave nothing of {duration_s:g} s")
    stages = tuple(
        Stage(first, last, left_s / open_ended if length is None else length)
        for first, last, length in read
    )
    schedule = Schedule(stages, arrivals)
    if not 1 <= schedule.requests <= REQUESTS_MAX:
        raise ScheduleError(f"{text!r}: {schedule.requests:g} requests, 1 to {REQUESTS_MAX:,}")
    return schedule


def rate_of(per_s: float) -> str:
    """`rate_of` returns a rate as `parse` reads it, which knows no exponents."""
    return f"{per_s:f}".rstrip("0").rstrip(".")


_NUMBER = r"\d+(?:\.\d+)?"
_STAGE = re.compile(rf"({_NUMBER})(?:\.\.({_NUMBER}))?(?:@({_NUMBER}))?")


def _stage(text: str) -> tuple[float, float, float | None]:
    match = _STAGE.fullmatch(text)
    if match is None:
        raise ScheduleError(f"{text!r}: a rate (500), a ramp (100..1000), with @SECONDS or without")
    first, last, length = match.groups()
    rates = (float(first), float(last or first))
    if max(rates) > RATE_MAX:
        raise ScheduleError(f"{text!r}: at most {RATE_MAX:,.0f} requests per second")
    if length is not None and float(length) == 0:
        raise ScheduleError(f"{text!r}: a stage of 0 s")
    return *rates, None if length is None else float(length)


def intended_ns(schedule: Schedule, seed: int) -> NDArray[np.int64]:
    """`intended_ns` returns times from the start of the schedule, ascending, shape (requests,).

    The same schedule and seed give the same times. A rate that changes is made of a unit process
    by inverting the cumulative rate (time rescaling: Çinlar, "Introduction to Stochastic
    Processes", 1975, chapter 4.7), so that a ramp is exact and not a staircase.
    """
    times, done = [], 0.0
    events = _events(schedule, seed)
    for index, (first, last, duration_s) in enumerate(schedule.stages):
        stage = schedule.stages[index]
        here = events[(events >= done) & (events < done + stage.requests)] - done
        slope = (last - first) / duration_s
        root = first + np.sqrt(np.maximum(first**2 + 2 * slope * here, 0.0))
        since_s = np.divide(2 * here, root, out=np.zeros_like(here), where=root > 0)
        begin_s = sum(before.duration_s for before in schedule.stages[:index])
        times.append(begin_s + np.minimum(since_s, duration_s))
        done += stage.requests
    rounded: NDArray[np.int64] = np.rint(np.concatenate(times) * 1e9).astype(np.int64)
    return rounded


def _events(schedule: Schedule, seed: int) -> NDArray[np.float64]:
    """A unit process up to the expected number of requests."""
    total = schedule.requests
    if schedule.arrivals == "constant":
        return np.arange(np.ceil(total - 1e-9))
    random = np.random.default_rng(seed)
    blocks, reached = [], 0.0
    while reached < total:
        block = reached + np.cumsum(random.exponential(size=1024 + int(total - reached)))
        blocks.append(block)
        reached = float(block[-1])
    events: NDArray[np.float64] = np.concatenate(blocks)
    return events[events < total]
