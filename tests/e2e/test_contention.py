"""A thousand buyers at the same time, and a hundred pieces.

A checkout that a slow machine does not answer in time is sent again with its key, as the contract
says.
"""

import asyncio
import uuid
from collections import Counter

from bench.judge.client import Client
from bench.judge.final_reads import ids_in, read_all
from bench.judge.invariants import check
from bench.records.request_log import Row
from bench.workload.shop import add_item, checkout, create_item, create_order, create_user
from system.runtime.stack import Stack

BUYERS, PIECES = 1000, 100
PREPARING_MAX = 64
TRIES_MAX = 5


async def bought(client: Client, order_id: str) -> Row:
    """One that the services had no time for was undone: a new request may try again."""
    for _ in range(TRIES_MAX):
        row = await client.outcome(next(checkout(order_id)), uuid.uuid4().hex)
        if row.code != "checkout_expired":
            break
    return row


async def test_no_more_is_sold_than_there_is(stack: Stack) -> None:
    async with Client(stack.url, BUYERS) as client:
        item_id = await client.play(create_item(price=1, stock=PIECES))
        assert item_id
        preparing = asyncio.Semaphore(PREPARING_MAX)

        async def prepare() -> str:
            async with preparing:
                user_id = await client.play(create_user(1))
                assert user_id
                order_id = await client.play(create_order(user_id))
                assert order_id
                added = await client.send(add_item(order_id, item_id))
                assert added.status == 200
                return order_id

        order_ids = await asyncio.gather(*(prepare() for _ in range(BUYERS)))
        rows = await asyncio.gather(*(bought(client, order_id) for order_id in order_ids))
        outcomes = Counter((row.status, row.code) for row in rows)
        assert outcomes == {(200, None): PIECES, (409, "out_of_stock"): BUYERS - PIECES}

        final = await read_all(stack.url, ids_in(client.rows))
        report = check(client.rows, final)
    assert report.holds, report.violations
    item = final.items[item_id]
    assert item is not None
    assert item["stock"] == 0
    paid = [order for order in final.orders.values() if order and order["paid"]]
    assert len(paid) == PIECES
    assert report.totals["credit"] == BUYERS - PIECES
