"""`Waiting` says which client is to make room for another."""

import weakref
from collections.abc import Iterable
from operator import itemgetter
from typing import Generic, Protocol, TypeVar

SILENT_S = 1.0
"""A client that has asked nothing for so long goes before whoever has asked; one that has just come
is about to ask."""


class Waits(Protocol):
    """This is anything that may wait."""

    def waits_since_s(self) -> float | None:
        """`waits_since_s` returns the time since when it waits; None while it does not. Whoever
        begins to wait does so by now, never by a time that has passed."""


Waiter = TypeVar("Waiter", bound=Waits)


class Waiting(Generic[Waiter]):
    """Those who have asked nothing yet are known in the order in which they came. All others are
    looked at once, and not again until each of those that waited then has gone or waits no more:
    who began to wait after that look has waited less. Where nobody waits, each call looks."""

    def __init__(self) -> None:
        self._silent: dict[Waiter, float] = {}
        """These have asked nothing since they came, at this time."""
        self._found: list[tuple[float, weakref.ref[Waiter]]] = []
        """These waited at the last look, since so long; the longest comes last."""

    def came(self, newcomer: Waiter, now_s: float) -> None:
        self._silent[newcomer] = now_s

    def forget(self, waiter: Waiter) -> None:
        """`forget` is told of whoever has asked, or does not count any more."""
        self._silent.pop(waiter, None)

    def pop_for(self, newcomer: Waiter, everybody: Iterable[Waiter], now_s: float) -> Waiter | None:
        """`pop_for` returns who makes room for a newcomer: the first that has been silent for
        `SILENT_S`, else the one of everybody that has waited longest since it asked, else the first
        that is silent; None where nobody waits. It is to be gone, or to wait anew, before the next
        call."""
        silent = ((each, at) for each, at in self._silent.items() if each is not newcomer)
        first, came_s = next(silent, (None, now_s))
        if first is not None and now_s - came_s >= SILENT_S:
            return first
        return self._longest(everybody) or first

    def _longest(self, everybody: Iterable[Waiter]) -> Waiter | None:
        if (longest := self._pop()) is not None:
            return longest
        self._found = sorted(
            (
                (since_s, weakref.ref(each))
                for each in everybody
                if (since_s := each.waits_since_s()) is not None
            ),
            key=itemgetter(0),
            reverse=True,
        )
        return self._pop()

    def _pop(self) -> Waiter | None:
        while self._found:
            since_s, reference = self._found.pop()
            found = reference()
            if found is not None and found.waits_since_s() == since_s:
                return found
        return None
