"""Another machine's clock is ahead of this one's by an offset that is known to within bounds.

Each question tells two bounds that no delay of network or machine can make wrong: the other clock
was read after the question left, and before its answer came (Cristian, "Probabilistic clock
synchronization", 1989). The quicker the answer, the closer the bounds.
"""

from collections.abc import Iterable
from typing import NamedTuple

ERROR_NS_MAX = 5_000_000
"""A generator's clock is at most this far from the leader's reckoning of it: a request near the
edge of a window of 20 s is then counted on the wrong side of it once in 4,000."""
QUESTIONS = 20
"""So many questions in a row find one that nothing delayed."""
QUESTIONS_MAX = 200
"""An agent is asked at most so often before the load; then its clock is refused."""


class Bounds(NamedTuple):
    """The other clock less this one is from `low_ns` to `high_ns`."""

    low_ns: int
    high_ns: int

    @property
    def middle_ns(self) -> int:
        return (self.low_ns + self.high_ns) // 2

    @property
    def width_ns(self) -> int:
        return self.high_ns - self.low_ns


def bounds(asked_ns: int, told_ns: int, answered_ns: int) -> Bounds:
    """`bounds` returns what one question tells: the other clock showed `told_ns` between the other
    two times, which are of this one."""
    return Bounds(told_ns - answered_ns, told_ns - asked_ns)


def narrowest(found: Iterable[Bounds]) -> Bounds:
    return min(found, key=lambda each: each.width_ns)


class Reckoning:
    """The reckoning takes one offset for a whole phase, and follows how wrong it becomes: so no
    latency of the other machine is bent by a correction."""

    def __init__(self, before: Iterable[Bounds]) -> None:
        found = narrowest(before)
        self.offset_ns = found.middle_ns
        self.known_ns = 0
        """The reckoning was wrong by at least this, at some time."""
        self.possible_ns: int | None = None
        """It was wrong by at most this before the load and after it; None until `finish`."""
        self._before_ns = self._error_at_most(found)

    @property
    def error_before_ns(self) -> int:
        """The offset may have been wrong by so much when it was taken."""
        return self._before_ns

    def see(self, now: Bounds) -> None:
        """`see` takes what a question tells during the load."""
        below, above = self.offset_ns - now.high_ns, now.low_ns - self.offset_ns
        self.known_ns = max(self.known_ns, below, above)

    def finish(self, after: Iterable[Bounds]) -> None:
        """`finish` takes what the questions after the load tell."""
        found = narrowest(after)
        self.see(found)
        self.possible_ns = max(self._before_ns, self._error_at_most(found))

    def _error_at_most(self, found: Bounds) -> int:
        return max(found.high_ns - self.offset_ns, self.offset_ns - found.low_ns)
