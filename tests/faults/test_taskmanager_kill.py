"""`kill -9` of the TaskManager under load: it comes back, and no promise is broken."""

import asyncio
import time
import uuid
from collections.abc import Callable, Iterator
from itertools import count
from typing import NamedTuple

from bench.judge.client import Client
from bench.judge.final_reads import ids_in, read_all
from bench.judge.invariants import check
from bench.workload.journey import Call
from bench.workload.shop import add_item, create_item, create_order, create_user
from system.runtime.flink_rest import Rest
from system.runtime.stack import Stack

RECOVERY_TIMEOUT_S = 60.0
"""Ends a test that hangs. The goal, 15 s, is a figure to report: it depends on the machine."""

BUYERS = 32
BEFORE = 300
"""Requests that are answered before the kill."""
AFTER = 300
"""Requests that are answered after the recovery."""
ANSWERS_TIMEOUT_S = 30.0
WAIT_S = 0.1


class Outage(NamedTuple):
    """When it was, on the clock of the rows."""

    killed_ns: int
    noticed_ns: int
    """Flink had seen it: what was under way then waited for the recovery."""
    recovered_ns: int


class Buyers:
    """Each request has an Idempotency-Key; `sent` remembers them all."""

    def __init__(self, client: Client, item_ids: list[str]) -> None:
        self._client = client
        self._item_ids = item_ids
        self._keys: Iterator[str] = (f"{uuid.uuid4().hex}-{number}" for number in count())
        self.sent: dict[str, Call] = {}
        self._answered = asyncio.Semaphore(0)
        self.stopping = False

    async def buy(self, user_id: str) -> None:
        """Funds itself, fills an order and checks it out, again and again."""
        for number in count():
            if self.stopping:
                return
            await self._send(Call("add_credit", "POST", f"/users/credit/add/{user_id}/10"))
            order_id = await self._client.play(create_order(user_id))
            if order_id:
                item_id = self._item_ids[number % len(self._item_ids)]
                await self._send(add_item(order_id, item_id))
                await self._send(Call("checkout", "POST", f"/orders/checkout/{order_id}"))

    async def _send(self, call: Call) -> None:
        key = next(self._keys)
        self.sent[key] = call
        row = await self._client.send(call, key)
        if row.status == 200:
            self._answered.release()

    async def until_answered(self, more: int) -> None:
        """Counts answers from where it counted before."""
        async with asyncio.timeout(ANSWERS_TIMEOUT_S):
            for _ in range(more):
                await self._answered.acquire()


async def test_a_killed_taskmanager_breaks_no_promise(
    stack: Stack, record_property: Callable[[str, object], None]
) -> None:
    async with Client(stack.url, 2 * BUYERS) as client:
        item_ids = [await client.play(create_item(price=3, stock=100_000)) for _ in range(4)]
        user_ids = [await client.play(create_user(1000)) for _ in range(BUYERS)]
        buyers = Buyers(client, [item_id for item_id in item_ids if item_id])
        async with asyncio.TaskGroup() as shop:
            for user_id in user_ids:
                assert user_id
                shop.create_task(buyers.buy(user_id))
            await buyers.until_answered(BEFORE)
            outage = await _kill_and_recover(stack)
            record_property("recovered_s", (outage.recovered_ns - outage.killed_ns) / 1e9)
            await buyers.until_answered(AFTER)
            buyers.stopping = True
        assert any(row.sent_ns < outage.noticed_ns < row.done_ns for row in client.rows), (
            "the kill met no request: it was no test"
        )
        for _ in range(2):
            await asyncio.gather(*(client.outcome(call, key) for key, call in buyers.sent.items()))
        final = await read_all(stack.url, ids_in(client.rows))
        report = check(client.rows, final)
    assert report.holds, report.violations


async def _kill_and_recover(stack: Stack) -> Outage:
    """Recovered: the job, and each task of it, runs again."""
    killed_ns = time.monotonic_ns()
    await asyncio.to_thread(stack.kill, "flink_taskmanager")
    await asyncio.to_thread(stack.start, "flink_taskmanager")
    async with asyncio.timeout(RECOVERY_TIMEOUT_S):
        await _until_running(stack, False)
        noticed_ns = time.monotonic_ns()
        await _until_running(stack, True)
    return Outage(killed_ns, noticed_ns, time.monotonic_ns())


async def _until_running(stack: Stack, expected: bool) -> None:
    rest = Rest(stack.flink_rest)
    for _ in count():
        if await asyncio.to_thread(rest.is_running, stack.job_id) == expected:
            return
        await asyncio.sleep(WAIT_S)
