"""Java and Python pass records as one frame of bytes each.

Of a row, PyFlink would convert each field by itself. InputRecord.java writes what comes, and
HostOperator.java a timer that rings; OutboxWriter.java reads what goes.

    in     topic's length, partition (~partition: it should be in another), timestamp, the first
           one of what was sent on (-1: it was not), key's length (-1: none); topic, key, value
    timer  0, timestamp;                                                  topic/entity
    out    topic's length, key's length (-1: none), reason's length;      topic, key, reason, value
"""

from struct import Struct
from typing import NamedTuple

_IN = Struct(">Biqqi")
_TIMER = Struct(">Bq")
_OUT = Struct(">BiH")


class Arrived(NamedTuple):
    """A record of an input topic has arrived."""

    topic: str
    partition: int
    logged_ms: int
    """The record was written to the topic at this time, by the broker's clock, in ms since 1970."""
    first_ms: int | None
    """A record that was sent on was first written at this time; None for any other."""
    key: bytes | None
    value: bytes
    is_elsewhere: bool
    """Kafka's own clients would have put its key into another partition."""


def arrived(frame: bytes) -> Arrived:
    """`arrived` returns the record that Java read."""
    topic_bytes, partition, logged_ms, first_ms, key_bytes = _IN.unpack_from(frame)
    topic_end = _IN.size + topic_bytes
    key_end = topic_end + max(0, key_bytes)
    return Arrived(
        frame[_IN.size : topic_end].decode(),
        partition if partition >= 0 else ~partition,
        logged_ms,
        first_ms if first_ms >= 0 else None,
        None if key_bytes < 0 else frame[topic_end:key_end],
        frame[key_end:],
        partition < 0,
    )


def rung(frame: bytes) -> tuple[int, str] | None:
    """`rung` returns a timer's timestamp in ms since 1970, and its key, or None for a record."""
    if frame[0]:
        return None
    _, timestamp = _TIMER.unpack_from(frame)
    return timestamp, frame[_TIMER.size :].decode()


def to_send(topic: str, key: bytes | None, value: bytes, reason: bytes = b"") -> bytes:
    """`to_send` returns a record for Java to write. A `reason` becomes its header of that name."""
    key_bytes = -1 if key is None else len(key)
    head = _OUT.pack(len(topic), key_bytes, len(reason))
    return b"%b%b%b%b%b" % (head, topic.encode(), key or b"", reason, value)
