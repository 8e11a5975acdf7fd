"""The gateway's own Produce and Fetch are, byte by byte, those of aiokafka."""

import struct
from io import BytesIO

import pytest
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.fetch import FetchRequest, FetchResponse_v11
from aiokafka.protocol.produce import ProduceRequest, ProduceResponse_v7
from hypothesis import given
from hypothesis import strategies as st

from system.gateway.protocol import READ_UNCOMMITTED, Call, Fetch, Fetched, Produce, Produced

PRODUCE, FETCH = 0, 1
VERSIONS = {PRODUCE: (3, 7), FETCH: (4, 11)}
int16s, int32s, int64s = (
    st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (16, 32, 64)
)
partitions = st.integers(0, 2**31 - 1)
names = st.text(min_size=1, max_size=40)
records = st.binary(max_size=300)


def written(request, correlation_id: int, client_id: str) -> bytes:
    """As aiokafka's connections do."""
    call = request.prepare(VERSIONS)
    header = call.build_request_header(correlation_id=correlation_id, client_id=client_id)
    return header.encode() + call.encode()


def cut_anywhere(content: bytes) -> list[bytes]:
    return [content[:at] for at in range(len(content))]


@given(
    st.dictionaries(names, st.lists(st.tuples(partitions, records), max_size=4), max_size=4),
    st.integers(0, 2**31 - 1),
    partitions,
    names,
)
def test_produce_is_aiokafkas(topics, timeout_ms, correlation_id, client_id):
    own = Produce(topics, timeout_ms=timeout_ms)
    theirs = ProduceRequest(None, -1, timeout_ms, list(topics.items()))
    who = (correlation_id, client_id)
    assert written(own, *who) == written(theirs, *who)


@given(names, partitions, int64s, partitions, partitions, partitions, names)
def test_fetch_is_aiokafkas(
    topic, partition, offset, wait_ms, bytes_max, correlation_id, client_id
):
    own = Fetch(topic, partition, offset, wait_ms=wait_ms, bytes_max=bytes_max)
    asked = [(topic, [(partition, offset, bytes_max)])]
    theirs = FetchRequest(wait_ms, 1, bytes_max, READ_UNCOMMITTED, asked)
    who = (correlation_id, client_id)
    assert written(own, *who) == written(theirs, *who)


@given(
    st.lists(
        st.tuples(names, st.lists(st.tuples(int32s, int16s, int64s, int64s, int64s), max_size=3)),
        max_size=3,
    ),
    int32s,
)
def test_an_answer_to_produce_says_what_it_says_to_aiokafka(topics, correlation_id):
    answer = BytesIO(struct.pack(">i", correlation_id) + ProduceResponse_v7(topics, 0).encode())
    call = Produce({}, timeout_ms=0)
    assert call.parse_response_header(answer).correlation_id == correlation_id
    assert call.RESPONSE_TYPE.decode(answer).codes == [
        (topic, partition, code) for topic, told in topics for partition, code, *_ in told
    ]


@given(
    int32s,
    int32s,
    st.just(0) | int16s,
    names,
    st.tuples(int32s, int16s, int64s, int64s, int64s),
    st.none() | st.lists(st.tuples(int64s, int64s), max_size=3),
    st.none() | records,
)
def test_an_answer_to_fetch_says_what_it_says_to_aiokafka(
    throttle_ms, correlation_id, failed, topic, told, aborted, message_set
):
    partition = (*told, aborted, -1, message_set)
    content = FetchResponse_v11(throttle_ms, failed, 7, [(topic, [partition])]).encode()
    answer = BytesIO(struct.pack(">i", correlation_id) + content)
    call = Fetch("t", 0, 0, wait_ms=0, bytes_max=1)
    assert call.parse_response_header(answer).correlation_id == correlation_id
    code = failed or told[1]
    assert call.RESPONSE_TYPE.decode(answer) == (throttle_ms, code, message_set or b"")
    for short in cut_anywhere(content):
        with pytest.raises((struct.error, ValueError)):
            Fetched.decode(BytesIO(short))


def test_an_answer_to_produce_that_is_cut_off_is_none():
    topics = [("a", [(0, 0, 1, 2, 3)]), ("b", [(1, 0, 1, 2, 3)])]
    content = ProduceResponse_v7(topics, 0).encode()[:-4]  # the time of throttling is not read
    for short in cut_anywhere(content):
        with pytest.raises(struct.error):
            Produced.decode(BytesIO(short))


@given(int32s, int16s)
def test_a_broker_that_did_not_look_is_no_empty_topic(throttle_ms, code):
    answer = BytesIO(FetchResponse_v11(throttle_ms, code, 0, []).encode())
    assert Fetched.decode(answer) == (throttle_ms, code, None)


@pytest.mark.parametrize(
    ("call", "key", "version"),
    [
        (Produce({}, timeout_ms=0), PRODUCE, 7),
        (Fetch("t", 0, 0, wait_ms=0, bytes_max=1), FETCH, 11),
    ],
)
def test_a_broker_that_knows_no_such_version_is_told(call: Call, key: int, version: int):
    for lowest, highest in ((version, version), (0, version), (version, version + 9)):
        assert call.prepare({key: (lowest, highest)}) is call
    for versions in (
        {key: (0, version - 1)},
        {key: (version + 1, version + 9)},
        {1 - key: (0, 99)},
    ):
        with pytest.raises(IncompatibleBrokerVersion, match=r"a Kafka from 2\.3 on is needed"):
            call.prepare(versions)
