"""A record is what the gateway puts into an input topic."""

from asyncio import Future
from typing import Any, NamedTuple

Stamps = list[tuple[str, int]]
"""A traced request has these: what happened, and when, in ns of the wall clock."""


class Target(NamedTuple):
    topic: str
    partition: int


class Record(NamedTuple):
    target: Target
    key: bytes
    value: bytes
    request_id: str
    future: "Future[Any] | None"
    """The future is None for a record that nobody waits for."""
    stamps: Stamps | None
    is_again: bool = False
    """It was sent before, and its fate is told."""
