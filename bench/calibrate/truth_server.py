"""This server's every latency is known beforehand.

    python -m bench.calibrate.truth_server [STALL_AT_S]

The n-th request is answered after `latency_ms(n)`. With an argument, nothing is answered for
`STALL_S` from so many seconds after the first request. Each 100th request from 50 on is a 503.
"""

import asyncio
import sys
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

LATENCIES_MS = tuple(400 + 1600 * (place / 999) ** 64 for place in range(1000))
"""Most latencies are near 400 ms: 2 % of that is more than a busy machine adds. The longest is 2
s."""
STRIDE = 387
"""The stride is coprime to 1,000: every thousand requests have each latency once, in a mixed
order."""
STALL_S = 2.0
"""The server whose latencies are known stalls for this long."""


def latency_ms(request: int) -> float:
    return LATENCIES_MS[request * STRIDE % 1000]


def is_error(request: int) -> bool:
    return request % 100 == 50


def truth_ms(times_s: NDArray[np.float64], stall_at_s: float | None) -> NDArray[np.float64]:
    """`truth_ms` returns the response time of each request that is due at these times, and sent
    then."""
    latency = np.array([latency_ms(request) for request in range(len(times_s))])
    if stall_at_s is None:
        return latency
    since_s = times_s - stall_at_s
    left_s = np.where((since_s >= 0) & (since_s < STALL_S), STALL_S - since_s, 0)
    return np.asarray(latency + left_s * 1e3)


class Connection(asyncio.Protocol):
    served = 0
    begun_s: float | None = None
    stall_at_s: float | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.buffer = b""

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while b"\r\n\r\n" in self.buffer:
            _, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
            self.serve()

    def serve(self) -> None:
        loop = asyncio.get_running_loop()
        request, Connection.served = Connection.served, Connection.served + 1
        if Connection.begun_s is None:
            Connection.begun_s = loop.time()
        from_s = loop.time()
        if Connection.stall_at_s is not None:
            stall_s = Connection.begun_s + Connection.stall_at_s
            if stall_s <= from_s < stall_s + STALL_S:
                from_s = stall_s + STALL_S
        loop.call_at(from_s + latency_ms(request) / 1e3, partial(self.reply, is_error(request)))

    def reply(self, error: bool) -> None:
        if not self.transport.is_closing():
            status = b"503 Service Unavailable" if error else b"200 OK"
            self.transport.write(b"HTTP/1.1 %s\r\nContent-Length: 2\r\n\r\n{}" % status)


async def main() -> None:
    if len(sys.argv) > 1:
        Connection.stall_at_s = float(sys.argv[1])
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
