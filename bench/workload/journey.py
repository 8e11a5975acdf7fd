"""A journey yields each `Call` and is sent its `Reply`, whoever does the sending."""

from collections.abc import Generator
from typing import Any, NamedTuple


class Call(NamedTuple):
    operation: str
    """The operation is the service's method; results are grouped by it."""
    verb: str
    path: str
    expected: frozenset[str] = frozenset()
    """The journeys cause these error codes themselves, by acting on the same entity at a time."""
    key: str | None = None
    """The Idempotency-Key is what is sent along."""


class Reply(NamedTuple):
    status: int
    """The status is 0 where the connection broke before a reply."""
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status == 200


def broken(kind: str) -> Reply:
    """`broken` returns what stands for a reply when the connection could not be made or broke."""
    return Reply(0, {"error": {"code": "connection", "message": kind}})


class WrongAnswerError(AssertionError):
    """A reply contradicts the contract."""


def advance(journey: Generator[Call, Reply, Any], reply: Reply) -> Call:
    """`advance` returns the journey's next call. It raises `WrongAnswerError`, also where the reply
    has not what the journey needs, and `StopIteration` at its end."""
    try:
        return journey.send(reply)
    except (LookupError, TypeError) as cause:
        found = f"{type(cause).__name__} {cause}"
        raise WrongAnswerError(f"an answer has another form: {found}") from cause


Journey = Generator[Call, Reply, None]
Step = Generator[Call, Reply, Reply]
