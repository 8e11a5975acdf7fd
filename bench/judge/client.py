"""This client speaks HTTP on an event loop: requests with their times, and journeys."""

import asyncio
import time
from collections.abc import Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import aiohttp
import uvloop

from bench.errors import BenchError
from bench.records.request_log import Row
from bench.workload.journey import Call, Reply, advance, broken
from system.credentials import shop_headers
from system.wire import WireError, decode

REPLY_TIMEOUT_S = 15.0
"""A reply is waited for so long, well above the gateway's usual timeout."""

OUTCOME_TIMEOUT_S = 30.0
"""A request without a definite answer is sent again for so long."""
OUTCOME_INTERVAL_S = 0.5
"""This much time passes between tries to learn how a request ended."""

KEY_HEADER = "Idempotency-Key"
Result = TypeVar("Result")


def finish(work: Coroutine[Any, Any, Result]) -> Result:
    """`finish` returns what the coroutine does: on a loop of this thread's, or of another's where
    this one has a loop that runs, as a notebook's has."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return uvloop.run(work)
    with ThreadPoolExecutor(max_workers=1) as own:
        return own.submit(uvloop.run, work).result()


class Exchange(NamedTuple):
    row: Row
    retry_after: str | None


class Http:
    """An HTTP client of the event loop that runs has connections without a limit, each kept
    alive."""

    def __init__(self, url: str, timeout_s: float) -> None:
        """The `timeout_s` is from the begin of a request to the end of its answer."""
        self._url = url.rstrip("/")
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(timeout_s),
            headers=shop_headers(),
        )

    async def send(self, call: Call, key: str | None = None) -> Exchange:
        """`send` sends a request; what breaks, or is no JSON object, is a row of status 0."""
        headers = {KEY_HEADER: key} if key else {}
        sent_ns = time.monotonic_ns()
        reply, retry_after = await self._ask(call, headers)
        row = Row(call.operation, call.path, key, sent_ns, time.monotonic_ns(), *reply)
        return Exchange(row, retry_after)

    async def close(self) -> None:
        await self._session.close()

    async def _ask(self, call: Call, headers: dict[str, str]) -> tuple[Reply, str | None]:
        try:
            async with self._session.request(
                call.verb, self._url + call.path, headers=headers
            ) as response:
                reply = Reply(response.status, decode(await response.read()))
                return reply, response.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError, WireError) as cause:
            return broken(type(cause).__name__), None


class Client:
    """The client's `rows` are the history of everything sent. It sends at most `in_flight_max`
    requests at a time."""

    def __init__(self, url: str, in_flight_max: int) -> None:
        self.rows: list[Row] = []
        self._http = Http(url, REPLY_TIMEOUT_S)
        self._free = asyncio.Semaphore(in_flight_max)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._http.close()

    async def send(self, call: Call, key: str | None = None) -> Row:
        async with self._free:
            row, _ = await self._http.send(call, key)
        self.rows.append(row)
        return row

    async def outcome(self, call: Call, key: str | None = None) -> Row:
        """`outcome` sends a request again and again until its outcome is known, and returns that
        reply.

        Without a key, only for what has no effect. It raises `BenchError` when it stays unknown.
        """
        deadline_s = time.monotonic() + OUTCOME_TIMEOUT_S
        while True:
            row = await self.send(call, key)
            if row.status not in (0, 504) and row.code != "overloaded":
                return row
            if time.monotonic() > deadline_s:
                raise BenchError(
                    f"{call.verb} {call.path} was answered {row.status} {row.code} for "
                    f"{OUTCOME_TIMEOUT_S:g} s: see the logs of the gateway and of Flink"
                )
            await asyncio.sleep(OUTCOME_INTERVAL_S)

    async def play(self, journey: Generator[Call, Reply, Result]) -> Result:
        """`play` plays a journey to its end and returns what it returns."""
        try:
            call = next(journey)
            while True:
                row = await self.send(call)
                call = advance(journey, Reply(row.status, row.body))
        except StopIteration as end:
            result: Result = end.value
            return result
