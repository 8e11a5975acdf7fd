"""Offsets tell what went into Kafka's topics during a window: records, and their bytes in the log.

Offsets tell the records exactly: each record has one, in all topics but Kafka's own. The bytes are
those of the batches, headers included, read back after the window: the size of a log says nothing,
as old segments are deleted meanwhile. Source: https://kafka.apache.org/protocol, Metadata (key 3),
ListOffsets (2) and Fetch (1); "Record Batch" of Kafka's documentation.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from struct import Struct, error
from typing import NamedTuple

from bench.errors import BenchError
from bench.observe.kafka_protocol import Link, Reader, header

TIMEOUT_S = 5.0
"""The broker may take this long to answer; else the figures of this window are not known."""
FETCH_BYTES_MAX = 1024 * 1024
"""One answer has at most this many bytes; Kafka sends one batch in any case, which may be as
large."""
READ_BYTES_MAX = 4 * 1024 * 1024
"""So much is read back of one partition; the rest is reckoned to be alike."""
RESPONSE_BYTES_MAX = 8 * 1024 * 1024
"""The broker's answer has at most this many bytes; that is far above what was asked for."""
LATEST = -1

_BATCH = Struct(">qiiBihi")
"""Base offset, length of what follows it, leader epoch, magic, checksum, attributes, last delta."""
_LENGTH_END = 12
"""Bytes of a batch that its length does not count."""


class Place(NamedTuple):
    topic: str
    partition: int


Ends = Mapping[Place, int]
"""Each partition's next record will have this offset."""


def records_between(before: Ends, after: Ends) -> int:
    """`records_between` returns how many were added; a topic that is new has begun with offset
    0."""
    return sum(end - before.get(place, 0) for place, end in after.items())


class TrafficMeter:
    """The meter reads the broker that leads all partitions. Several threads can't use it at
    once."""

    def __init__(self, bootstrap: str, timeout_s: float = TIMEOUT_S) -> None:
        """The `bootstrap` is ``host:port``; of several, the first."""
        self._link = Link(bootstrap, RESPONSE_BYTES_MAX, timeout_s)

    def ends(self) -> dict[Place, int]:
        """`ends` returns the ends of all topics that are not Kafka's own. It raises
        `BenchError`."""
        return self.ends_of(parse_topics(self._ask(header(3, 1) + Struct(">i").pack(-1))))

    def ends_of(self, places: Sequence[Place]) -> dict[Place, int]:
        """`ends_of` returns the ends of these alone; the places of a topic stand together. It
        raises `BenchError`."""
        return parse_ends(self._ask(ends_request(places))) if places else {}

    def bytes_between(self, before: Ends, after: Ends) -> float:
        """`bytes_between` reads back how many were added. It raises `BenchError`."""
        added = ((place, before.get(place, 0), end) for place, end in after.items())
        return sum(self._bytes(place, begin, end) for place, begin, end in added if end > begin)

    def close(self) -> None:
        self._link.close()

    def _bytes(self, place: Place, begin: int, end: int) -> float:
        offset, size = begin, 0
        while offset < end and size < READ_BYTES_MAX:
            found = batches(parse_fetched(self._ask(fetch_request(place, offset))), end)
            if not found:
                raise BenchError(f"Kafka at {self._link.address} has no record {offset} of {place}")
            size += sum(each.bytes for each in found)
            offset = found[-1].next_offset
        return size * (end - begin) / (offset - begin)

    def _ask(self, request: bytes) -> Reader:
        try:
            reader = Reader(self._link.ask(request))
            reader.take("i")  # the correlation id
        except (OSError, error, ValueError) as cause:
            self.close()
            raise BenchError(f"Kafka at {self._link.address}: {cause}") from None
        return reader


