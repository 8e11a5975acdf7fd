"""Keys that were not used lately stay in a task's memory as bytes: to ask Flink costs far more."""

SHARDS = 1024
"""Each has so few keys that its table grows within a millisecond, and its first is soon found."""
ENTRY_BYTES = 144
"""A key takes so much more than its name and its value: two objects' heads, and its place in a
table. Measured with a million of them: 130 bytes."""


class PackedKeys:
    """The keys are in plain tables of text and bytes, which Python's collector need not look
    through: a million took it 3 ms, and as an `OrderedDict` 308."""

    def __init__(self, bytes_max: int, shards: int = SHARDS) -> None:
        self._shard_bytes_max = bytes_max // shards
        self._shards: list[dict[str, bytes]] = [{} for _ in range(shards)]
        self._bytes = [0] * shards

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def get(self, key: str) -> bytes | None:
        """`get` returns what was put last; None where it is not here."""
        return self._shards[hash(key) % len(self._shards)].get(key)

    def put(self, key: str, packed: bytes) -> None:
        """`put` keeps a key, in place of what it had. Those that were put first go for it, and one
        that has no room by itself does not stay."""
        self.drop(key)
        number = hash(key) % len(self._shards)
        shard = self._shards[number]
        shard[key] = bytes(memoryview(packed))  # a copy: orjson's own may hold some KiB more
        self._bytes[number] += _bytes_of(key, packed)
        while self._bytes[number] > self._shard_bytes_max:
            self.drop(next(iter(shard)))

    def drop(self, key: str) -> None:
        """`drop` leaves the key out, where it is here."""
        number = hash(key) % len(self._shards)
        packed = self._shards[number].pop(key, None)
        if packed is not None:
            self._bytes[number] -= _bytes_of(key, packed)


def _bytes_of(key: str, packed: bytes) -> int:
    return len(key) + len(packed) + ENTRY_BYTES
