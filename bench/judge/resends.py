"""The resends of a run are its writes that were answered 504, sent again once the load is over.

The contract says of a 504 that sending the request again with its request_id as the Idempotency-Key
gives the outcome, and never a second effect. Here that is done as a client would: what was unknown
is known afterwards, and is judged as strictly as all else.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from pathlib import Path
from typing import NamedTuple

from bench.judge.client import Client, finish
from bench.judge.reply_contract import EXPIRED, RESENT, ROUTE_OF
from bench.records.request_log import Row, Writer
from bench.stats.window import is_answered
from bench.workload.journey import Call

FILE = "resends.jsonl"
"""The resends are recorded in a file of this name, in the form of a history."""
RESENT_MAX = 5000
"""So many writes are sent again at most, the newest: what is older than the window is refused
anyway."""
IN_FLIGHT_MAX = 64
"""So many of them are under way at a time."""
ANSWERED_S = 30.0
"""All have this time to be answered; a refusal with 503 is no answer. It is as long as a broker and
the job after it take to be back, on a busy machine."""
INTERVAL_S = 0.5
"""This much time passes between two tries of one."""


class Resent(NamedTuple):
    known: int = 0
    """The outcome of so many is known now."""
    expired: int = 0
    """So many were refused as older than the window: nobody will ever know."""
    unknown: int = 0
    """So many had no answer in time."""
    first: str = ""
    """A line about the first of those."""

    @property
    def totals(self) -> dict[str, int]:
        return dict(zip(RESENT, (self.known, self.expired, self.unknown), strict=True))


def unanswered(history: Iterable[Row]) -> dict[str, Call]:
    """`unanswered` returns by request_id each write that the gateway answered with 504, and gave
    its id. A key of the client's own is not sent again: after the window it would count anew."""
    lost: list[Row] = []
    for row in history:
        route = ROUTE_OF.get(row.operation)
        is_write = route is not None and route.verb != "GET"
        if row.status == 504 and row.key is None and row.request_id is not None and is_write:
            lost.append(row)
    newest = sorted(lost, key=attrgetter("sent_ns"))[-RESENT_MAX:]
    return {
        row.request_id or "": Call(row.operation, ROUTE_OF[row.operation].verb, row.path)
        for row in newest
    }


def resend(
    url: str, calls: Mapping[str, Call], path: Path, progress: Callable[[str], object]
) -> Resent:
    """`resend` sends them until each is answered, and records all that was sent in a new file at
    `path`."""
    progress(f"sending {len(calls):,} writes again that were answered 504")
    writer = Writer(path)
    try:
        return finish(send_all(url, calls, writer))
    finally:
        writer.close()


async def send_all(url: str, calls: Mapping[str, Call], writer: Writer) -> Resent:
    until_s = time.monotonic() + ANSWERED_S
    remaining = iter(calls.items())
    known, expired, first = 0, 0, ""

    async def sender() -> None:
        nonlocal known, expired, first
        for request_id, call in remaining:
            if first:
                return
            row = await _answered(client, call, request_id, until_s, writer)
            if row.code == EXPIRED:
                expired += 1
            elif is_answered(row):
                known += 1
            else:
                told = f"{row.status} {row.code}"
                first = first or f"{call.verb} {call.path}, sent again with {request_id}: {told}"

    async with Client(url, IN_FLIGHT_MAX) as client, asyncio.TaskGroup() as senders:
        for _ in range(min(IN_FLIGHT_MAX, len(calls))):
            senders.create_task(sender())
    return Resent(known, expired, len(calls) - known - expired, first)


async def _answered(
    client: Client, call: Call, request_id: str, until_s: float, writer: Writer
) -> Row:
    """The answer, or what came last where there was none in time."""
    while True:
        writer.scheduled += 1
        row = await client.send(call, request_id)
        writer.append(*row)
        if is_answered(row) or time.monotonic() > until_s:
            return row
        await asyncio.sleep(INTERVAL_S)
