"""The probes send over HTTP by the clock, with every answer kept and every request counted.

The times between requests are exponential, so that a probe meets the system's own clocks at random
(R. W. Wolff, "Poisson Arrivals See Time Averages", 1982).
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from itertools import count
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from bench.generator.timer import Timer
from bench.judge.client import Http
from bench.judge.ledger import balance
from bench.observe.gateway import scrape
from bench.probes.target import Target
from bench.records.gateway_counts import Metrics, rise
from bench.records.request_log import Footer, Row
from bench.stats.window import kind_of
from bench.workload.arrivals import Schedule, Stage, intended_ns
from bench.workload.journey import Call

IN_FLIGHT_MAX = 512
"""A probe has at most this many connections, below the usual limit of open files. More requests are
dropped."""
ANSWER_GRACE_S = 5.0
"""An answer may come so long after the gateway's timeout: what is not answered by then counts as a
broken connection."""
QUIET_GRACE_S = 1.0
"""The gateway's table of requests in flight may take so long, after its timeout, to be empty."""
COUNT_WAIT_S = 10.0
"""A reply in Kafka may take so long to its count in the gateway; it takes some ms on a machine that
keeps time."""
SCRAPE_INTERVAL_S = 0.05
"""This much time passes between looks at the gateway's counters."""
LEAD_NS = 10_000_000
"""The first moment of a schedule comes so long after its start."""


class Answer(NamedTuple):
    row: Row
    intended_ns: int
    retry_after: str | None

    @property
    def status(self) -> int:
        return self.row.status

    @property
    def response_ns(self) -> int:
        """The response time counts from when a request should have been sent."""
        return self.row.done_ns - self.intended_ns

    @property
    def service_ns(self) -> int:
        """The service time counts from when it was sent."""
        return self.row.done_ns - self.row.sent_ns

    @property
    def timed(self) -> tuple[str, int]:
        return kind_of(self.row), self.response_ns


def paths(answers: Iterable[Answer]) -> list[str]:
    """`paths` returns what each of the requests asked for."""
    return [answer.row.path for answer in answers]


class Sender:
    """The sender sends to a target, and keeps all that it sent in `answers`. It is a context
    manager.

    It raises `BenchError` when the target's counters can't be read.
    """

    def __init__(self, target: Target) -> None:
        self.answers: list[Answer] = []
        self.scheduled = 0
        self.dropped = 0
        self._target = target
        self._under_way = 0
        self._schedules = count(target.options.seed * 1_000)

    async def __aenter__(self) -> Self:
        self._before = await self.scrape()
        self._http = Http(self._target.url, self._target.options.timeout_s + ANSWER_GRACE_S)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    @property
    def rows(self) -> list[Row]:
        return [answer.row for answer in self.answers]

    async def ask(self, call: Call) -> Answer:
        self.scheduled += 1
        return await self._send(call, time.monotonic_ns())

    async def ask_all(self, calls: Iterable[Call]) -> list[Answer]:
        """`ask_all` sends all at once."""
        return await asyncio.gather(*map(self.ask, calls))

    async def pace(
        self, calls: Iterable[Call], rate_per_s: float, duration_s: float
    ) -> list[Answer]:
        """`pace` sends by the clock, whether answers come or not; it returns when all have come."""
        schedule = Schedule((Stage(rate_per_s, rate_per_s, duration_s),))
        due_ns = intended_ns(schedule, next(self._schedules)) + time.monotonic_ns() + LEAD_NS
        waiting = iter(calls)
        async with asyncio.TaskGroup() as group:
            sent = []
            async for at_ns in clock(due_ns):
                self.scheduled += 1
                if self._under_way < IN_FLIGHT_MAX:
                    self._under_way += 1
                    task = group.create_task(self._send(next(waiting), at_ns))
                    task.add_done_callback(self._came_back)
                    sent.append(task)
                else:
                    self.dropped += 1
        return [task.result() for task in sent]

    async def scrape(self) -> Metrics:
        return await asyncio.to_thread(scrape, self._target.url, self._target.options.workers)

    async def risen(self) -> Metrics | None:
        """`risen` returns what the gateway's counters rose by; None where it was started anew."""
        return rise(self._before, await self.scrape())

    async def settled(self) -> Metrics | None:
        """`settled` is as `risen`, when nothing is under way any more, or nothing should be."""
        wait_s = self._target.options.timeout_s + QUIET_GRACE_S
        return await self._poll(lambda metrics: metrics.quiet, wait_s)

    async def counted(self, replies: int) -> Metrics | None:
        """`counted` is as `risen`, when so many replies have reached the gateway, or should
        have."""
        reached = self._before.replies.total() + replies
        return await self._poll(lambda metrics: metrics.replies.total() >= reached, COUNT_WAIT_S)

    async def _poll(self, holds: Callable[[Metrics], bool], wait_s: float) -> Metrics | None:
        deadline_s = time.monotonic() + wait_s
        while True:
            metrics = await self.scrape()
            if holds(metrics) or time.monotonic() > deadline_s:
                return rise(self._before, metrics)
            await asyncio.sleep(SCRAPE_INTERVAL_S)

    def faults(self, gateway: Metrics | None) -> list[str]:
        """`faults` returns what the ledger says, with what the gateway's counters rose by."""
        footer = Footer(self.scheduled, self.dropped)
        return balance(self.rows, [footer], gateway).faults

    @property
    def unsent(self) -> list[str]:
        """`unsent` returns what the probe itself could not send: a reason not to know."""
        if not self.dropped:
            return []
        return [f"{self.dropped:,} requests were not sent: {IN_FLIGHT_MAX} were under way"]

    def _came_back(self, _task: "asyncio.Task[Answer]") -> None:
        self._under_way -= 1

    async def _send(self, call: Call, intended_ns: int) -> Answer:
        row, retry_after = await self._http.send(call)
        answer = Answer(row, intended_ns, retry_after)
        self.answers.append(answer)
        return answer


async def clock(due_ns: NDArray[np.int64]) -> AsyncIterator[int]:
    """`clock` gives each time when it has come; those that are past at once."""
    rung = asyncio.Event()
    timer = Timer(asyncio.get_running_loop(), rung.set)
    try:
        for at_ns in due_ns.tolist():
            await asyncio.sleep(0)  # so that answers are read, however late it is
            while time.monotonic_ns() < at_ns:
                rung.clear()
                timer.set(at_ns)
                await rung.wait()
            yield at_ns
    finally:
        timer.close()
