"""The peers are the servers that connections are made to, each in its turn."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from bench.workload.address import Address

CONNECT_TIMEOUT_S = 5.0
"""One try to open a connection takes at most this long; what waits for it is given up at its own
deadline only."""


class Peers:
    """The `options` are `create_connection`'s, the same for all."""

    def __init__(self, addresses: Sequence[Address], options: dict[str, Any]) -> None:
        self._peers = [(each.host, each.port) for each in addresses]
        self._options = options
        self._turn = 0

    def __len__(self) -> int:
        return len(self._peers)

    async def resolve(self) -> None:
        """`resolve` looks each name up, once; of its addresses the first that takes a connection is
        it."""
        for place, given in enumerate(self._peers):
            with suppress(OSError):
                self._peers[place] = await _resolved(given)

    async def connect(self, protocol: Callable[[], asyncio.Protocol]) -> None:
        """`connect` opens a connection to the next peer that takes one.

        It raises `TimeoutError`, and the `OSError` of the last one where none does.
        """
        self._turn += 1
        order = [(self._turn + place) % len(self._peers) for place in range(len(self._peers))]
        loop, refusal = asyncio.get_running_loop(), OSError()
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            for place in order:
                try:
                    await loop.create_connection(protocol, *self._peers[place], **self._options)
                    return
                except OSError as cause:
                    refusal = cause
        raise refusal


async def _resolved(given: tuple[str, int]) -> tuple[str, int]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(*given, type=socket.SOCK_STREAM)
    peers = [(str(peer[0]), given[1]) for *_, peer in found]
    for peer in peers if len(peers) > 1 else ():
        with suppress(OSError):
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                transport, _ = await loop.create_connection(asyncio.Protocol, *peer)
                transport.close()
                return peer
    return peers[0]
