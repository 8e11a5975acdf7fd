"""A slot carries one request at a time to its topic, and its reply back: a connection without HTTP.

The generator treats slots as it treats connections, so schedule, limits and recorder are the same.
"""

import asyncio
from collections import Counter, deque
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Protocol
from uuid import uuid4

import orjson

from bench.errors import BenchError
from bench.kafka.link import KafkaLink
from bench.kafka.link import Record as Read
from bench.kafka.requests import Record
from bench.records.samples import CONNECTION
from system.wire import HTTP_STATUS, reply_topic

REMEMBERED_MAX = 200_000
"""So many ids of requests that ended are kept, to tell a late or duplicate reply from an unknown
one: minutes of load."""
KINDS = ("matched", "late", "duplicate", "unknown", "malformed")
"""Every reply that is read is one of these."""


class Owner(Protocol):
    """The owner of a slot is told what happens to it; see `bench.generator.connection.Owner`."""

    def opened(self, connection: "Slot") -> None: ...

    def answered(self, connection: "Slot") -> None: ...

    def broken(self, connection: "Slot", outcome: str) -> None: ...


class Slot:
    """A slot's `context`, `intended_ns` and `sent_ns` are the owner's, of the request under way."""

    __slots__ = ("_slots", "context", "intended_ns", "owner", "parts", "request_id", "sent_ns",
                 "status")  # fmt: skip
    reusable = True
    head = b""

    def __init__(self, slots: "Slots", owner: Owner) -> None:
        self._slots = slots
        self.owner = owner
        self.request_id = ""
        """The id is that of the request under way; empty where none is."""
        self.context: Any = None
        self.intended_ns = 0
        self.sent_ns = 0
        self.status = 0
        """The status is what the gateway would have answered."""
        self.parts: list[bytes] = []

    def send(self, request: Record) -> None:
        self.request_id = request.request_id
        self._slots.send(self, request)

    def abort(self) -> None:
        """`abort` gives the request up that is under way: its reply will be late."""
        self._slots.give_up(self)


class Slots:
    """The slots share a producer, and a reply topic of their own, which is removed at the end."""

    def __init__(self, bootstrap: str) -> None:
        self.takes_turns = False
        self.sink = reply_topic(f"bench-{uuid4().hex[:12]}")
        self.replies: Counter[str] = Counter()
        """The replies that were read are counted by kind."""
        self._link = KafkaLink(bootstrap)
        self._open = AsyncExitStack()
        self._waiting: dict[str, list[Slot]] = {}
        self._ended: dict[str, str] = {}
        """An id leads to the kind that one more reply to it is."""
        self._queue: deque[tuple[Slot, Record]] = deque()
        self._queued = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    async def prepare(self) -> None:
        """`prepare` makes the reply topic, and reads it from its end. It raises `BenchError`."""
        link = await self._open.enter_async_context(self._link)
        await self._open.enter_async_context(link.own_topic(self.sink))
        await self._open.enter_async_context(link.following(self.sink, self.take))
        self._writer = asyncio.create_task(self._write())

    async def open(self, owner: Owner) -> None:
        owner.opened(Slot(self, owner))

    async def close(self) -> None:
        """`close` raises `BenchError` where Kafka no longer answers."""
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.wait((self._writer,))
        await self._open.aclose()

    # ---- out

    def send(self, slot: Slot, request: Record) -> None:
        self._waiting.setdefault(request.request_id, []).append(slot)
        self._queue.append((slot, request))
        self._queued.set()

    def give_up(self, slot: Slot) -> None:
        if slot.request_id:
            self._forget(slot, "late")

    async def _write(self) -> None:
        while True:
            await self._queued.wait()
            self._queued.clear()
            while self._queue:
                slot, request = self._queue.popleft()
                try:
                    written = await self._link.begin(request.topic, request.value, request.key)
                except BenchError:
                    self._lost(slot, request.request_id, "no broker takes it")
                else:
                    written.add_done_callback(partial(self._written, slot, request.request_id))

    def _written(self, slot: Slot, request_id: str, written: "asyncio.Future[object]") -> None:
        if not written.cancelled() and (error := written.exception()) is not None:
            self._lost(slot, request_id, type(error).__name__)

    def _lost(self, slot: Slot, request_id: str, why: str) -> None:
        """Whether the broker has the record nobody knows, as of a connection that broke."""
        if slot.request_id == request_id:
            self._forget(slot, "late")
            slot.owner.broken(slot, f"{CONNECTION} {why}")

    def _forget(self, slot: Slot, kind: str) -> None:
        request_id, slot.request_id = slot.request_id, ""
        slots = self._waiting[request_id]
        slots.remove(slot)
        if not slots:
            del self._waiting[request_id]
        self._ended[request_id] = kind
        if len(self._ended) > REMEMBERED_MAX:
            del self._ended[next(iter(self._ended))]

    # ---- in

    def take(self, record: Read) -> None:
        """`take` gives a reply to the slot that waits for it, and counts it either way."""
        try:
            fields = orjson.loads(record.value)
            request_id, error = fields["request_id"], fields.get("error")
            status = 200 if error is None else HTTP_STATUS.get(error["code"], 500)
            slots = self._waiting.get(request_id)
        except (ValueError, KeyError, TypeError, AttributeError):
            self.replies["malformed"] += 1
            return
        if slots is None:
            self.replies[self._ended.get(request_id, "unknown")] += 1
            return
        self.replies["matched"] += 1
        slot = slots[0]
        self._forget(slot, "duplicate")
        slot.status, slot.parts = status, [record.value]
        slot.owner.answered(slot)
