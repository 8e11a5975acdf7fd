"""`Waiting` finds who has waited longest, among thousands, without a look at each of them."""

import weakref
from collections.abc import Iterable
from operator import itemgetter
from typing import Generic, Protocol, TypeVar


class Waits(Protocol):
    """This is anything that may wait."""

    def waits_since_s(self) -> float | None:
        """`waits_since_s` returns the time since when it waits; None while it does not. Whoever
        begins to wait does so by now, never by a time that has passed."""


Waiter = TypeVar("Waiter", bound=Waits)


class Waiting(Generic[Waiter]):
    """All are looked at once, and not again until each of those that waited then has gone or waits
    no more: who began to wait after that look has waited less."""

    def __init__(self) -> None:
        self._found: list[tuple[float, weakref.ref[Waiter]]] = []
        """These waited at the last look, since so long; the longest comes last."""

    def pop_longest(self, everybody: Iterable[Waiter]) -> Waiter | None:
        """`pop_longest` returns the one that has waited longest; None where nobody waits. It is to
        be gone, or to wait anew, before the next call."""
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
