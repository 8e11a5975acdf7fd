"""The final reads are every entity that a history names, read over HTTP once the load is over.

Orders are read first, and again while their checkout is under way, because a checkout that is
undone still moves money and stock. Users and items are read when all orders are at rest.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from bench.errors import BenchError
from bench.judge.client import Client, finish
from bench.judge.reply_contract import Entity, Final, malformed, params_of
from bench.records.request_log import Row, text_in
from bench.workload.journey import Call

IN_FLIGHT_MAX = 256
"""So many reads are under way at a time after a run."""
SETTLE_TIMEOUT_S = 15.0
"""An order whose checkout has not ended so long after all orders could be read is kept as it was
read: the checker names it. While the services do not answer, nor do their timeouts."""
SETTLE_INTERVAL_S = 0.2
"""This much time passes between looks at orders whose checkout is under way."""

TRIES_MAX = 5
"""An entity is read so often at most: a system of which one request in a hundred fails can be
judged, and one that is down is found out at once."""

READS = {
    "user_id": ("find_user", "/users/find/"),
    "order_id": ("find_order", "/orders/find/"),
    "item_id": ("get_availability", "/stock/availability/"),
}


class WrongReadError(BenchError):
    """A system answers, and not as one that has the entity or has it not."""


def ids_in(history: Iterable[Row]) -> dict[str, list[str]]:
    """`ids_in` returns every id that a request or a reply named, by "user_id", "order_id" and
    "item_id"."""
    found: dict[str, dict[str, None]] = {kind: {} for kind in READS}
    for row in history:
        for source in (params_of(row.operation, row.path), row.body):
            for kind, ids in found.items():
                entity_id = text_in(source, kind)
                if entity_id:
                    ids[entity_id] = None
    return {kind: list(ids) for kind, ids in found.items()}


def audit(
    url: str, history: Iterable[Row], progress: Callable[[str], object] | None = None
) -> Final:
    """`audit` reads all of them. It raises `BenchError` when the system does not answer."""
    ids = ids_in(history)
    if progress:
        progress(f"reading {sum(map(len, ids.values()))} users, orders and items")
    return read_again(url, ids)


def read_again(url: str, ids: Mapping[str, Iterable[str]]) -> Final:
    """`read_again` reads those of these ids, by kind. It raises `BenchError` when the system does
    not answer."""
    return finish(read_all(url, {kind: list(found) for kind, found in ids.items()}))


async def read_all(url: str, ids: dict[str, list[str]]) -> Final:
    async with Client(url, IN_FLIGHT_MAX) as client:
        orders: dict[str, Entity] = {}
        waiting = ids["order_id"]
        deadline_s: float | None = None
        while waiting:
            orders |= await _read(client, "order_id", waiting)
            waiting = [order_id for order_id in waiting if _in_progress(orders[order_id])]
            if deadline_s is None:
                deadline_s = time.monotonic() + SETTLE_TIMEOUT_S
            if time.monotonic() > deadline_s:
                break
            if waiting:
                await asyncio.sleep(SETTLE_INTERVAL_S)
        return Final(
            users=await _read(client, "user_id", ids["user_id"]),
            orders=orders,
            items=await _read(client, "item_id", ids["item_id"]),
        )


def _in_progress(order: Entity) -> bool:
    return order is not None and order.get("status") == "checkout_in_progress"


async def _read(client: Client, kind: str, ids: Sequence[str]) -> dict[str, Entity]:
    operation, path = READS[kind]
    remaining = iter(ids)
    entities: dict[str, Entity] = {}

    async def reader() -> None:
        for entity_id in remaining:
            entities[entity_id] = await _entity(client, Call(operation, "GET", path + entity_id))

    try:
        async with asyncio.TaskGroup() as readers:
            for _ in range(IN_FLIGHT_MAX):
                readers.create_task(reader())
    except* BenchError as group:
        raise group.exceptions[0] from None
    client.rows.clear()
    return entities


async def _entity(client: Client, call: Call) -> Entity:
    for _ in range(TRIES_MAX):
        row = await client.outcome(call)
        if row.status == 200:
            if (wrong := malformed(call.operation, row.body)) is not None:
                raise WrongReadError(f"the final read GET {call.path}: {wrong}")
            return row.body
        if row.status == 404:
            return None
        line = f"the final read GET {call.path} was answered {row.status} {row.code}"
        if row.status < 500:
            raise WrongReadError(line)
    raise BenchError(line)
