"""TCP ports on loopback."""

import random
import socket

from machine.errors import StackError

HOST = "127.0.0.1"

FREE_PORTS = range(20_000, 32_000)
"""Below Linux's ephemeral ports: no outgoing connection takes one before its server does."""

TRIES_MAX = 100
"""Random ports tried for a free one."""


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
    """The port asked for, or a free one for 0; raises `StackError` when it is taken."""
    if asked:
        if not is_free(asked):
            raise StackError(
                f"port {asked} is taken: choose another with {option}, or 0 for any free one"
            )
        return asked
    for port in random.sample(FREE_PORTS, TRIES_MAX):
        if is_free(port):
            return port
    raise StackError(f"no free port among {TRIES_MAX} tried in {FREE_PORTS}")
