"""A worker is one gateway process, from the bound port to the drained exit."""

import asyncio
import gc
import logging
import os
import resource
import signal
import socket
import ssl
import sys
from dataclasses import dataclass
from typing import NamedTuple, Self

import uvloop

from system.gateway.app import Gateway
from system.gateway.connection import HttpServer
from system.gateway.errors import StartError
from system.gateway.limits import Limits
from system.gateway.tokens import Tokens
from system.kafka_security import KafkaSecurity, KafkaSecurityError

log = logging.getLogger(__name__)

BACKLOG = 4096
"""So many clients may wait to be accepted; of more the kernel drops the first packet, and they try
again after seconds. It is what Linux allows by default."""
OTHER_FILES_MAX = 128
"""So many files are open besides connections: listener, Kafka's connections, libraries."""
LAST_S = 1.0
"""A drain waits so much longer than the last request may take."""
EXIT_START_FAILED = 3
EXIT_INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class Options:
    bootstrap: str
    host: str
    port: int
    gateway_id: str
    limits: Limits
    tls_files: tuple[str, str] | None = None
    """The files are certificate chain and key, PEM; None is plain HTTP."""
    echoes: bool = True
    """The flag says whether readiness includes that the services answer."""
    refuses_silence: bool = False
    """The flag says whether requests are refused while the services don't answer."""
    topic_prefix: str = ""
    """All topics of the system begin like this, so that several share a Kafka."""


class Guards(NamedTuple):
    """The guards say who may use the gateway, and how it proves to its clients and to Kafka who it
    is."""

    tokens: Tokens
    kafka: KafkaSecurity
    tls: ssl.SSLContext | None

    @classmethod
    def read(cls, options: Options) -> Self:
        """`read` takes them from the environment and the options; it raises `StartError`."""
        try:
            kafka = KafkaSecurity.read()
            kafka.client_options()  # so that what can't be used is found now
        except KafkaSecurityError as cause:
            raise StartError(str(cause)) from None
        tls = None if options.tls_files is None else tls_context(*options.tls_files)
        return cls(Tokens.read(os.environ), kafka, tls)


def bind(options: Options, *, shared: bool) -> socket.socket:
    """`bind` returns a bound socket that does not listen yet; `shared` between workers. It raises
    `StartError`."""
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
    """`run` serves until a signal, on a port that is `shared` between workers, and returns the exit
    code."""
    logging.basicConfig(level=logging.WARNING, format=f"{options.gateway_id}: %(message)s")
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # kafka.py tells what matters, once
    try:
        guards = Guards.read(options)
        listener = bind(options, shared=shared)
        allow_open_files(options.limits.connections_max + OTHER_FILES_MAX)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(options, listener, guards))
    except StartError as cause:
        print(f"gateway {options.gateway_id}: {cause}", file=sys.stderr)
        return EXIT_START_FAILED


def tls_context(cert_file: str, key_file: str) -> ssl.SSLContext:
    """The gateway shows this certificate to its clients. A file that can't be used is a
    `StartError`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password, an encrypted key would ask for one on the terminal.
        context.load_cert_chain(cert_file, key_file, password="")
    except OSError as cause:  # of which SSLError is one
        reason = getattr(cause, "reason", None) or cause.strerror
        raise StartError(f"--tls-cert-file and --tls-key-file can't be used: {reason}") from None
    return context


def allow_open_files(wanted: int) -> None:
    """`allow_open_files` raises this process's own limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    if allowed < wanted:
        log.warning("%d open files are allowed, fewer than --connections-max needs", allowed)


async def _serve(options: Options, listener: socket.socket, guards: Guards) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(EXIT_INTERRUPTED)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    gateway = Gateway(
        options.gateway_id,
        options.bootstrap,
        options.limits,
        guards.tokens,
        guards.kafka,
        echoes=options.echoes,
        refuses_silence=options.refuses_silence,
        topic_prefix=options.topic_prefix,
    )
    http = HttpServer(gateway, options.limits)
    server = await loop.create_server(
        http,
        sock=listener,
        backlog=BACKLOG,
        ssl=guards.tls,
        ssl_handshake_timeout=None if guards.tls is None else options.limits.receive_s,
        ssl_shutdown_timeout=None if guards.tls is None else options.limits.linger_s,
    )
    stopping = loop.create_task(stop.wait())
    starting = loop.create_task(gateway.start())
    try:
        await asyncio.wait((stopping, starting), return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            reader = starting.result()
            host, port = listener.getsockname()[:2]
            scheme = "http" if guards.tls is None else "https"
            gc.freeze()  # what there is now stays: nobody need look at it for garbage
            print(f"gateway {options.gateway_id} is ready on {scheme}://{host}:{port}", flush=True)
            await asyncio.wait((stopping, reader), return_when=asyncio.FIRST_COMPLETED)
            if reader.done():
                reader.result()  # it never ends by itself: a bug, and the gateway is deaf
    finally:
        starting.cancel()
        stopping.cancel()
        await asyncio.wait((starting, stopping))
        gateway.drain()
        server.close()
        if waiting := gateway.pending.futures():
            limits = options.limits
            await asyncio.wait(waiting, timeout=max(limits.drain_s, limits.timeout_s + LAST_S))
        http.pre_shutdown()
        await http.shutdown(options.limits.linger_s)
        await gateway.kafka.stop()
        gateway.close()
    return 0
