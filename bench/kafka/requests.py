"""Calls of the shop become the request records that a gateway would write for them."""

from typing import NamedTuple

from bench.workload.journey import Call
from system.request_id import Mint
from system.requests import outgoing
from system.router import Router
from system.routes import ROUTES
from system.wire import RefusedError, input_topic


class Record(NamedTuple):
    """A record is to be written."""

    request_id: str
    topic: str
    key: str
    value: bytes


class Requests:
    """The requests are made by the gateway's own router and encoding; replies go to `sink`."""

    def __init__(self, sink: str) -> None:
        self._sink = sink
        self._router = Router(ROUTES)
        self._mint = Mint()

    def encode(self, call: Call, traced: bool = False) -> Record | None:
        """`encode` returns None for a call that a gateway answers by itself, without a service."""
        try:
            keys = () if call.key is None else (call.key,)
            out = outgoing(self._router.match(call.verb, call.path), keys, self._mint)
        except RefusedError:
            return None
        topic = input_topic(out.service)
        return Record(
            out.request_id, topic, out.key, out.encode(self._sink, [] if traced else None)
        )
