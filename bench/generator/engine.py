"""The generator sends what a source gives, when a schedule says so, and records how it ended.

Open loop: each request goes out at its intended time, whatever became of those before. What can't
go out is dropped and counted: when as many requests as allowed are under way, or when the generator
itself is late. Closed loop: a number of users, each of which sends when its last answer has come.
"""

import asyncio
from array import array
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic_ns, process_time_ns
from typing import Any

from bench.generator.preflight import OWN_LIMITS
from bench.generator.timer import Timer
from bench.generator.transport import Connected, Transport
from bench.records.run_record import IN_FLIGHT_MAX
from bench.records.samples import (
    CONNECTION,
    DROPPED_IN_FLIGHT,
    DROPPED_LATE,
    DROPPED_LIMIT,
    TIMEOUT,
    Writer,
)
from bench.workload.sources import Source

LATE_NS_MAX = 100_000_000
"""A request that would go out later than this after its intended time is dropped."""
WATCH_S = 1.0
"""The generator looks at itself this often."""
SWEEP_S = 0.05
"""A request may be given up, and a sample written out, this late."""
CONNECTIONS_READY = 32
"""So many connections are opened before the load; more are as they are needed."""
OPENING_MAX = 16
"""So many connections are opened at a time, besides those that the server holds up. To open one
takes longer than to send some requests: after a pause, hundreds at once would make late what is due
meanwhile, while connections that are open come back."""
HELD_UP_S = 0.01
"""A connection that is not open after this time waits for the server, or the network between, and
takes no time of this process: some times what the process itself needs to open `OPENING_MAX`."""
NO_OPERATION = "(not sent)"
"""A dropped request has this operation: nothing was chosen for that time."""


def may_send(samples: Writer, intended_ns: int, now_ns: int, is_full: bool) -> bool:
    """`may_send` counts a request that is due; it returns False when the request is dropped, which
    is recorded."""
    samples.scheduled += 1
    is_late = now_ns - intended_ns > LATE_NS_MAX
    if not is_late and not is_full:
        return True
    label = samples.label(NO_OPERATION, DROPPED_LATE if is_late else DROPPED_IN_FLIGHT)
    samples.add((label, intended_ns, now_ns, now_ns))
    return False


class Waiting:
    """A request waits for a connection."""

    __slots__ = ("context", "intended_ns", "opening_ns", "request", "since_ns")

    def __init__(self, context: Any, request: Any, intended_ns: int) -> None:
        self.context = context
        self.request = request
        self.intended_ns = intended_ns
        self.since_ns = monotonic_ns()
        self.opening_ns = 0
        """A connection is being opened for it since then: from there on it waits for the server. 0
        while the generator itself lets it wait."""


