"""Entities are made by records as a gateway writes them: quicker than by HTTP, and as real."""

import asyncio
import uuid

import orjson

from bench.errors import BenchError
from bench.kafka.link import KafkaLink, Record
from bench.run.model import Progress
from system.wire import Request, encode_request, input_topic

UNDER_WAY_MAX = 1_000
"""So many records wait for their reply at a time: enough to keep the services busy, and some tenths
of a second of their work."""
TOLD_EVERY = 50_000
"""Progress is told after so many."""
SILENT_S_MAX = 60.0
"""Services that answer nothing for so long are given up."""
TOPIC = input_topic("user")


async def make_users(bootstrap: str, number: int, progress: Progress) -> None:
    """`make_users` returns when the services have answered that there are so many more users.

    It raises `BenchError` where one could not be made, or nothing is answered any more.
    """
    loop, room = asyncio.get_running_loop(), asyncio.Semaphore(UNDER_WAY_MAX)
    wrong = loop.create_future()
    answered = 0

    def take(record: Record) -> None:
        nonlocal answered
        if "error" in orjson.loads(record.value) and not wrong.done():
            wrong.set_exception(BenchError(f"a user was not made: {record.value.decode()}"))
        answered += 1
        room.release()
        if answered % TOLD_EVERY == 0:
            progress(f"{answered:,} of {number:,} users are made")

    async def send(link: KafkaLink, sink: str) -> None:
        for _ in range(number):
            await _soon(room)
            user_id = uuid.uuid4().hex
            request = Request(f"fill-{user_id}", sink, "create_user", {"user_id": user_id})
            await link.begin(TOPIC, encode_request(request), user_id)
        for _ in range(UNDER_WAY_MAX):
            await _soon(room)

    async with KafkaLink(bootstrap) as link, link.own_topic() as sink, link.following(sink, take):
        sending = loop.create_task(send(link, sink))
        await asyncio.wait((sending, wrong), return_when=asyncio.FIRST_COMPLETED)
        sending.cancel()
        await asyncio.wait((sending,))
        if wrong.done():
            wrong.result()
        sending.result()


async def _soon(room: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(SILENT_S_MAX):
            await room.acquire()
    except TimeoutError:
        raise BenchError(f"the services answered nothing for {SILENT_S_MAX:g} s") from None
