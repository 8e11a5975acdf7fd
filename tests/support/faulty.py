"""Gateways for probes: a real one with limits of the test's choice, and a proxy that spoils it."""

import asyncio
import re
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from itertools import count
from typing import NamedTuple

import aiohttp
import orjson
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from bench.probes.target import Options


@contextmanager
def gateway(bootstrap_servers: str, options: Options) -> Iterator[str]:
    """The URL of a gateway of its own; the services behind it are the stack's."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "system.gateway", "--port", "0"),
            *("--bootstrap", bootstrap_servers, "--gateway-id", uuid.uuid4().hex[:12]),
            *options.gateway_options(),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert " is ready on " in line
            yield line.split()[-1]
        finally:
            process.terminate()
    assert process.returncode == 0


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


Forward = Callable[[str], Awaitable[Reply]]
"""Sends the request on, with this path."""
Fault = Callable[[str, Forward], Awaitable[Reply]]
"""Makes an answer from a path, and may use what the real gateway answers."""


@asynccontextmanager
async def spoiled(url: str, fault: Fault) -> AsyncIterator[str]:
    """The URL of a proxy in front of a gateway."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(url, connector=connector) as session:

        async def handle(request: web.BaseRequest) -> web.Response:
            async def forward(path: str) -> Reply:
                async with session.request(request.method, path) as response:
                    kept = {"Content-Type", "Retry-After"} & response.headers.keys()
                    headers = {name: response.headers[name] for name in kept}
                    return Reply(response.status, headers, await response.read())

            status, headers, body = await fault(request.path, forward)
            return web.Response(status=status, headers=headers, body=body)

        async with RawTestServer(handle) as server:
            yield str(server.make_url(""))


def swaps(every: int) -> Fault:
    """A gateway that matches the wrong reply: two in a row are given to each other's requests."""
    numbers = count(1)
    held: asyncio.Future[tuple[Reply, asyncio.Future[Reply]]] | None = None

    async def fault(path: str, forward: Forward) -> Reply:
        nonlocal held
        reply = await forward(path)
        if not path.startswith(("/echo/", "/users/find/")):
            return reply
        if held is not None:
            (other, answered), held = held.result(), None
            answered.set_result(reply)
            return other
        if next(numbers) % every == 0:
            loop = asyncio.get_running_loop()
            held, answered = loop.create_future(), loop.create_future()
            held.set_result((reply, answered))
            return await answered
        return reply

    return fault


def delays(status: int, delay_s: float) -> Fault:
    """A gateway that is late with one kind of answer."""

    async def fault(path: str, forward: Forward) -> Reply:
        reply = await forward(path)
        if reply.status == status:
            await asyncio.sleep(delay_s)
        return reply

    return fault


def drops(which: int) -> Fault:
    """A service that loses a reply: this request really goes to the method that never answers."""
    numbers = count(1)

    async def fault(path: str, forward: Forward) -> Reply:
        if path.startswith("/echo/") and next(numbers) == which:
            path = path.replace("/echo/", "/silence/")
        return await forward(path)

    return fault


def repeats(number: int) -> Fault:
    """One request has no row in the probe's ledger: the gateway has answered one more."""
    numbers = count(1)

    async def fault(path: str, forward: Forward) -> Reply:
        if path.startswith("/echo/") and next(numbers) == number:
            await forward(path)
        return await forward(path)

    return fault


def miscounts(kind: str, other: str) -> Fault:
    """A gateway that counts replies under each other's names."""

    async def fault(path: str, forward: Forward) -> Reply:
        reply = await forward(path)
        if path != "/metrics":
            return reply
        names = {kind: other, other: kind}
        return reply._replace(
            body=re.sub(
                rb'(?<=kind=")\w+',
                lambda found: names.get(found[0].decode(), found[0].decode()).encode(),
                reply.body,
            )
        )

    return fault


def delivers(every: int) -> Fault:
    """A gateway that gives a stray reply to whoever waits."""
    numbers = count(1)

    async def fault(path: str, forward: Forward) -> Reply:
        reply = await forward(path)
        is_silence = path.startswith("/silence/")
        if is_silence and reply.status == 504 and next(numbers) % every == 0:
            stray = {"request_id": "somebody-elses", "echo_id": "stray"}
            return Reply(200, reply.headers, orjson.dumps(stray))
        return reply

    return fault


def loses_header(name: str) -> Fault:
    async def fault(path: str, forward: Forward) -> Reply:
        reply = await forward(path)
        reply.headers.pop(name, None)
        return reply

    return fault


def reroutes(from_path: str, to_path: str) -> Fault:
    """A gateway that takes one route for another."""

    async def fault(path: str, forward: Forward) -> Reply:
        return await forward(to_path if path == from_path else path)

    return fault
