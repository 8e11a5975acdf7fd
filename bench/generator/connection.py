"""One HTTP/1.1 connection of the open-loop generator: cheap, and never sends anything twice.

An asyncio protocol on httptools' parser, one request at a time on each connection; no pipelining,
no redirects, no retries. A response without a length, which only the end of the connection ends,
counts as a broken connection.
"""

import asyncio
from typing import Any, Protocol, cast

import httptools

from bench.records.samples import CONNECTION

BODY_BYTES_MAX = 4 * 1024 * 1024
"""Of an answer; one that is longer counts as a broken connection."""


class Owner(Protocol):
    """Who is told."""

    def opened(self, connection: "Connection") -> None: ...

    def answered(self, connection: "Connection", status: int) -> None:
        """The connection is free for the next request where `reusable` holds."""

    def broken(self, connection: "Connection", outcome: str) -> None:
        """It is closed; a request was under way where `context` is not None."""


class Connection(asyncio.Protocol):
    """`context`, `intended_ns` and `sent_ns` are the owner's, of the request under way."""

    __slots__ = (
        "_body_bytes", "_owner", "_parser", "_transport", "context", "intended_ns", "parts",
        "reusable", "sent_ns",
    )  # fmt: skip

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser: Any = None
        self._transport: asyncio.Transport | None = None
        self._body_bytes = 0
        self.parts: list[bytes] = []
        """Of the answer's body."""
        self.reusable = False
        self.context: Any = None
        self.intended_ns = 0
        self.sent_ns = 0

    def send(self, request: bytes) -> None:
        assert self._transport is not None
        self._transport.write(request)

    def abort(self) -> None:
        """Ends the connection without a word to the owner."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    # ---- asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._break(f"{CONNECTION} not HTTP")

    def connection_lost(self, error: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            name = "closed" if error is None else type(error).__name__
            self._owner.broken(self, f"{CONNECTION} {name}")

    # ---- httptools'

    def on_message_begin(self) -> None:
        self.parts.clear()
        self._body_bytes = 0

    def on_body(self, part: bytes) -> None:
        self._body_bytes += len(part)
        if self._body_bytes > BODY_BYTES_MAX:
            self._break(f"{CONNECTION} too long an answer")
        else:
            self.parts.append(part)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if self.context is None or self._transport is None:
            self._break(f"{CONNECTION} answer without a request")
        elif status >= 200:
            self.reusable = self._parser.should_keep_alive()
            self._owner.answered(self, status)
            if not self.reusable:
                self.abort()

    def _break(self, outcome: str) -> None:
        if self._transport is not None:
            self.abort()
            self._owner.broken(self, outcome)
