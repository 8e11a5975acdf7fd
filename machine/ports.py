"""These functions choose and hold TCP ports on loopback."""

import json
import random
import socket
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from machine.cache import LockHeldError, cache_dir, lock
from machine.errors import StackError

HOST = "127.0.0.1"

FREE_PORTS = range(20_000, 32_000)
"""These ports are below Linux's ephemeral ones: no outgoing connection takes one before its server
does."""

WORKERS_MAX = 64
"""One port has at most this many processes; no machine here has more cores."""

BIND_S = 120.0
"""A port that was chosen is not chosen again for this long: until its server has bound it, on a
busy machine too, nothing else shows that it is taken."""

TRIES_MAX = 100
"""This many random ports are tried before none counts as free."""


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        # A server may bind where an old connection is in TIME_WAIT, so that is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
        return True


def choose(asked: int, option: str) -> int:
    """`choose` returns the port asked for, or a free one for 0; it raises `StackError` when it is
    taken."""
    if asked:
        if not is_free(asked):
            raise _taken(asked, option)
        return asked
    with _chosen() as chosen_s:
        for port in random.sample(FREE_PORTS, TRIES_MAX):
            if str(port) not in chosen_s and is_free(port):
                chosen_s[str(port)] = time.time()
                return port
    raise StackError(f"no free port among {TRIES_MAX} tried in {FREE_PORTS}")


def _taken(port: int, option: str) -> StackError:
    return StackError(f"port {port} is taken: choose another with {option}, or 0 for any free one")


@contextmanager
def _chosen() -> Iterator[dict[str, float]]:
    """Which ports were chosen of late, and when, in s since 1970; others of this user wait for what
    is chosen now."""
    file = cache_dir() / "ports.json"
    with lock(file.with_suffix(".lock"), wait=True):
        try:
            found = json.loads(file.read_text())
        except (FileNotFoundError, ValueError):
            found = {}
        chosen_s = {port: at_s for port, at_s in found.items() if at_s > time.time() - BIND_S}
        yield chosen_s
        file.write_text(json.dumps(chosen_s))


class Usual(NamedTuple):
    """A person expects something at this port."""

    port: int
    what: str

    @property
    def help(self) -> str:
        """`help` returns the help text of an option that chooses another port."""
        return f"of {self.what}; 0 is any free one (default: {self.port}, or any where it is taken)"


GATEWAY = Usual(8080, "the gateway")
KAFKA = Usual(9092, "Kafka")
FLINK_PAGE = Usual(8081, "Flink's page")
LOCUST_PAGE = Usual(8089, "Locust's page")


@contextmanager
def hold(
    asked: int | None,
    usual: Usual,
    option: str,
    tell: Callable[[str], object],
    others: Collection[int | None] = (),
) -> Iterator[int]:
    """`hold` yields the port asked for, 0 for any free one; for None the usual one, where it is
    neither taken nor one of the `others`, which this process asks for too.

    No other stack of this user takes it meanwhile, be it that nothing listens there yet, or that
    several may listen at one. It raises `StackError` where the port asked for is taken.
    """
    with ExitStack() as held:
        port = asked
        if asked is None:
            port = usual.port if usual.port not in others and is_free(usual.port) else 0
        try:
            if port:
                held.enter_context(lock(cache_dir() / "ports" / str(port), wait=False))
        except LockHeldError:
            if asked:
                raise _taken(asked, option) from None
            port = 0
        found = choose(port or 0, option)
        if asked is None and found != usual.port:
            tell(f"port {usual.port} is taken: {usual.what} is at port {found}")
        yield found
