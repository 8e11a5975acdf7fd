"""The partition of a key is the one that Kafka's own clients choose."""

from struct import unpack_from


def partition(key: bytes, partitions: int) -> int:
    """Kafka's Java clients, and so Flink's sinks, put a record with this key into this
    partition."""
    return (murmur2(key) & 0x7FFFFFFF) % partitions if partitions > 1 else 0


def murmur2(data: bytes) -> int:
    """`murmur2` returns 32 bits, as org.apache.kafka.common.utils.Utils.murmur2 does, unsigned."""
    size = len(data)
    hash_ = 0x9747B28C ^ size
    for word in unpack_from(f"<{size // 4}I", data):
        word = word * 0x5BD1E995 & 0xFFFFFFFF
        word = (word ^ word >> 24) * 0x5BD1E995 & 0xFFFFFFFF
        hash_ = hash_ * 0x5BD1E995 & 0xFFFFFFFF ^ word
    if rest := data[size & ~3 :]:
        hash_ = (hash_ ^ int.from_bytes(rest, "little")) * 0x5BD1E995 & 0xFFFFFFFF
    hash_ = (hash_ ^ hash_ >> 13) * 0x5BD1E995 & 0xFFFFFFFF
    return hash_ ^ hash_ >> 15
