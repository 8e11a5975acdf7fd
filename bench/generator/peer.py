"""A peer is the numeric address that a server's name leads to."""

import asyncio
import socket
from contextlib import suppress

from bench.workload.address import Address

CONNECT_TIMEOUT_S = 5.0
"""One try to open a connection takes at most this long; what waits for it is given up at its own
deadline only."""


async def peer_of(address: Address) -> str:
    """`peer_of` looks the host up, once: of its addresses the first that takes a connection is the
    peer, and the very first where none does. A host that is not found is its own."""
    loop, peer = asyncio.get_running_loop(), address.host
    with suppress(OSError):
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        peers = [(str(place[0]), address.port) for *_, place in found]
        peer = peers[0][0]
        for place in peers if len(peers) > 1 else ():
            with suppress(OSError):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    transport, _ = await loop.create_connection(asyncio.Protocol, *place)
                    transport.close()
                    return place[0]
    return peer
