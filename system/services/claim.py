"""A claim binds a client's own Idempotency-Key to the request that came with it first.

Ids that the gateway makes carry a fingerprint of their request and need no claim. A key that a
client made goes through here, whatever service it is for: the same request passes on, another is
refused, also when it comes through another gateway or after a crash.
"""

from system.catalog import catalog
from system.service import Call, Entity, Outcome, Refused, Reply, Send, Service
from system.wire import error

CLAIM = Service("claim", key="request_id")


@CLAIM.method
def claim(_entity: Entity | None, call: Call) -> Outcome:
    """The `params` are the request that the key is for, as {service, key, method, params}."""
    service, method, params = (call.params.get(name) for name in ("service", "method", "params"))
    if service == CLAIM.name or service not in catalog().services:
        raise Refused("bad_request", "a claim is for another service")
    if not isinstance(method, str) or not isinstance(params, dict):
        raise Refused("bad_request", "a claim names a method and its params")
    request = Send(service, call.id("key"), method, params)
    first = call.earlier("first")
    if first is None:
        return Outcome(None, (request,), remember=False, also={"first": (request,)})
    if first == (request,):
        return Outcome(None, (request,), remember=False)
    body = error("idempotency_key_reused", "this Idempotency-Key came with another request before")
    return Outcome(None, (Reply(body),), remember=False)
