"""Kafka's Produce and Fetch are bytes here, for aiokafka's connections to send and to take.

A request that comes alone takes one of each. aiokafka builds them, and takes their answers apart,
field by field, as all that Kafka knows: with one user that was a seventh of the gateway's CPU. The
forms are those of https://kafka.apache.org/protocol: Produce 7, and Fetch 11, without a session.
"""

from collections.abc import Mapping, Sequence
from io import BytesIO
from struct import Struct
from typing import ClassVar, NamedTuple, Self

from aiokafka.errors import IncompatibleBrokerVersion

NO_TRANSACTION = -1
ACKS_ALL = -1
READ_UNCOMMITTED = 0
ANY_REPLICA, ANY_EPOCH, ANY_OFFSET = -1, -1, -1
"""A client is no replica, and leaves the others to the broker."""
NO_SESSION, FINAL_EPOCH = 0, -1
"""The broker remembers nothing of such a fetch (KIP-227)."""

_INT16, _INT32 = Struct(">h"), Struct(">i")
_HEADER = Struct(">hhih")
"""The key and the version of a request, its correlation id, the size of the client's name."""
_PRODUCE = Struct(">hhii")
"""The size of the transaction's name, acks, timeout, topics."""
_BATCH = Struct(">ii")
_PRODUCED = Struct(">ih24x")
"""Partition and code; not what the broker says of offset and time."""
_FETCH = Struct(">iiiibiii")
_OFFSET = Struct(">iiiqqi")
_NEITHER = Struct(">ih")
"""Topics that a session forgets, and the size of a rack's name."""
_FETCHED = Struct(">ihii")
"""How long the client is throttled, code, session, topics."""
_PARTITION = Struct(">iihqqqi")
"""Partitions, and of the only one: its number, code, three offsets, aborted transactions."""
_ABORTED = Struct(">qq")
_RECORDS = Struct(">ii")
"""The replica to read from, and the size of the records."""


class Header(NamedTuple):
    content: bytes

    def encode(self) -> bytes:
        return self.content


class AnswerHeader(NamedTuple):
    correlation_id: int


class Call:
    """This is what a connection of aiokafka's asks of a request, and of the form of its answer."""

    API_KEY: ClassVar[int]
    API_VERSION: ClassVar[int]
    __slots__ = ("_content",)

    def __init__(self, content: bytes) -> None:
        self._content = content

    def prepare(self, versions: Mapping[int, tuple[int, int]]) -> Self:
        """`prepare` returns the call, if it is within what the broker knows: of each key the lowest
        and the highest version. It raises `IncompatibleBrokerVersion`, before anything is sent."""
        lowest, highest = versions.get(self.API_KEY, (0, -1))
        if not lowest <= self.API_VERSION <= highest:
            name = type(self).__name__
            raise IncompatibleBrokerVersion(
                f"this Kafka knows {name} {lowest} to {highest}, and not {self.API_VERSION}: a "
                "Kafka from 2.3 on is needed"
            )
        return self

    def build_request_header(self, correlation_id: int, client_id: str) -> Header:
        name = client_id.encode()
        head = _HEADER.pack(self.API_KEY, self.API_VERSION, correlation_id, len(name))
        return Header(head + name)

    def encode(self) -> bytes:
        return self._content

    def parse_response_header(self, answer: BytesIO) -> AnswerHeader:
        return AnswerHeader(*_INT32.unpack(answer.read(_INT32.size)))


class Produced(NamedTuple):
    """The answer to `Produce`."""

    codes: list[tuple[str, int, int]]
    """Topic, partition, and Kafka's error code, which is 0 for none."""

    @classmethod
    def decode(cls, answer: BytesIO) -> Self:
        content, at = answer.getvalue(), answer.tell()
        codes = []
        topics, at = _int32(content, at)
        for _ in range(topics):
            topic, at = _text(content, at)
            partitions, at = _int32(content, at)
            for _ in range(partitions):
                partition, code = _PRODUCED.unpack_from(content, at)
                codes.append((topic, partition, code))
                at += _PRODUCED.size
        return cls(codes)


class Produce(Call):
    """`Produce` writes batches of records: of each topic pairs of partition and batch."""

    API_KEY, API_VERSION = 0, 7
    RESPONSE_TYPE = Produced
    __slots__ = ()

    def __init__(
        self, topics: Mapping[str, Sequence[tuple[int, bytes]]], *, timeout_ms: int
    ) -> None:
        parts = [_PRODUCE.pack(NO_TRANSACTION, ACKS_ALL, timeout_ms, len(topics))]
        for topic, batches in topics.items():
            parts += _sized(topic), _INT32.pack(len(batches))
            for partition, batch in batches:
                parts += _BATCH.pack(partition, len(batch)), batch
        super().__init__(b"".join(parts))


class Fetched(NamedTuple):
    """The answer to `Fetch`."""

    throttle_ms: int
    code: int
    """Kafka's error code, which is 0 for none."""
    records: bytes | None
    """The records are None where the broker did not look: the client's quota is used up (seen in
    Kafka's FetchContext)."""

    @classmethod
    def decode(cls, answer: BytesIO) -> Self:
        """`decode` takes the answer for one partition. It raises `ValueError` for one cut off."""
        content, at = answer.getvalue(), answer.tell()
        throttle_ms, failed, _, topics = _FETCHED.unpack_from(content, at)
        if not topics:
            return cls(throttle_ms, failed, None)
        _, at = _text(content, at + _FETCHED.size)
        _, _, code, _, _, _, aborted = _PARTITION.unpack_from(content, at)
        at += _PARTITION.size + max(aborted, 0) * _ABORTED.size
        _, size = _RECORDS.unpack_from(content, at)
        at += _RECORDS.size
        records = content[at : at + max(size, 0)]
        if len(records) < size:
            raise ValueError(f"{len(records)} of {size} bytes of records")
        return cls(throttle_ms, failed or code, records)


class Fetch(Call):
    """`Fetch` reads a partition from an offset on, as soon as there is anything, or ends after
    `wait_ms`."""

    API_KEY, API_VERSION = 1, 11
    RESPONSE_TYPE = Fetched
    __slots__ = ()

    def __init__(
        self, topic: str, partition: int, offset: int, *, wait_ms: int, bytes_max: int
    ) -> None:
        super().__init__(
            _FETCH.pack(
                *(ANY_REPLICA, wait_ms, 1, bytes_max, READ_UNCOMMITTED, NO_SESSION, FINAL_EPOCH, 1)
            )
            + _sized(topic)
            + _OFFSET.pack(1, partition, ANY_EPOCH, offset, ANY_OFFSET, bytes_max)
            + _NEITHER.pack(0, 0)
        )


def _sized(text: str) -> bytes:
    content = text.encode()
    return _INT16.pack(len(content)) + content


def _text(content: bytes, at: int) -> tuple[str, int]:
    """The text, and where the next field begins."""
    (size,) = _INT16.unpack_from(content, at)
    at += _INT16.size
    return content[at : at + size].decode(), at + size


def _int32(content: bytes, at: int) -> tuple[int, int]:
    """The number, and where the next field begins."""
    (value,) = _INT32.unpack_from(content, at)
    return value, at + _INT32.size
