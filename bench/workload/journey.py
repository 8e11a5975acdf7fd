"""A journey: a generator that yields a `Call` and is sent the `Reply`, whoever does the sending."""

from collections.abc import Generator
from typing import Any, NamedTuple


class Call(NamedTuple):
    operation: str
    """The service's method; results are grouped by it."""
    verb: str
    path: str
    expected: frozenset[str] = frozenset()
    """Error codes that the journeys cause themselves, by acting on the same entity at a time."""
    key: str | None = None
    """The Idempotency-Key that is sent along."""


class Reply(NamedTuple):
    status: int
    """0: the connection broke before a reply."""
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status == 200


def broken(kind: str) -> Reply:
    """What stands for a reply when the connection could not be made or broke."""
    return Reply(0, {"error": {"code": "connection", "message": kind}})


class WrongAnswerError(AssertionError):
    """A reply that contradicts the contract."""


Journey = Generator[Call, Reply, None]
Step = Generator[Call, Reply, Reply]