def ends_request(places: Sequence[Place]) -> bytes:
    """`ends_request` asks for the ends of places; those of a topic stand together."""
    topics = [(name, list(of)) for name, of in groupby(places, lambda place: place.topic)]
    parts = [header(2, 1), Struct(">ii").pack(-1, len(topics))]
    for name, of in topics:
        parts += [_text(name), Struct(">i").pack(len(of))]
        parts += [Struct(">iq").pack(place.partition, LATEST) for place in of]
    return b"".join(parts)


def fetch_request(place: Place, offset: int) -> bytes:
    """`fetch_request` asks for what there is from the offset on, at once."""
    wait_ms, bytes_min, isolation = 0, 1, 0
    return b"".join(
        (
            header(1, 4),
            Struct(">iiiib").pack(-1, wait_ms, bytes_min, FETCH_BYTES_MAX, isolation),
            Struct(">i").pack(1),
            _text(place.topic),
            Struct(">iiqi").pack(1, place.partition, offset, FETCH_BYTES_MAX),
        )
    )


def _text(value: str) -> bytes:
    return len(value.encode()).to_bytes(2) + value.encode()


def parse_topics(answer: Reader) -> list[Place]:
    """`parse_topics` returns the places of an answer. It raises `BenchError` for one that is none,
    as all below."""
    places: list[Place] = []

    def broker() -> None:
        answer.take("i")
        answer.text()
        answer.take("i")
        answer.text()

    def partition() -> int:
        _code, index, _leader = answer.take("h"), answer.take("i"), answer.take("i")
        for _ in ("replicas", "in sync"):
            answer.several(lambda: answer.take("i"))
        return int(index)

    def topic() -> None:
        _code, name, is_internal = answer.take("h"), answer.text(), answer.take("?")
        found = answer.several(partition)
        if not is_internal:
            places.extend(Place(name, index) for index in sorted(found))

    try:
        answer.several(broker)
        answer.take("i")
        answer.several(topic)
    except (error, UnicodeDecodeError) as cause:
        raise BenchError(f"no list of Kafka's topics: {cause}") from None
    return places


def parse_ends(answer: Reader) -> dict[Place, int]:
    ends: dict[Place, int] = {}

    def topic() -> None:
        name = answer.text()
        for index, code, offset in answer.several(partition):
            if code:
                raise BenchError(f"no end of {name}: error {code} of Kafka")
            ends[Place(name, index)] = offset

    def partition() -> tuple[int, int, int]:
        index, code, _time_ms, offset = (answer.take(form) for form in "ihqq")
        return index, code, offset

    try:
        answer.several(topic)
    except (error, UnicodeDecodeError) as cause:
        raise BenchError(f"no ends of Kafka's topics: {cause}") from None
    return ends


def parse_fetched(answer: Reader) -> bytes:
    """`parse_fetched` returns the batches of the one partition that was asked for; the last one may
    be cut off."""

    def topic() -> list[bytes]:
        answer.text()
        return answer.several(partition)

    def partition() -> bytes:
        _index, code, _high, _stable = (answer.take(form) for form in "ihqq")
        answer.several(lambda: (answer.take("q"), answer.take("q")))
        if code:
            raise BenchError(f"no records: error {code} of Kafka")
        return answer.blob()

    try:
        answer.take("i")
        return b"".join(part for parts in answer.several(topic) for part in parts)
    except (error, UnicodeDecodeError) as cause:
        raise BenchError(f"no records of Kafka: {cause}") from None


class Batch(NamedTuple):
    next_offset: int
    bytes: int


def batches(content: bytes, end: int) -> list[Batch]:
    """`batches` returns the whole batches that begin before the offset `end`."""
    found, place = [], 0
    while place + _BATCH.size <= len(content):
        base, length, *_, last = _BATCH.unpack_from(content, place)
        place += _LENGTH_END + length
        if base >= end or place > len(content):
            break
        if length < _BATCH.size - _LENGTH_END or last < 0:
            break  # no batch: what follows can't be told
        found.append(Batch(base + last + 1, _LENGTH_END + length))
    return found
