"""An account is what a history says it may hold, at its end and at each read.

A read that was sent after a definite answer must show it (all records of one entity are in order),
and nothing that was sent after the read was answered. What was under way meanwhile, or is of
unknown outcome, may be seen or not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import accumulate

SUMS_MAX = 4096
"""An account with unknown outcomes has at most this many possible sums; beyond, only smallest and
largest are looked at."""


@dataclass(slots=True)
class Account:
    """An account's `fixed` happened, each of `either` happened once or not, and up to `slack` more
    did."""

    fixed: int = 0
    either: list[int] = field(default_factory=list)
    slack: int = 0

    def allows(self, value: int) -> bool:
        sums = {self.fixed}
        for amount in self.either:
            sums |= {total + amount for total in sums}
            if len(sums) > SUMS_MAX:
                return self.lowest() <= value <= self.highest()
        return any(total <= value <= total + self.slack for total in sums)

    def lowest(self) -> int:
        return self.fixed + sum(amount for amount in self.either if amount < 0)

    def highest(self) -> int:
        return self.fixed + sum(amount for amount in self.either if amount > 0) + self.slack

    def __str__(self) -> str:
        lowest, highest = self.lowest(), self.highest()
        return str(lowest) if lowest == highest else f"one of {lowest} to {highest}"


class Steps:
    """Amounts at times, summed up."""

    def __init__(self, steps: Iterable[tuple[int, int]]) -> None:
        """`steps` are (time in ns, amount)."""
        ordered = sorted(steps)
        self._times = [at_ns for at_ns, _ in ordered]
        self._sums = [0, *accumulate(amount for _, amount in ordered)]

    def before(self, at_ns: int) -> int:
        return self._sums[bisect_left(self._times, at_ns)]

    def until(self, at_ns: int) -> int:
        return self._sums[bisect_right(self._times, at_ns)]


class Bounds:
    """An account surely held so much, and no more than so much, between two times in ns."""

    def __init__(self, may: Iterable[tuple[int, int]], did: Iterable[tuple[int, int]]) -> None:
        may, did = list(may), list(did)
        self._may_in = Steps(step for step in may if step[1] > 0)
        self._may_out = Steps(step for step in may if step[1] < 0)
        self._came_in = Steps(step for step in did if step[1] > 0)
        self._went_out = Steps(step for step in did if step[1] < 0)

    def lowest(self, from_ns: int, until_ns: int) -> int:
        return self._came_in.before(from_ns) + self._may_out.until(until_ns)

    def highest(self, from_ns: int, until_ns: int) -> int:
        return self._may_in.until(until_ns) + self._went_out.before(from_ns)


class Movements:
    """Movements came into an account and went out; the reads of it are to be judged."""

    def __init__(self) -> None:
        self._may: list[tuple[int, int]] = []
        self._did: list[tuple[int, int]] = []
        self.reads: list[tuple[int, int, int, int]] = []
        """A read is when it was sent and answered, in ns, its value, and what it moved itself."""

    def may(self, amount: int, from_ns: int) -> None:
        """`amount` may have moved at any time from `from_ns` on, or not at all."""
        self._may.append((from_ns, amount))

    def did(self, amount: int, until_ns: int) -> None:
        """`did` says that what `may` have moved had done so at `until_ns`."""
        self._did.append((until_ns, amount))

    def bounds(self) -> Bounds:
        """`bounds` returns those of what moved until now."""
        return Bounds(self._may, self._did)

    def wrong(self) -> Iterable[str]:
        """`wrong` yields a line for each read that no order of what happened explains."""
        bounds = self.bounds()
        for sent_ns, done_ns, value, own in self.reads:
            lowest = bounds.lowest(sent_ns, done_ns) + max(0, own)
            highest = bounds.highest(sent_ns, done_ns) + min(0, own)
            if not lowest <= value <= highest:
                yield f"{value} was read, when it was {lowest} to {highest}"
