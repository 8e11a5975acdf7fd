"""One gateway process, from the bound port to the drained exit."""

import asyncio
import logging
import os
import signal
import socket
import sys
from dataclasses import dataclass

import uvloop

from system.gateway.app import Gateway
from system.gateway.connection import HttpServer
from system.gateway.errors import StartError
from system.gateway.limits import Limits

BACKLOG = 1024
EXIT_START_FAILED = 3
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Options:
    bootstrap: str
    host: str
    port: int
    gateway_id: str
    limits: Limits


def bind(options: Options, *, shared: bool) -> socket.socket:
    """A bound socket that does not listen yet; `shared` between workers. Raises `StartError`."""
    listener = None
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(address)
    except OSError as cause:
        if listener is not None:
            listener.close()
        raise StartError(
            f"cannot listen on {options.host}:{options.port}: {cause.strerror}; "
            "choose another --port"
        ) from None
    return listener


def run(options: Options, *, shared: bool) -> int:
    """Serves until a signal, on a port that is `shared` between workers; returns the exit code."""
    logging.basicConfig(level=logging.WARNING, format=f"{options.gateway_id}: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # kafka.py tells what matters, once
    try:
        listener = bind(options, shared=shared)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(options, listener))
    except StartError as cause:
        print(f"gateway {options.gateway_id}: {cause}", file=sys.stderr)
        return EXIT_START_FAILED


async def _serve(options: Options, listener: socket.socket) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    gateway = Gateway(options.gateway_id, options.bootstrap, options.limits)
    http = HttpServer(gateway.handle, options.limits)
    server = await loop.create_server(http, sock=listener, backlog=BACKLOG)
    stopping = loop.create_task(stop.wait())
    starting = loop.create_task(gateway.kafka.start(options.limits.kafka_wait_s))
    try:
        await asyncio.wait((stopping, starting), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            reader = starting.result()
            host, port = listener.getsockname()[:2]
            print(f"gateway {options.gateway_id} is ready on http://{host}:{port}", flush=True)
            await asyncio.wait((stopping, reader), return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()  # it never ends by itself: a bug, and the gateway is deaf
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.wait((starting, stopping))
        gateway.draining = True
        server.close()
        if waiting := gateway.pending.futures():
            await asyncio.wait(waiting, timeout=options.limits.drain_s)
        http.pre_shutdown()
        await http.shutdown(options.limits.linger_s)
        await gateway.kafka.stop()
        gateway.close()
    return 0
