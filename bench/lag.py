"""Where Kafka's topics end, asked directly: ListOffsets, version 1, of the broker's protocol.

A consumer of its own would cost threads and a group; this is one small request a second. Source:
https://kafka.apache.org/protocol, "ListOffsets API (Key: 2)"; brokers have version 1 since 0.10.1,
and it is the oldest one that Kafka 4 still takes (KIP-896).
"""

import socket
from collections.abc import Sequence
from struct import Struct, error, unpack_from

from bench.errors import BenchError

TIMEOUT_S = 1.0
RESPONSE_BYTES_MAX = 1024 * 1024
CLIENT_ID = b"kaflinkshop-bench"
LATEST = -1

_HEADER = Struct(f">hhih{len(CLIENT_ID)}s")
"""API key, version, correlation id, client id."""
_PARTITION = Struct(">iiq")
"""How many there are (one), its index, the wanted time."""
_FOUND = Struct(">iihqq")
"""How many there are, index, error code, time, offset."""


class LogEnds:
    """The ends of the first partitions of topics. Not for use by several threads at once."""

    def __init__(self, bootstrap: str) -> None:
        """`bootstrap` is ``host:port`` of the partitions' leader; of several, the first."""
        self._bootstrap = bootstrap.split(",")[0]
        self._socket: socket.socket | None = None

    def read(self, topics: Sequence[str]) -> dict[str, int]:
        """Topic → the offset that its next record will have. Raises `BenchError`."""
        try:
            return parse(self._ask(request(topics)))
        except (OSError, error, ValueError) as cause:
            self.close()
            raise BenchError(f"Kafka at {self._bootstrap}: {cause}") from None

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, content: bytes) -> bytes:
        if self._socket is None:
            host, _, port = self._bootstrap.rpartition(":")
            self._socket = socket.create_connection((host, int(port)), TIMEOUT_S)
        self._socket.sendall(len(content).to_bytes(4) + content)
        length = int.from_bytes(self._receive(4))
        if length > RESPONSE_BYTES_MAX:
            raise ValueError(f"an answer of {length:,} bytes")
        return self._receive(length)

    def _receive(self, length: int) -> bytes:
        assert self._socket is not None
        content = bytearray()
        while len(content) < length:
            part = self._socket.recv(length - len(content))
            if not part:
                raise ConnectionError("the connection was closed")
            content += part
        return bytes(content)


def request(topics: Sequence[str]) -> bytes:
    parts = [_HEADER.pack(2, 1, 0, len(CLIENT_ID), CLIENT_ID), Struct(">ii").pack(-1, len(topics))]
    for topic in topics:
        name = topic.encode()
        parts += [len(name).to_bytes(2), name, _PARTITION.pack(1, 0, LATEST)]
    return b"".join(parts)


def parse(response: bytes) -> dict[str, int]:
    """Raises `struct.error` for a truncated answer, `ValueError` for one without an offset."""
    found = {}
    _, count = unpack_from(">ii", response)
    place = 8
    for _ in range(count):
        (length,) = unpack_from(">h", response, place)
        topic = response[place + 2 : place + 2 + length].decode()
        partitions, _, code, _, offset = _FOUND.unpack_from(response, place + 2 + length)
        if partitions != 1 or code:
            raise ValueError(f"no end of {topic}: error {code}")
        found[topic] = offset
        place += 2 + length + _FOUND.size
    return found
