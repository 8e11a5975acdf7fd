"""A request by verb and path becomes a request record here, whoever writes it to its topic."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from system import request_id as ids
from system import wire
from system.router import Match
from system.routes import CLAIM
from system.wire import RefusedError

KEY_HEADER = "Idempotency-Key"


class Outgoing(NamedTuple):
    """This is what goes to a service, and where; `encode` adds where the reply shall go."""

    request_id: str
    fingerprint: str
    service: str
    key: str
    """The key is that of the Kafka record."""
    method: str
    params: dict[str, Any]

    def encode(self, sink: str, trace: wire.Trace | None = None) -> bytes:
        request = wire.Request(self.request_id, sink, self.method, self.params, trace)
        return wire.encode_request(request)


def outgoing(match: Match, keys: Sequence[str], mint: ids.Mint) -> Outgoing:
    """`outgoing` makes a request_id, unless the client's own Idempotency-Key is it, and the id of
    what the request creates.

    `keys` are all that the client gave; one of the client's own is claimed for this request first.
    It raises `RefusedError` for one that can't be used.
    """
    route, params = match
    fingerprint = ids.fingerprint(route.service, route.method, params)
    claimed = False
    if not keys:
        request_id = mint(fingerprint)
    else:
        request_id = keys[0]
        if len(keys) > 1 or not wire.ID_PATTERN.fullmatch(request_id):
            raise RefusedError("bad_request", f"{KEY_HEADER}: one, of 1 to 64 of [A-Za-z0-9_-]")
        minted = ids.is_minted(request_id)
        claimed = not minted and route.verb != "GET"  # a read has no effect to be claimed
        if minted and not ids.certifies(request_id, fingerprint):
            raise RefusedError(
                "idempotency_key_reused", "this key belongs to another request", request_id
            )
    if route.key not in params:
        params[route.key] = ids.entity_id(route.service, request_id)
    service, key, method = route.service, params[route.key], route.method
    if claimed:
        params = {"service": service, "key": key, "method": method, "params": params}
        service, key, method = CLAIM, request_id, CLAIM
    return Outgoing(request_id, fingerprint, service, key, method, params)
