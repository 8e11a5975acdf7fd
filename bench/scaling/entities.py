"""Entities are made by records as a gateway writes them: quicker than by HTTP, and as real.

They are numbered, so that a load can ask for each of them.
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path

import orjson

from bench.errors import BenchError
from bench.kafka.link import KafkaLink, Record
from bench.run.model import Progress
from machine.whole_files import write
from system.wire import METRICS_TOKEN, SHOP_TOKEN, Request, encode_request, input_topic

UNDER_WAY_MAX = 1_000
"""So many records wait for their reply at a time: enough to keep the services busy, and some tenths
of a second of their work."""
TOLD_EVERY = 50_000
"""Progress is told after so many."""
SILENT_S_MAX = 60.0
"""Services that answer nothing for so long are given up."""
TOPIC = input_topic("user")
PREFIX = "fill-"
"""The ids of users that were made are this and a number."""
USERS_BESIDE = 1_000
"""The base beside has so many users, of which its load asks as the other's does."""


async def make_users(bootstrap: str, numbers: range, progress: Progress) -> None:
    """`make_users` returns when the services have answered that there are users of these numbers.

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
            progress(f"{answered:,} of {len(numbers):,} users are made")

    def sent(future: "asyncio.Future[object]") -> None:
        if not future.cancelled() and (cause := future.exception()) and not wrong.done():
            wrong.set_exception(BenchError(f"a user was not made: {cause}"))

    async def send(link: KafkaLink, sink: str) -> None:
        for number in numbers:
            await _soon(room)
            user_id = f"{PREFIX}{number}"
            request = Request(user_id, sink, "create_user", {"user_id": user_id})
            (await link.begin(TOPIC, encode_request(request), user_id)).add_done_callback(sent)
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


def asking(folder: Path, users: int, environment: Mapping[str, str] = os.environ) -> Path:
    """`asking` writes a workload file, and returns its path: each phase reads and writes users
    below this number, in an order by chance, each once before any comes again. It raises
    `BenchError` where a token's file has a name that is no text, and `OSError`."""
    headers = _headers(environment)
    lines = ["[values]", f"user = {{ from = 0, to = {users - 1} }}"]
    for operation, method, path in (
        ("find_user", "GET", f"/users/find/{PREFIX}{{user}}"),
        ("add_credit", "POST", f"/users/credit/add/{PREFIX}{{user}}/1"),
    ):
        lines += ["", "[[request]]", f'operation = "{operation}"', f'method = "{method}"']
        lines += [f'path = "{path}"', *headers]
    file = (folder / f"users-{users}.toml").resolve()
    write(file, "\n".join([*lines, ""]).encode())
    return file


def _headers(environment: Mapping[str, str]) -> list[str]:
    """The token is named, and not written."""
    for name in (SHOP_TOKEN, METRICS_TOKEN):
        if environment.get(name):
            return [_authorization("env", name)]
        if path := environment.get(f"{name}_FILE"):
            return [_authorization("file", str(Path(path).absolute()))]
    return []


def _authorization(kind: str, of: str) -> str:
    try:
        where = orjson.dumps(of).decode()
    except orjson.JSONEncodeError:
        raise BenchError("the name of the token's file is no text in UTF-8") from None
    return f'headers = {{ Authorization = {{ {kind} = {where}, prefix = "Bearer " }} }}'
