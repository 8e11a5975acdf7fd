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


KEYS_MAX = 100_000
"""So many keys are known by the request that each came with first: minutes of load."""


class Requests:
    """The requests are made by the gateway's own router and encoding; replies go to `sink`.

    Records of fewer than `record_bytes` are filled up by a field that services ignore. As a gateway
    does, they refuse a key that another request came with before: both replies have its id, and
    one would be taken for the other.
    """

    def __init__(self, sink: str, record_bytes: int = 0) -> None:
        self._sink = sink
        self._record_bytes = record_bytes
        self._router = Router(ROUTES)
        self._mint = Mint()
        self._came_with: dict[str, str] = {}

    def encode(self, call: Call, traced: bool = False) -> Record | None:
        """`encode` returns None for a call that a gateway answers by itself, without a service."""
        try:
            keys = () if call.key is None else (call.key,)
            out = outgoing(self._router.match(call.verb, call.path), keys, self._mint)
        except RefusedError:
            return None
        if call.key is not None:
            if self._came_with.setdefault(call.key, out.fingerprint) != out.fingerprint:
                return None
            if len(self._came_with) > KEYS_MAX:
                del self._came_with[next(iter(self._came_with))]
        topic = input_topic(out.service)
        value = out.encode(self._sink, [] if traced else None)
        return Record(out.request_id, topic, out.key, self._filled(value))

    def _filled(self, value: bytes) -> bytes:
        filling = self._record_bytes - len(value) - len(b',"filling":""')
        return value if filling < 1 else b'%b,"filling":"%b"}' % (value[:-1], b"x" * filling)
