"""A check holds, is broken, or is unknown, which never passes as holds.

The three states are Jepsen's (`jepsen.checker/valid?`).
"""

from collections.abc import Iterable
from typing import Literal, NamedTuple

State = Literal["holds", "broken", "unknown"]
_ORDER: tuple[State, ...] = ("holds", "unknown", "broken")


class Check(NamedTuple):
    """A check says what was asked, what is known of it, and why; `why` is one line, empty where it
    holds."""

    name: str
    state: State
    why: str = ""


def worst(states: Iterable[State]) -> State:
    """`worst` returns broken where any is, else unknown where any is; holds for none at all."""
    return max(states, key=_ORDER.index, default="holds")


def doubtful(checks: Iterable[Check]) -> list[Check]:
    """`doubtful` returns the checks that do not hold."""
    return [check for check in checks if check.state != "holds"]


def doubts(checks: Iterable[Check]) -> list[str]:
    """`doubts` returns why each check that does not hold does not, a line each."""
    return [check.why for check in doubtful(checks)]


def at_most(name: str, value: float | None, limit: float, broken: str, unknown: str) -> Check:
    """`at_most` checks a value that may not be known: each outcome but "holds" brings its words."""
    if value is None:
        return Check(name, "unknown", unknown)
    return Check(name, "holds") if value <= limit else Check(name, "broken", broken)
