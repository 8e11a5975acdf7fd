"""Connections go to several servers in turn, and past one that refuses them."""

import asyncio
from collections import Counter

import pytest

from bench.generator.peers import Peers
from bench.workload.address import Address


class Serving(asyncio.Protocol):
    """`taken` counts connections by the port of the server; each releases `came`."""

    taken: Counter[int]
    came: asyncio.Semaphore

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        Serving.taken[transport.get_extra_info("sockname")[1]] += 1
        Serving.came.release()


async def test_each_takes_its_turn_and_one_that_refuses_is_passed_over() -> None:
    loop = asyncio.get_running_loop()
    Serving.taken, Serving.came = Counter(), asyncio.Semaphore(0)
    first, second = [await loop.create_server(Serving, "127.0.0.1", 0) for _ in range(2)]
    ports = [server.sockets[0].getsockname()[1] for server in (first, second)]
    peers = Peers([Address.of(f"http://localhost:{port}") for port in ports], {})
    await peers.resolve()
    assert len(peers) == 2

    async def connect(times: int) -> dict[int, int]:
        before = Serving.taken.copy()
        made: list[asyncio.Transport] = []

        class Client(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                made.append(transport)

        for _ in range(times):
            await peers.connect(Client)
        for _ in range(times):
            await Serving.came.acquire()
        for transport in made:
            transport.abort()
        return dict(Serving.taken - before)

    assert await connect(4) == {ports[0]: 2, ports[1]: 2}
    second.close()
    assert await connect(4) == {ports[0]: 4}
    first.close()
    with pytest.raises(ConnectionRefusedError):
        await connect(1)
