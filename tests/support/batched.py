"""HostOperator.java over dicts: it applies what `Batches` answers, byte by byte."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from support.hosted import PACKED_BYTES_MAX, Sent, sent
from support.shop import HOSTED
from system.flink_job.batches import Batches
from system.flink_job.clocks import Clocks
from system.flink_job.state_cache import KEYS_MAX, Knowledge
from system.service import Window


def timer(timestamp: int, key: str) -> tuple[str, bytes]:
    """A timer that rings, as key and frame."""
    return key, bytes(1) + timestamp.to_bytes(8) + key.encode()


@dataclass
class Batched:
    """One task. `values`, `maps` and `timers` are Flink's, which outlive it."""

    clocks: Clocks
    keys_max: int = KEYS_MAX
    values: dict[str, bytes] = field(default_factory=dict)
    maps: dict[str, dict[str, bytes]] = field(default_factory=dict)
    timers: dict[str, set[int]] = field(default_factory=dict)
    sent: list[Sent] = field(default_factory=list)
    dead: int = 0
    reads: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """A new task over the same state."""
        knowledge = Knowledge(PACKED_BYTES_MAX, self.keys_max)
        self.batches = Batches(HOSTED.values(), knowledge, Window(), self, self.clocks)

    def take(self, records: Sequence[tuple[str, bytes]]) -> None:
        """Records and timers as key and frame."""
        self.keys = [key for key, _ in records]
        self.key = "the last record's, as Flink has set it"
        framed = [len(frame).to_bytes(4, "big") + frame for _, frame in records]
        self.apply(self.batches.take(b"".join(framed)))

    # ---- for Python, as in Java

    def read(self, done: bytes, number: int) -> bytes | None:
        self.apply(done)
        self.reads += 1
        return self.values.get(self.keys[number])

    def get(self, done: bytes, number: int, name: str) -> bytes | None:
        self.apply(done)
        return self.maps.get(self.keys[number], {}).get(name)

    def apply(self, done: bytes) -> None:
        at = 0

        def integer(size: int = 4) -> int:
            return int.from_bytes(some(size), "big", signed=True)

        def some(size: int) -> bytes:
            nonlocal at
            at += size
            assert at <= len(done)
            return done[at - size : at]

        while at < len(done):
            match some(1)[0]:
                case 0:
                    self.key = self.keys[integer()]
                case 1:
                    size = integer()
                    if size < 0:
                        self.values.pop(self.key, None)
                    else:
                        self.values[self.key] = some(size)
                case 2:
                    sizes = integer(), integer()
                    name = some(sizes[0]).decode()
                    self.maps.setdefault(self.key, {})[name] = some(sizes[1])
                case 3:
                    del self.maps[self.key][some(integer()).decode()]
                case 4:
                    self.timers.setdefault(self.key, set()).add(integer(8))
                case 5:
                    self.sent.append(sent(some(integer())))
                case 6:
                    self.dead += 1
                case other:
                    raise AssertionError(f"no such thing to do: {other}")
