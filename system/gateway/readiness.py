"""The gateway asks whether the services answer: it echoes again and again, through Kafka and Flink.

    gateway ─echo_in→ echo ─gateway_out_<id>→ gateway

It is no request of a client: it waits in no table, and is counted under its own name.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex

from system import wire
from system.wire import RefusedError

SERVICE = "echo"
INTERVAL_S = 1.0
"""This much time passes between echoes: often enough to be noticed soon, and 2 records a second
cost nothing."""
SILENCE_S = 2.5
"""The services count as silent after this time without an answer: two echoes and the time of one to
come back. So a gateway is unready within 3 s."""
PREFIX = "own_echo_"
"""The request_id of every gateway's own echoes begins with this."""
OWN_ECHO = "own_echo"
"""The gateway's metrics count their records and replies as this kind."""

Send = Callable[[str, str, bytes, str], None]
"""A sender takes topic, key, record and request_id; it raises `RefusedError`."""


class Readiness:
    """The gateway sends an echo each `INTERVAL_S`, and knows when one was answered last."""

    def __init__(self, gateway_id: str, topic: str, sink: str, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._gateway_id = gateway_id
        self._topic = topic
        self._sink = sink
        self._send = send
        self._prefix = f"{PREFIX}{token_hex(8)}_"
        """An answer to an earlier gateway of the same name says nothing of now."""
        self._number = 0
        self._answered_s: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """`begin` sends the first echo, and goes on until `end`."""
        self._number += 1
        request_id = f"{self._prefix}{self._number}"
        record = wire.encode_request(
            wire.Request(request_id, self._sink, SERVICE, {"echo_id": self._gateway_id})
        )
        with suppress(RefusedError):  # then there will be no answer
            self._send(self._topic, self._gateway_id, record, request_id)
        self._timer = self._loop.call_later(INTERVAL_S, self.begin)

    def end(self) -> None:
        """`end` sends no more."""
        if self._timer is not None:
            self._timer.cancel()

    def settle(self, request_id: str) -> bool:
        """`settle` returns whether a reply is to an echo, of this gateway or an earlier one of its
        name."""
        if request_id.startswith(self._prefix):
            self._answered_s = self._loop.time()
        return request_id.startswith(PREFIX)

    def silent(self) -> str | None:
        """`silent` says why the services can't be taken to answer; it is None while they do."""
        if self._answered_s is None:
            return "the services have not answered yet"
        silence_s = self._loop.time() - self._answered_s
        if silence_s <= SILENCE_S:
            return None
        return f"the services have not answered for {silence_s:.1f} s"