class Generator:
    """The generator runs on the event loop of its process; `samples` and `source` are closed by the
    caller."""

    def __init__(
        self,
        transport: Transport,
        source: Source,
        samples: Writer,
        *,
        in_flight_max: int = IN_FLIGHT_MAX,
        timeout_s: float,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._source = source
        self._samples = samples
        self._add = samples.add
        self._in_flight_max = in_flight_max
        self._timeout_ns = int(timeout_s * 1e9)
        self._next_idle = 0 if transport.takes_turns else -1
        """The connection that was used last is the warmest; of several servers' it is the one whose
        turn is over."""
        self._connections = 0
        """So many connections are open or being opened."""
        self._idle: list[Connected] = []
        self._under_way: dict[Connected, None] = {}
        """The connections that have a request under way are in the order in which they were
        sent."""
        self._waiting: deque[Waiting] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._held_up: set[asyncio.Task[None]] = set()
        """These have been opened for longer than `HELD_UP_S`: a server whose listen queue is full
        lets them wait for a second and more."""
        self._feeding = 0
        """A closed loop keeps so many requests under way."""
        self._preparing = False
        self._idle_event = asyncio.Event()
        self._times = array("q")
        self._next = 0
        self._begin_ns = 0
        self._timer = Timer(self._loop, self._ring)
        self.lost: asyncio.Future[None] = self._loop.create_future()
        """It fails with an `OSError` when samples can't be written any more."""
        self._sweep()
        self._watch_at_s = self._loop.time() + WATCH_S
        self._watch_timer = self._loop.call_at(self._watch_at_s, self._watch)

    @property
    def in_flight(self) -> int:
        return len(self._under_way) + len(self._waiting)

    async def prepare(self) -> None:
        """`prepare` opens connections, and sends what the source needs before the load."""
        await self._transport.prepare()
        for _ in range(min(CONNECTIONS_READY, self._in_flight_max)):
            self._open()
        while self._opening:
            await asyncio.wait(self._opening)
        self._preparing = True
        await self._feed_until_idle(self._source.prepare())
        self._preparing = False

    async def run_open(self, begin_ns: int, intended_ns: "array[int]") -> None:
        """`run_open` walks the schedule, whose times count from `begin_ns`; it returns when all has
        ended."""
        self._begin_ns, self._times, self._next = begin_ns, intended_ns, 0
        self._ring()
        await self._until_idle()

    async def run_closed(self, begin_ns: int, users: int, duration_s: float) -> None:
        await asyncio.sleep(max(0.0, (begin_ns - monotonic_ns()) / 1e9))
        self._loop.call_later(duration_s, self.stop)
        await self._feed_until_idle(users)

    def stop(self) -> None:
        """`stop` sends nothing more; what is under way may end."""
        self._feeding = 0
        self._times = self._times[: self._next]
        self._check_idle()

    def close(self) -> None:
        self._sweep_timer.cancel()
        self._watch_timer.cancel()
        self._timer.close()
        for task in self._opening:
            task.cancel()
        for connection in self._idle:
            connection.abort()

    # ---- when to send

    def _ring(self) -> None:
        """Sends all that is due."""
        times, index, begin_ns = self._times, self._next, self._begin_ns
        while index < len(times):
            intended_ns = begin_ns + times[index]
            now_ns = monotonic_ns()
            if intended_ns > now_ns:
                self._next = index
                self._timer.set(intended_ns)
                return
            index += 1
            self._due(intended_ns, now_ns)
        self._next = index
        self._check_idle()

    def _due(self, intended_ns: int, now_ns: int) -> None:
        is_full = self.in_flight >= self._in_flight_max
        if may_send(self._samples, intended_ns, now_ns, is_full):
            self._send(*self._source.next(), intended_ns)

    def _feed(self) -> None:
        """Closed loop, and before the load."""
        for _ in range(self._feeding - self.in_flight):
            chosen = self._source.next_prepared() if self._preparing else self._source.next()
            if chosen is None:
                break
            self._samples.scheduled += 1
            self._send(*chosen, monotonic_ns())
        self._check_idle()

    async def _feed_until_idle(self, users: int) -> None:
        self._feeding = users
        self._feed()
        await self._until_idle()
        self._feeding = 0

    async def _until_idle(self) -> None:
        self._idle_event.clear()
        self._check_idle()
        await self._idle_event.wait()

    def _check_idle(self) -> None:
        if not (self._under_way or self._waiting) and self._next >= len(self._times):
            self._idle_event.set()

    # ---- sending

    def _send(self, context: Any, request: Any, intended_ns: int) -> None:
        if self._idle and not self._waiting:
            connection = self._idle.pop(self._next_idle)
            connection.sent_ns = monotonic_ns()
            self._write(connection, context, request, intended_ns)
        else:
            self._waiting.append(Waiting(context, request, intended_ns))
            self._attend()
            self._open_where_needed()

    def _write(self, connection: Connected, context: Any, request: Any, intended_ns: int) -> None:
        self._samples.sent += 1
        connection.context = context
        connection.intended_ns = intended_ns
        self._under_way[connection] = None
        connection.send(request)

    def _open_where_needed(self) -> None:
        opening = len(self._opening) - len(self._held_up)
        has_room = self._connections < self._in_flight_max and opening < OPENING_MAX
        if has_room and len(self._waiting) > len(self._opening):
            self._open()
            self._attend()

    def _attend(self) -> None:
        """Of the requests that wait, the oldest are those that connections are being opened for."""
        last = min(len(self._waiting), len(self._opening)) - 1
        while last >= 0 and not self._waiting[last].opening_ns:
            self._waiting[last].opening_ns = monotonic_ns()
            last -= 1

    def _open(self) -> None:
        self._connections += 1
        task = self._loop.create_task(self._connect())
        self._opening.add(task)
        task.add_done_callback(self._opened)
        self._loop.call_later(HELD_UP_S, self._hold_up, task)

    def _hold_up(self, task: asyncio.Task[None]) -> None:
        if task in self._opening:
            self._held_up.add(task)
            self._open_where_needed()

    def _opened(self, task: asyncio.Task[None]) -> None:
        self._opening.discard(task)
        self._held_up.discard(task)
        if not task.cancelled():
            self._open_where_needed()

    async def _connect(self) -> None:
        try:
            await self._transport.open(self)
        except TimeoutError:
            self._connections -= 1
        except OSError as cause:
            self._connections -= 1
            if self._waiting:
                if cause.errno in OWN_LIMITS:
                    self._drop_waiting()
                else:
                    self._give_up_waiting(f"{CONNECTION} {type(cause).__name__}")
                self._next_turn()

    def _drop_waiting(self) -> None:
        """The oldest request that waits is not sent: this machine could not open a connection."""
        self._fail_waiting(DROPPED_LIMIT)

    def _give_up_waiting(self, outcome: str) -> None:
        """The oldest request that waits has failed: it counts as sent when it began to wait."""
        self._samples.sent += 1
        self._fail_waiting(outcome)

    def _fail_waiting(self, outcome: str) -> None:
        oldest = self._waiting.popleft()
        times_ns = (oldest.intended_ns, oldest.since_ns, monotonic_ns())
        self._fail(oldest.context, outcome, times_ns)

    # ---- what connections tell

    def opened(self, connection: Connected) -> None:
        self._take_back(connection)

    def answered(self, connection: Connected) -> None:
        done_ns = monotonic_ns()
        times_ns = (connection.intended_ns, connection.sent_ns, done_ns)
        context, connection.context = connection.context, None
        del self._under_way[connection]
        label = self._source.answered(context, connection, times_ns)
        self._add((label, *times_ns))
        if not connection.reusable:
            self._gone()
        elif self._waiting:
            self._take_back(connection)
            self._attend()
        else:
            self._idle.append(connection)
        if self._feeding:
            self._feed()
        elif not self._under_way:
            self._check_idle()

    def broken(self, connection: Connected, outcome: str) -> None:
        if connection.context is None:
            if connection in self._idle:
                self._idle.remove(connection)
        else:
            context, connection.context = connection.context, None
            del self._under_way[connection]
            times_ns = (connection.intended_ns, connection.sent_ns, monotonic_ns())
            self._fail(context, outcome, times_ns)
        self._gone()
        self._next_turn()

    def _fail(self, context: Any, outcome: str, times_ns: tuple[int, int, int]) -> None:
        self._add((self._source.failed(context, outcome, times_ns), *times_ns))

    def _take_back(self, connection: Connected) -> None:
        if self._waiting:
            oldest = self._waiting.popleft()
            connection.sent_ns = oldest.opening_ns or monotonic_ns()
            self._write(connection, oldest.context, oldest.request, oldest.intended_ns)
        else:
            self._idle.append(connection)

    def _gone(self) -> None:
        self._connections -= 1
        self._open_where_needed()

    def _next_turn(self) -> None:
        if self._feeding:
            self._feed()
        else:
            self._check_idle()

    # ---- by the clock

    def _sweep(self) -> None:
        """Gives up what had no answer in time, counted from when it should have been sent."""
        oldest_ns = monotonic_ns() - self._timeout_ns
        expired = []
        for connection in self._under_way:
            if connection.intended_ns > oldest_ns:
                break
            expired.append(connection)
        overdue = 0
        for waiting in self._waiting:
            if waiting.intended_ns > oldest_ns:
                break
            overdue += 1
        for _ in range(overdue):
            self._give_up_waiting(TIMEOUT)
        self._attend()
        for connection in expired:
            connection.abort()
            self.broken(connection, TIMEOUT)
        if overdue:
            self._next_turn()
        self._open_where_needed()
        with self._losing():
            self._samples.flush()
        self._sweep_timer = self._loop.call_later(SWEEP_S, self._sweep)

    @contextmanager
    def _losing(self) -> Iterator[None]:
        try:
            yield
        except OSError as cause:
            if not self.lost.done():
                self.lost.set_exception(cause)

    def _watch(self) -> None:
        lag_s = self._loop.time() - self._watch_at_s
        with self._losing():
            self._samples.watch(
                at_ns=monotonic_ns(),
                loop_lag_ns=int(lag_s * 1e9),
                in_flight=self.in_flight,
                connections=self._connections,
                cpu_ns=process_time_ns(),
                sent=self._samples.sent,
            )
        self._watch_at_s += WATCH_S
        self._watch_timer = self._loop.call_at(self._watch_at_s, self._watch)
