"""These faults are records: poison, which nobody can handle, and requests that come again."""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack

import orjson

from bench.faults.fault import CHANGED, Fault
from bench.kafka.link import KafkaLink, OnRecord, Record
from system.routes import ROUTES
from system.wire import WireError, dead_topic, decode_request, input_topic

POISON_PER_S = 40
"""So many poisoned records come, over all topics: many, and a fraction of the load."""
DEAD_WAIT_S = 20.0
"""Dead letters have come by then, on a busy machine too."""
REPLAYED_SHARE = 0.5
"""This share of the records that are seen comes again."""
POLL_S = 0.1
"""This time passes between looks for dead letters, and for the end."""

KEYS = {route.service: route.key for route in ROUTES}
SERVICES = ("user", "order", "stock", "payment")


def poison_of(chance: random.Random) -> bytes:
    """`poison_of` returns bytes, JSON that is no request, or a request that is wrong."""
    made: Sequence[bytes] = (
        chance.randbytes(chance.randrange(1, 200)),
        b"[]",
        b"{" * 5000,
        orjson.dumps({"request_id": "", "sink": 7, "method": None, "params": []}),
        orjson.dumps({"request_id": "p", "sink": "user_in", "method": "charge", "params": {}}),
        orjson.dumps({"request_id": "p", "sink": "no-such-topic", "method": "no_such_method",
                      "params": {"user_id": "p"}}),
    )  # fmt: skip
    return chance.choice(made)


async def poison(bootstrap: str, duration_s: float, seed: int) -> str:
    """`poison` produces it, and returns what proves that the services met it, or "".

    Raises `BenchError` when Kafka does not answer.
    """
    chance, sent, dead = random.Random(seed), 0, 0

    def count(_: Record) -> None:
        nonlocal dead
        dead += 1

    async with KafkaLink(bootstrap) as kafka, AsyncExitStack() as following:
        for service in SERVICES:
            await following.enter_async_context(
                kafka.following(dead_topic(input_topic(service)), count)
            )
        end_s = time.monotonic() + duration_s
        while time.monotonic() < end_s:
            topic = input_topic(chance.choice(SERVICES))
            await kafka.produce(topic, poison_of(chance), f"p{chance.randrange(50)}")
            sent += 1
            await asyncio.sleep(1 / POISON_PER_S)
        for _ in range(int(DEAD_WAIT_S / POLL_S)):
            if dead >= sent:
                break
            await asyncio.sleep(POLL_S)
    return f"{sent} poisoned records, {dead} dead letters" if 0 < sent <= dead else ""


def changed(record: bytes) -> bytes | None:
    """`changed` returns a request under the same id with other amounts; None where it has none."""
    request = orjson.loads(record)
    amounts = {name: value + 1 for name, value in request["params"].items() if type(value) is int}
    if not amounts:
        return None
    return orjson.dumps({**request, "params": {**request["params"], **amounts}})


async def replay(
    bootstrap: str, fault: Fault, seed: int, meanwhile: Callable[[], object] | None = None
) -> str:
    """`replay` sends half of the requests that it sees again, and returns the proof.

    What it sees comes again from when `meanwhile` is called on, in a thread. It raises `BenchError`
    when Kafka does not answer.
    """
    chance = random.Random(seed)
    seen: asyncio.Queue[tuple[float, str, str, bytes]] = asyncio.Queue()
    again: set[bytes] = set()
    began_s = time.monotonic()
    stop_s = began_s + fault.duration_s - fault.wait_s

    def taker(service: str) -> OnRecord:
        def take(record: Record) -> None:
            if record.value in again or time.monotonic() > stop_s:
                return  # its own
            try:
                key = decode_request(record.value).params[KEYS[service]]
            except (WireError, KeyError):
                return
            value = changed(record.value) if fault.what == CHANGED else record.value
            if value is not None and chance.random() < REPLAYED_SHARE:
                again.add(value)
                due_s = time.monotonic() + fault.wait_s
                seen.put_nowait((due_s, input_topic(service), str(key), value))

        return take

    async with KafkaLink(bootstrap) as kafka, AsyncExitStack() as following:
        for service in SERVICES:
            await following.enter_async_context(
                kafka.following(input_topic(service), taker(service))
            )
        beside = asyncio.create_task(_beside(meanwhile, stop_s))
        sent, end_s = 0, began_s + fault.duration_s
        while time.monotonic() < end_s or not seen.empty():
            try:
                due_s, topic, key, value = await asyncio.wait_for(seen.get(), POLL_S)
            except TimeoutError:
                continue
            await asyncio.sleep(max(0.0, due_s - time.monotonic()))
            await kafka.produce(topic, value, key)
            sent += 1
        await beside
    how = f" {fault.what}" if fault.what == CHANGED else ""
    return f"{sent} records came again{how}" if sent else ""


async def _beside(work: Callable[[], object] | None, from_s: float) -> None:
    if work is not None:
        await asyncio.sleep(from_s - time.monotonic())
        await asyncio.to_thread(work)
