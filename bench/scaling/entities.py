"""Entities are made by records as a gateway writes them: quicker than by HTTP, and as real.

They are numbered, so that a load can ask for each of them: half are users, with credit, and half
items, with stock.
"""

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson

from bench.errors import BenchError
from bench.kafka.link import KafkaLink, Record
from bench.run.model import Progress
from bench.workload.scenarios import CREDIT_ROUTINE_WEIGHT, STEADY
from bench.workload.shop import Shop
from machine.whole_files import write
from system.wire import METRICS_TOKEN, SHOP_TOKEN, Request, encode_request, input_topic

UNDER_WAY_MAX = 1_000
"""So many records wait for their reply at a time: enough to keep the services busy, and some tenths
of a second of their work."""
TOLD_EVERY = 50_000
"""Progress is told after so many replies."""
SILENT_S_MAX = 60.0
"""Services that answer nothing for so long are given up."""
PREFIX = "fill-"
"""The ids of entities that were made are this and a number."""
PLENTY, PRICE = 1_000_000_000, 5
"""A user has so much credit, and of an item there are so many, at this price: none runs out."""
ENTITIES_BESIDE = 1_000
"""The base beside has so many, for which its load asks as the other's does."""

USER, ITEM = f"{PREFIX}{{user}}", f"{PREFIX}{{item}}"
SOLD = ("item_1", "item_2", "item_3")
"""An order has these, each drawn by itself."""
MIX: tuple[tuple[int, tuple[str, ...]], ...] = (
    (STEADY[Shop.index], ("index GET /",)),
    (STEADY[Shop.find_user], (f"find_user GET /users/find/{USER}",)),
    (
        CREDIT_ROUTINE_WEIGHT,
        (
            f"get_credit GET /users/credit/{USER}",
            f"add_credit POST /users/credit/add/{USER}/20",
            f"subtract_credit POST /users/credit/subtract/{USER}/15",
        ),
    ),
    (
        STEADY[Shop.item_routine],
        (
            f"get_availability GET /stock/availability/{ITEM}",
            f"add_stock POST /stock/add/{ITEM}/2",
            f"subtract_stock POST /stock/subtract/{ITEM}/1",
        ),
    ),
    (
        STEADY[Shop.create_order],
        (
            f"create_order POST /orders/create/{USER}",
            *(f"add_{each} POST /orders/addItem/{{order}}/{PREFIX}{{{each}}}" for each in SOLD),
            "checkout POST /orders/checkout/{order}",
            "cancel_payment POST /payment/cancelPayment/{order}",
            "remove_order DELETE /orders/remove/{order}",
        ),
    ),
)
"""Journeys are as those of the scenario `steady`, and as often: orders come and go, of entities
that stay."""


async def make_entities(bootstrap: str, numbers: range, progress: Progress) -> None:
    """`make_entities` returns when the services have answered that there are entities of these
    numbers.

    It raises `BenchError` where one could not be made, or nothing is answered any more.
    """
    loop, room = asyncio.get_running_loop(), asyncio.Semaphore(UNDER_WAY_MAX)
    wrong = loop.create_future()
    answered = 0

    def take(record: Record) -> None:
        nonlocal answered
        if "error" in orjson.loads(record.value) and not wrong.done():
            wrong.set_exception(BenchError(f"it was not made: {record.value.decode()}"))
        answered += 1
        room.release()
        if answered % TOLD_EVERY == 0:
            progress(f"{answered:,} replies, of {1.5 * len(numbers):,.0f}: entities are made")

    def sent(future: "asyncio.Future[object]") -> None:
        if not future.cancelled() and (cause := future.exception()) and not wrong.done():
            wrong.set_exception(BenchError(f"it was not made: {cause}"))

    async def send(link: KafkaLink, sink: str) -> None:
        for topic, entity_id, request in records(numbers, sink):
            await _soon(room)
            (await link.begin(topic, encode_request(request), entity_id)).add_done_callback(sent)
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


def records(numbers: range, sink: str) -> Iterator[tuple[str, str, Request]]:
    """`records` yields topic, entity and request: even numbers are users, odd ones items."""
    for number in numbers:
        name = f"{PREFIX}{number // 2}"
        if number % 2:
            params = {"item_id": name, "price": PRICE, "stock": PLENTY}
            yield input_topic("stock"), name, Request(f"{name}-i", sink, "create_item", params)
        else:
            own = {"user_id": name}
            yield input_topic("user"), name, Request(f"{name}-u", sink, "create_user", own)
            credited = {"user_id": name, "amount": PLENTY}
            yield input_topic("user"), name, Request(f"{name}-c", sink, "add_credit", credited)


async def _soon(room: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(SILENT_S_MAX):
            await room.acquire()
    except TimeoutError:
        raise BenchError(f"the services answered nothing for {SILENT_S_MAX:g} s") from None


def asking(folder: Path, entities: int, environment: Mapping[str, str] = os.environ) -> Path:
    """`asking` writes a workload file, and returns its path: the mix of requests to so many
    entities, drawn so that no user comes again before the others had their turn; of items each line
    of an order has its own turn. It raises `BenchError` where a token's file has a name that is no
    text, and `OSError`."""
    headers = _headers(environment)
    last = entities // 2 - 1
    lines = ["[values]"]
    lines += [f"{name} = {{ from = 0, to = {last} }}" for name in ("user", "item", *SOLD)]
    for weight, journey in MIX:
        lines += ["", "[[sequence]]", f"weight = {weight}"]
        for request in journey:
            operation, method, path = request.split()
            lines += ["[[sequence.request]]", f'operation = "{operation}"', f'method = "{method}"']
            lines += [f'path = "{path}"', *headers]
            if operation == "create_order":
                lines.append('capture = { order = "/order_id" }')
    file = (folder / f"entities-{entities}.toml").resolve()
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
