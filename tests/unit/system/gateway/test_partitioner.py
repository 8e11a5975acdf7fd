import pytest
from aiokafka.partitioner import DefaultPartitioner
from aiokafka.partitioner import murmur2 as aiokafka_murmur2
from hypothesis import given
from hypothesis import strategies as st

from system.gateway.partitioner import murmur2, partition


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
