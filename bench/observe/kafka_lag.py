"""Where Kafka's topics end, asked directly: ListOffsets, version 1, of the broker's protocol.

One small request a second. Source: https://kafka.apache.org/protocol, "ListOffsets API (Key: 2)".
"""

from collections.abc import Sequence
from struct import Struct, error, unpack_from

from bench.errors import BenchError
from bench.observe.kafka_protocol import Link, header

RESPONSE_BYTES_MAX = 1024 * 1024
"""Of the broker's answer about the ends of topics."""
LATEST = -1

_PARTITION = Struct(">iiq")
"""How many there are (one), its index, the wanted time."""
_FOUND = Struct(">iihqq")
"""How many there are, index, error code, time, offset."""


class LogEnds:
    """The ends of the first partitions of topics. Not for use by several threads at once."""

    def __init__(self, bootstrap: str) -> None:
        """`bootstrap` is ``host:port`` of the partitions' leader; of several, the first."""
        self._link = Link(bootstrap, RESPONSE_BYTES_MAX)

    def read(self, topics: Sequence[str]) -> dict[str, int]:
        """Topic → the offset that its next record will have. Raises `BenchError`."""
        try:
            return parse(self._link.ask(request(topics)))
        except (OSError, error, ValueError) as cause:
            self.close()
            raise BenchError(f"Kafka at {self._link.address}: {cause}") from None

    def close(self) -> None:
        self._link.close()


def request(topics: Sequence[str]) -> bytes:
    parts = [header(2, 1), Struct(">ii").pack(-1, len(topics))]
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
