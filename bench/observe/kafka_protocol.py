"""The bench speaks Kafka's protocol by itself as far as this: one request, one answer, one socket.

A client library would bring threads, groups and retries of its own into what is measured. Source:
https://kafka.apache.org/protocol. The versions used are the oldest that Kafka 4 takes (KIP-896).
"""

import socket
from collections.abc import Callable
from struct import Struct, calcsize, unpack_from
from typing import Any, TypeVar

CLIENT_ID = b"kaflinkshop-bench"

_HEADER = Struct(f">hhih{len(CLIENT_ID)}s")
"""API key, version, correlation id, client id."""
T = TypeVar("T")


def header(api_key: int, version: int) -> bytes:
    return _HEADER.pack(api_key, version, 0, len(CLIENT_ID), CLIENT_ID)


class Link:
    """A link is a connection to one broker. Several threads can't use it at once."""

    def __init__(self, bootstrap: str, response_bytes_max: int, timeout_s: float) -> None:
        """The `bootstrap` is ``host:port``; of several, the first."""
        self.address = bootstrap.split(",")[0]
        self._response_bytes_max = response_bytes_max
        self._timeout_s = timeout_s
        self._socket: socket.socket | None = None

    def ask(self, content: bytes) -> bytes:
        """`ask` sends a request, and returns the answer. It raises `OSError`, and `ValueError` for
        an answer that is too long."""
        if self._socket is None:
            host, _, port = self.address.rpartition(":")
            self._socket = socket.create_connection((host, int(port)), self._timeout_s)
        self._socket.sendall(len(content).to_bytes(4) + content)
        length = int.from_bytes(self._receive(4))
        if length > self._response_bytes_max:
            raise ValueError(f"an answer of {length:,} bytes")
        return self._receive(length)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _receive(self, length: int) -> bytes:
        assert self._socket is not None
        content = bytearray()
        while len(content) < length:
            part = self._socket.recv(length - len(content))
            if not part:
                raise ConnectionError("the connection was closed")
            content += part
        return bytes(content)


class Reader:
    """The reader takes an answer apart, from begin to end. It raises `struct.error` where it is too
    short."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._place = 0

    def take(self, form: str) -> Any:
        """`take` returns one number, in the notation of `struct`."""
        (value,) = unpack_from(f">{form}", self._content, self._place)
        self._place += calcsize(f">{form}")
        return value

    def text(self) -> str:
        """`text` is empty for null."""
        return self._bytes(self.take("h")).decode()

    def blob(self) -> bytes:
        """`blob` is empty for null."""
        return self._bytes(self.take("i"))

    def several(self, read: Callable[[], T]) -> list[T]:
        """`several` returns an array; empty for null."""
        return [read() for _ in range(self.take("i"))]

    def _bytes(self, length: int) -> bytes:
        begin, self._place = self._place, self._place + max(0, length)
        return self._content[begin : self._place]
