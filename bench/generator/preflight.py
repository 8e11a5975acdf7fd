"""A look ahead finds what would spoil a load: limits of this machine, a server out of reach.

Either would show as failed requests of the system under load, which has no part in it.
"""

import errno
import os
import resource
import socket
import ssl
from contextlib import suppress
from pathlib import Path

from bench.errors import BenchError
from bench.generator.spec import Load
from bench.generator.tls import Trust
from bench.workload.address import Address

FILES_SPARE = 64
"""A generator has so many file descriptors besides its connections: logs, samples, the event
loop's."""
TIME_WAIT_S = 60.0
"""Linux keeps the port of a connection that this side has closed for this long."""
TRY_S = 5.0
"""A first connection may take this long; a server that takes longer is loaded all the same."""
PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")

REUSE = Path("/proc/sys/net/ipv4/tcp_tw_reuse")
LOOPBACK = ("localhost", "127.0.0.1", "::1")

OWN_LIMITS = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS, errno.ENOMEM}
)
"""These errors of opening a connection are this machine's own, not the server's."""


def check_before(url: str, load: Load, connections: int, connections_per_s: float) -> None:
    """`check_before` raises `BenchError` for what would end or spoil the load of this server. A
    generator at an agent looks for itself.

    Each generator has so many `connections` at most, and all together make `connections_per_s` new
    ones each second; 0 where they are kept.
    """
    address = Address.of(url)
    if load.agents:  # whose machines have limits, and a network, of their own
        return
    check_limits(connections, load.generators)
    if connections_per_s:
        check_port_reuse(connections_per_s, address.host in LOOPBACK)
    check_server(address, load.trust)


def raise_files_limit() -> None:
    """`raise_files_limit` allows this process as many open files as it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def check_limits(in_flight: int, generators: int) -> None:
    """`check_limits` raises `BenchError` where so many connections of each generator can't be open
    at a time."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and in_flight + FILES_SPARE > files:
        raise BenchError(
            f"a process may have {files} files open here, too few for {in_flight} connections: "
            f"raise the hard limit (ulimit -Hn), or let at most {max(1, files - FILES_SPARE)} "
            "requests be under way"
        )
    ports = local_ports()
    if in_flight * generators > ports:
        raise BenchError(
            f"{in_flight} connections of each of {generators} generators: this machine has {ports} "
            "ports for connections to one address"
        )


def check_port_reuse(connections_per_s: float, is_loopback: bool) -> None:
    """`check_port_reuse` raises `BenchError` where a connection for each request would use up all
    ports."""
    most_per_s = connections_per_s_max(is_loopback)
    if connections_per_s > most_per_s:
        raise BenchError(
            f"{connections_per_s:g} connections/s: a port is used again after "
            f"{local_ports() / most_per_s:g} s, and this machine has {local_ports()}: at most "
            f"{int(most_per_s)}/s, or keep_alive = true"
        )


def connections_per_s_max(is_loopback: bool) -> float:
    """`connections_per_s_max` returns how many new connections to one address this machine can make
    each second for good."""
    mode = REUSE.read_text().strip() if REUSE.exists() else "0"
    kept_s = 1.0 if mode == "1" or (mode == "2" and is_loopback) else TIME_WAIT_S
    return local_ports() / kept_s


def local_ports() -> int:
    """`local_ports` returns how many ports this machine gives to connections to one address."""
    first, last = map(int, PORTS.read_text().split())
    return last - first + 1


def check_server(address: Address, trust: Trust) -> None:
    """`check_server` opens a connection to the server once. It raises `BenchError` where that can't
    work."""
    where = f"{address.host} port {address.port}"
    try:
        connection = socket.create_connection((address.host, address.port), TRY_S)
    except TimeoutError:
        return
    except socket.gaierror as cause:
        raise BenchError(f"{address.host}: {os.fsdecode(str(cause.strerror)).lower()}") from None
    except ConnectionRefusedError:
        raise BenchError(f"nothing listens at {where}: start the server first") from None
    except OSError as cause:
        raise BenchError(f"{where}: {cause.strerror or cause}") from None
    with connection:
        if address.tls:
            _shake_hands(connection, address, trust, where)


def _shake_hands(connection: socket.socket, address: Address, trust: Trust, where: str) -> None:
    try:
        with trust.context().wrap_socket(connection, server_hostname=address.host):
            pass
    except TimeoutError:
        return
    except ssl.SSLCertVerificationError as cause:
        raise BenchError(
            f"the certificate of {where} is not trusted: {cause.verify_message}: name its CA with "
            "--ca FILE, or load it with --insecure"
        ) from None
    except OSError as cause:
        why = cause.reason if isinstance(cause, ssl.SSLError) else cause.strerror
        raise BenchError(f"{where} speaks no https: {why or 'it closed the connection'}") from None
