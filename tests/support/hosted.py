"""`Host` over dicts in place of Flink's state, with timers and clocks that a test moves."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from support.shop import HOSTED, SINK
from system.flink_job.clocks import BOOT_MS, Clocks
from system.flink_job.frames import to_send
from system.flink_job.host import Host
from system.flink_job.state_cache import KEYS_MAX, Knowledge
from system.service import Service, Window
from system.wire import Request, encode_request

NOW_MS = 1_700_000_000_000
PARTITION = 0
PACKED_BYTES_MAX = 2**20
"""It is room for all keys of a test."""


class Sent(NamedTuple):
    """A record that goes to Kafka."""

    topic: str
    key: bytes | None
    reason: str
    value: bytes


def frame(
    topic: str,
    key: bytes | None,
    value: bytes,
    logged_ms: int = NOW_MS,
    partition: int = PARTITION,
    first_ms: int = -1,
) -> bytes:
    """What InputRecord.java makes of a record; ~partition where it should be in another, `first_ms`
    where it was sent on."""
    head = len(topic).to_bytes(1, "big") + partition.to_bytes(4, "big", signed=True)
    head += logged_ms.to_bytes(8, "big", signed=True) + first_ms.to_bytes(8, "big", signed=True)
    head += (-1 if key is None else len(key)).to_bytes(4, "big", signed=True)
    return head + topic.encode() + (key or b"") + value


def sent(out: bytes) -> Sent:
    """What OutboxWriter.java reads."""
    topic_bytes, key_bytes = out[0], int.from_bytes(out[1:5], "big", signed=True)
    reason_bytes = int.from_bytes(out[5:7], "big")
    topic_end = 7 + topic_bytes
    key_end = topic_end + max(0, key_bytes)
    reason_end = key_end + reason_bytes
    key = None if key_bytes < 0 else out[topic_end:key_end]
    reason = out[key_end:reason_end].decode()
    return Sent(out[7:topic_end].decode(), key, reason, out[reason_end:])


assert sent(to_send("t", b"k", b"v", b"r")) == Sent("t", b"k", "r", b"v")


@dataclass
class Hosted:
    """One task. `values`, `maps` and `timers` are Flink's, which outlive it."""

    services: list[Service] = field(default_factory=lambda: [*HOSTED.values()])
    window: Window = field(default_factory=Window)
    topic_prefix: str = ""
    keys_max: int = KEYS_MAX
    """So many keys are at hand; all others are packed."""
    values: dict[str, bytes] = field(default_factory=dict)
    maps: dict[str, dict[str, bytes]] = field(default_factory=dict)
    timers: dict[str, set[int]] = field(default_factory=dict)
    now_ms: int = NOW_MS
    set_by_ms: int = 0
    boots: int = 7
    booted_ms: int = NOW_MS - 60_000
    dead: int = 0
    key: str = ""
    writes: int = 0
    rings: int = 0

    def __post_init__(self) -> None:
        self.restart()

    def restart(self, elsewhere: bool = False) -> None:
        """A new task over the same state, on the same boot of the machine or on another one."""
        if elsewhere:
            self.boots += 1
            self.booted_ms = self.real_ms - 5_000
        knowledge = Knowledge(PACKED_BYTES_MAX, self.keys_max)
        self.host = Host(
            *(self.services, self, knowledge, self.window),
            *(self._count, self.clocks, self.topic_prefix),
        )

    @property
    def clocks(self) -> Clocks:
        """Nobody can set the second one."""
        return Clocks(
            lambda: self.now_ms,
            lambda: self.boots * BOOT_MS + self.real_ms - self.booted_ms,
        )

    @property
    def real_ms(self) -> int:
        """The right time."""
        return self.now_ms - self.set_by_ms

    def set_clock(self, by_ms: int) -> None:
        """The machine's clock, and the broker's, are set by so much."""
        self.now_ms += by_ms
        self.set_by_ms += by_ms

    def _count(self) -> None:
        self.dead += 1

    def take(
        self,
        topic: str,
        key: bytes | None,
        value: bytes,
        logged_ms: int | None = None,
        partition: int = PARTITION,
        first_ms: int = -1,
    ) -> list[Sent]:
        entity = "" if key is None else key.decode(errors="replace")
        logged_ms = self.now_ms if logged_ms is None else logged_ms
        framed = frame(topic, key, value, logged_ms, partition, first_ms)
        return self.take_frame(f"{topic}/{entity}", framed)

    def take_frame(self, key: str, framed: bytes) -> list[Sent]:
        """One record, as Java read it."""
        self.key = key
        return [*map(sent, self.host.take(framed, self))]

    def pass_time(self, until_ms: int) -> list[Sent]:
        """Fires all timers that are due until then, each at its time."""
        out: list[Sent] = []
        while due := [
            (at, key) for key, ats in self.timers.items() for at in ats if at <= until_ms
        ]:
            at_ms, self.key = min(due)
            self.now_ms = max(self.now_ms, at_ms)
            self.timers[self.key].discard(at_ms)
            self.rings += 1
            out += map(sent, self.host.ring(at_ms, self.key, self))
        self.now_ms = until_ms
        return out

    # ---- State and Timers of host.py

    def read(self) -> bytes | None:
        return self.values.get(self.key)

    def write(self, value: bytes | None) -> None:
        self.writes += 1
        if value is None:
            self.values.pop(self.key, None)
        else:
            self.values[self.key] = value

    def get(self, name: str) -> bytes | None:
        return self.maps.get(self.key, {}).get(name)

    def put(self, name: str, value: bytes) -> None:
        self.writes += 1
        self.maps.setdefault(self.key, {})[name] = value

    def remove(self, name: str) -> None:
        self.writes += 1
        del self.maps[self.key][name]

    def register_processing_time_timer(self, timestamp: int) -> None:
        assert timestamp > self.now_ms
        self.timers.setdefault(self.key, set()).add(timestamp)


def ask(
    host: Hosted,
    method: str,
    request_id: str,
    topic: str = "user_in",
    logged_ms: int | None = None,
    **params: Any,
) -> dict[str, Any]:
    """The one reply to a request of the entity e."""
    name = HOSTED[topic].key
    request = Request(request_id, SINK, method, {name: "e", **params})
    (reply,) = host.take(topic, b"e", encode_request(request), logged_ms)
    assert reply.topic == SINK
    answer: dict[str, Any] = orjson.loads(reply.value)
    return answer


def code(answer: dict[str, Any]) -> str:
    return str(answer["error"]["code"])
