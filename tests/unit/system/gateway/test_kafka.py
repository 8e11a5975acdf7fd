import asyncio
from types import SimpleNamespace

import pytest
from aiokafka.errors import NoError
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from system.gateway.kafka import Kafka, murmur2, partition
from system.kafka_security import KafkaSecurity


@given(st.binary(max_size=70))
def test_murmur2_is_aiokafkas(key):
    assert murmur2(key) == aiokafka_murmur2(key)


@given(st.binary(min_size=1, max_size=70), st.integers(1, 50))
def test_partitions_are_aiokafkas(key, partitions):
    everything = list(range(partitions))
    assert partition(key, partitions) == DefaultPartitioner()(key, everything, everything)


@pytest.mark.parametrize(
    ("key", "expected"), [(b"21", -973932308), (b"foobar", -790332482), (b"abc", 479470107)]
)
def test_murmur2_is_kafkas(key, expected):
    """Vectors of Kafka's own UtilsTest, as signed integers."""
    assert murmur2(key) == expected & 0xFFFFFFFF


async def test_a_traced_record_is_stamped_before_it_is_written(monkeypatch):
    fates, written = [], []
    kafka = Kafka(
        "127.0.0.1:9",
        "gateway_out_test",
        ["user_in"],
        KafkaSecurity(),
        on_reply=None,
        on_not_sent=None,
        on_fate=lambda fate, records: fates.append((fate, len(records))),
    )
    stamps = [("queued", 1)]

    async def send(node, request):
        written.append(list(stamps))
        return SimpleNamespace(topics=[("user_in", [(0, NoError.errno, 0)])])

    monkeypatch.setattr(kafka, "reachable", True)
    monkeypatch.setattr(kafka, "_partitions", {"user_in": 1})
    monkeypatch.setattr(kafka._out.cluster, "leader_for_partition", lambda target: 0)
    monkeypatch.setattr(kafka._out, "send", send)
    future = asyncio.get_running_loop().create_future()
    kafka.send("user_in", "u", b"{}", "a", future, stamps)
    kafka.send("user_in", "u", b"{}", "b", future)
    assert stamps == [("queued", 1)]
    await kafka.stop()
    assert [name for name, _ in stamps] == ["queued", "produced"]
    assert written == [stamps]
    assert fates == [("acknowledged", 2)]
