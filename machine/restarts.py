"""`Restarts` starts anew what has died: at once, then later and later; what dies too often is given
up."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Literal, NamedTuple

from machine.errors import StackError
from machine.processes import Supervisor

STEP_INTERVAL_S = 0.25
"""The watch looks this often for what has died."""

RESTARTS_MAX = 10
"""One part is started at most this often within `WINDOW_S`. What dies more often is broken, and is
not started again."""
WINDOW_S = 300.0
"""Deaths longer ago are forgotten: ten starts that fail, with the pauses between, fit in it.
What takes half a minute to fail, as a gateway whose Kafka is elsewhere and away, is tried on."""
PAUSE_S_MIN = 0.5
"""This pause comes before the second start in a row; the first one is at once. Each one more
doubles the pause."""
PAUSE_S_MAX = 10.0
"""No pause before a start is longer: a person who mends the cause waits no longer than that."""


class Event(NamedTuple):
    """An event is what happened to a part, and when on the monotonic clock. `part` is ``stack`` for
    all."""

    at_ns: int
    part: str
    kind: Literal["ended", "started", "ready"]
    text: str


class Restarts:
    """`Restarts` watches the children of a supervisor; one thread calls `step` again and again.

    `start` starts a part by its name, and `is_ready` says whether all work together again.
    """

    def __init__(
        self,
        supervisor: Supervisor,
        start: Callable[[str], object],
        is_ready: Callable[[], bool],
        say: Callable[[str], object],
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.events: list[Event] = []
        self._supervisor = supervisor
        self._start = start
        self._is_ready = is_ready
        self._say = say
        self._clock_ns = clock_ns
        self._deaths: dict[str, deque[int]] = {}
        self._due_ns: dict[str, int] = {}
        self._broken_ns: int | None = None

    def step(self) -> bool:
        """`step` does what is due, and returns whether anything was.

        It raises `StackError` when a part has died too often; a start that failed, on a full disk
        for example, is a death.
        """
        before = len(self.events)
        for child in self._supervisor.ended():
            self._ended(child.name, child.describe_exit())
        now_ns = self._clock_ns()
        for name in [name for name, due_ns in self._due_ns.items() if due_ns <= now_ns]:
            del self._due_ns[name]
            self._start_anew(name)
        if self._broken_ns is not None and not self._due_ns and self._is_ready():
            lasted_s = (self._clock_ns() - self._broken_ns) / 1e9
            self._broken_ns = None
            self._event("stack", "ready", f"ready again, {lasted_s:.1f} s after the first end")
        return len(self.events) > before

    def start(self, *names: str) -> None:
        """`start` starts these parts. A start that fails is a death, which `step` mends."""
        for name in names:
            self._starts(name)

    def forget(self, names: Iterable[str]) -> None:
        """`forget` has these parts not be started anew, and knows nothing of their deaths."""
        for name in names:
            self._due_ns.pop(name, None)
            self._deaths.pop(name, None)

    def until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """`until` steps until the condition holds, and returns whether it came to hold in time."""
        until_ns = self._clock_ns() + int(timeout_s * 1e9)
        while not condition():
            if self._clock_ns() > until_ns:
                return False
            self.step()
            time.sleep(STEP_INTERVAL_S)
        return True

    @contextmanager
    def in_thread(self) -> Iterator[None]:
        """`in_thread` steps in a thread meanwhile; at the end it raises the `StackError` that it
        gave up with."""
        stopping, given_up = threading.Event(), list[StackError]()

        def run() -> None:
            try:
                while not stopping.wait(STEP_INTERVAL_S):
                    self.step()
            except StackError as cause:
                given_up.append(cause)

        thread = threading.Thread(target=run, name="restarts")
        thread.start()
        try:
            yield
        finally:
            stopping.set()
            thread.join()
        for cause in given_up:
            raise cause

    def _ended(self, name: str, how: str) -> None:
        now_ns = self._clock_ns()
        if self._broken_ns is None:
            self._broken_ns = now_ns
        deaths = self._deaths.setdefault(name, deque())
        deaths.append(now_ns)
        while deaths[0] < now_ns - WINDOW_S * 1e9:
            deaths.popleft()
        if len(deaths) > RESTARTS_MAX:
            raise StackError(
                f"{how}: ended {len(deaths)} times within {WINDOW_S:g} s, it is not started again"
            )
        pause_s = (
            0.0 if len(deaths) == 1 else min(PAUSE_S_MIN * 2 ** (len(deaths) - 2), PAUSE_S_MAX)
        )
        self._due_ns[name] = now_ns + int(pause_s * 1e9)
        when = f", to be started anew in {pause_s:g} s" if pause_s else ""
        self._event(name, "ended", how + when)

    def _start_anew(self, name: str) -> None:
        if self._starts(name):
            self._event(name, "started", f"{name} is started anew")

    def _starts(self, name: str) -> bool:
        try:
            self._start(name)
        except (StackError, OSError) as cause:
            self._ended(name, f"{name} was not started ({cause})")
            return False
        return True

    def _event(self, part: str, kind: Literal["ended", "started", "ready"], text: str) -> None:
        self.events.append(Event(self._clock_ns(), part, kind, text))
        self._say(text)
