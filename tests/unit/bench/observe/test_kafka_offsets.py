"""Records and bytes of Kafka's topics, as a broker's answers tell them."""

import socketserver
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from struct import pack

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from support.small_server import in_thread

from bench.errors import BenchError
from bench.observe.kafka_offsets import (
    Batch,
    Place,
    TrafficMeter,
    batches,
    ends_request,
    parse_ends,
    parse_fetched,
    parse_topics,
    records_between,
)
from bench.observe.kafka_protocol import Reader

METADATA, LIST_OFFSETS, FETCH = 3, 2, 1
Log = list[tuple[int, int]]
"""Batches: how many records, and the bytes after the header."""


def text(value: str) -> bytes:
    return pack(">h", len(value)) + value.encode()


def topics(partitions: dict[str, int]) -> bytes:
    parts = [pack(">i", 1), pack(">i", 7), text("127.0.0.1"), pack(">ih", 9092, -1), pack(">i", 7)]
    parts.append(pack(">i", len(partitions)))
    for name, count in partitions.items():
        parts += [pack(">h", 0), text(name), pack(">?i", name.startswith("__"), count)]
        parts += [
            pack(">hii", 0, index, 7) + pack(">iiii", 1, 7, 1, 7)
            for index in reversed(range(count))
        ]
    return b"".join(parts)


def ends(found: dict[Place, int], code: int = 0) -> bytes:
    parts = [pack(">i", len(found))]
    for place, end in found.items():
        parts += [text(place.topic), pack(">iihqq", 1, place.partition, code, -1, end)]
    return b"".join(parts)


def fetched(content: bytes, code: int = 0) -> bytes:
    head = pack(">ii", 0, 1) + text("t") + pack(">iihqqi", 1, 0, code, 9, 9, -1)
    return head + pack(">i", len(content)) + content


def log(content: Log, begin: int = 0) -> bytes:
    parts, base = [], begin
    for records, size in content:
        rest = pack(">iBihi", 0, 2, 0, 0, records - 1) + b"r" * size
        parts.append(pack(">qi", base, len(rest)) + rest)
        base += records
    return b"".join(parts)


def test_topics_of_kafkas_own_are_left_out() -> None:
    found = parse_topics(Reader(topics({"user_in": 2, "__consumer_offsets": 1, "out": 1})))
    assert found == [Place("user_in", 0), Place("user_in", 1), Place("out", 0)]


def test_an_end_of_each_partition() -> None:
    wanted = {Place("a", 0): 5, Place("b", 0): 2**40}
    assert parse_ends(Reader(ends(wanted))) == wanted
    with pytest.raises(BenchError, match="no end of a: error 6 of Kafka"):
        parse_ends(Reader(ends(wanted, code=6)))


def test_partitions_of_a_topic_are_asked_for_together() -> None:
    asked = ends_request([Place("a", 0), Place("a", 1), Place("b", 0)])
    assert asked.count(text("a")) == asked.count(text("b")) == 1


@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 100))), st.integers(0, 10**12))
def test_batches_are_counted_to_the_byte(content: Log, begin: int) -> None:
    written = log(content, begin)
    found = batches(written, 2**62)
    assert sum(each.bytes for each in found) == len(written)
    if content:
        assert found[-1].next_offset == begin + sum(records for records, _ in content)
        assert batches(written[:-1], 2**62) == found[:-1], "the last one is cut off"
        assert batches(written, found[-1].next_offset - content[-1][0]) == found[:-1]


def test_what_is_fetched_is_of_one_partition() -> None:
    assert batches(parse_fetched(Reader(fetched(log([(2, 4)])))), 9) == [Batch(2, 27 + 4)]
    with pytest.raises(BenchError, match="no records: error 1 of Kafka"):
        parse_fetched(Reader(fetched(b"", code=1)))


@given(st.binary(max_size=200))
@example(b"\0" * 8 + b"\x80" + b"\0" * 18)  # a batch of a negative length
def test_any_answer_ends_in_a_result_or_an_error(content: bytes) -> None:
    batches(content, 2**62)
    for parse in (parse_topics, parse_ends, parse_fetched):
        with suppress(BenchError):
            parse(Reader(content))


@contextmanager
def broker(answers: dict[int, bytes]) -> Iterator[str]:
    """Answers by API key; its address."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            while length := self.rfile.read(4):
                asked = self.rfile.read(int.from_bytes(length))
                answer = pack(">i", 0) + answers[int.from_bytes(asked[:2])]
                self.wfile.write(len(answer).to_bytes(4) + answer)

    with in_thread(socketserver.TCPServer(("127.0.0.1", 0), Handler)) as address:
        yield address


def test_what_came_in_between() -> None:
    place, written = Place("t", 0), log([(3, 10), (1, 6)], begin=4)
    throttle = pack(">i", 0)
    answers = {
        METADATA: topics({"t": 1}),
        LIST_OFFSETS: ends({place: 8}),
        FETCH: throttle + fetched(written)[4:],
    }
    with broker(answers) as address:
        meter = TrafficMeter(address)
        after = meter.ends()
        assert after == meter.ends_of([place]) == {place: 8}
        assert meter.ends_of([]) == {}
        assert records_between({place: 4}, after) == 4
        assert records_between({}, after) == 8
        assert meter.bytes_between({place: 4}, after) == len(written)
        assert meter.bytes_between(after, after) == 0
        answers[FETCH] = fetched(b"")
        with pytest.raises(BenchError, match="has no record 4 of"):
            meter.bytes_between({place: 4}, after)
        meter.close()


def test_a_broker_that_is_not_there() -> None:
    with pytest.raises(BenchError, match=r"^Kafka at 127\.0\.0\.1:1: "):
        TrafficMeter("127.0.0.1:1").ends()
