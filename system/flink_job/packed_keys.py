"""Keys that were not used lately stay in a task's memory as bytes: to ask Flink costs far more."""

SHARD_BYTES = 256 * 1024
"""A shard has so much, some hundred keys: its table grows within a millisecond, and its first key
is soon found. A key with more is not kept."""
ENTRY_BYTES = 144
"""A key takes so much more than its name and its value: two objects' heads, and its place in a
table. Measured with a million of them: 130 bytes."""


class PackedKeys:
    """The keys are in plain tables of text and bytes, which Python's collector need not look
    through: a million took it 3 ms, and as an `OrderedDict` 308."""

    def __init__(self, bytes_max: int) -> None:
        count = max(1, bytes_max // SHARD_BYTES)
        self._shard_bytes_max = bytes_max // count
        self._shards: list[dict[str, bytes]] = [{} for _ in range(count)]
        self._bytes = [0] * count

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def get(self, key: str) -> bytes | None:
        """`get` returns what was put last; None where it is not here."""
        return self._shards[self._number(key)].get(key)

    def put(self, key: str, packed: bytes) -> None:
        """`put` keeps a key, in place of what it had. Those that were put first go for it, and one
        that has no room by itself does not stay."""
        number, needed = self._number(key), _bytes_of(key, packed)
        self._drop(number, key)
        if needed > self._shard_bytes_max:
            return
        shard = self._shards[number]
        shard[key] = bytes(memoryview(packed))  # a copy: orjson's own may hold some KiB more
        self._bytes[number] += needed
        while self._bytes[number] > self._shard_bytes_max:
            self._drop(number, next(iter(shard)))

    def drop(self, key: str) -> None:
        """`drop` leaves the key out, where it is here."""
        self._drop(self._number(key), key)

    def _drop(self, number: int, key: str) -> None:
        packed = self._shards[number].pop(key, None)
        if packed is not None:
            self._bytes[number] -= _bytes_of(key, packed)

    def _number(self, key: str) -> int:
        """By the upper bits: a table finds its place for a key by the lower ones."""
        return (hash(key) >> 32) % len(self._shards)


def _bytes_of(key: str, packed: bytes) -> int:
    return len(key) + len(packed) + ENTRY_BYTES
