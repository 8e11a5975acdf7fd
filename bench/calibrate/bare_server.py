"""``python -m bench.calibrate.bare_server KIND`` is a server that does next to nothing.

aiohttp: aiohttp's own server on uvloop, without an application. canned: a protocol that answers
whatever comes with the same bytes; one request in each segment, as clients without pipelining send
it. Both answer alike. It prints its port.
"""

import asyncio
import sys
from typing import Any, Literal, get_args

import uvloop
from aiohttp import web

Kind = Literal["aiohttp", "canned"]
KINDS: tuple[Kind, ...] = get_args(Kind)
BODY = b"Hello, world"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
ANSWER = HEAD % len(BODY) + BODY


class Canned(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(ANSWER)


async def _answer(_: web.BaseRequest) -> web.Response:
    return web.Response(body=BODY, content_type="text/plain")


async def serve(kind: Kind) -> None:
    loop = asyncio.get_running_loop()
    factory: Any = web.Server(_answer, access_log=None) if kind == "aiohttp" else Canned
    server = await loop.create_server(factory, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    (chosen,) = (kind for kind in KINDS if sys.argv[1:] == [kind])
    uvloop.run(serve(chosen))
