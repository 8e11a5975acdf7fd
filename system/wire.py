"""Request and reply records travel through Kafka; here are their form, limits and errors.

    client ─HTTP→ gateway ─{service}_in→ service ─sink→ gateway ─HTTP→ client

A request record is ``{"request_id", "sink", "method", "params"}``, a reply record is
``{"request_id", ...fields}`` or ``{"request_id", "error": {"code", "message"}}``: JSON in UTF-8, at
most `RECORD_BYTES_MAX` bytes. Fields that a reader does not know are ignored.

A service that sends a request on adds ``"at"``: when the first record of that request was written
to its topic, in ms since 1970. Without it a request is as old as its own record. A traced request's
records have one field more, ``"trace": [[service, in_ns, out_ns], ...]``: the services that it came
through, in order, by the wall clock.
"""

import re
from typing import Any, NamedTuple, cast

import orjson

RECORD_BYTES_MAX = 64 * 1024
"""A record has at most this many bytes, far fewer than a broker takes."""
TIMES, OF_THE_LOG = "message.timestamp.type", "LogAppendTime"
"""Each topic has this configuration: the age of a request is judged by one clock, and none of a
client's; and a broker refuses no record of a service whose clock is hours ahead of its own, as it
does since Kafka 4.0 (KIP-1030)."""
AMOUNT_MAX = 2**53 - 1
"""Money and stock are exact in every JSON reader: IEEE 754 doubles hold integers up to here."""

TIMEOUT_S = 5.0
"""A gateway waits for a reply for so long, where nobody chose another time."""
TIMEOUT_S_MIN = 0.1
"""A shorter one would refuse most of what the services answer."""
TIMEOUT_S_MAX = 60.0
"""A longer time won't do: a gateway that ends answers what it has accepted first."""

TRACE_HOPS_MAX = 16
"""A traced request has at most so many services in a row; the longest row in the shop, a checkout
that is refused and undone under a client's own key, has 6."""

SHOP_TOKEN = "KAFLINKSHOP_TOKEN"  # noqa: S105  # a name
"""This variable of the environment has the token that the shop's routes ask for, if any."""
METRICS_TOKEN = "KAFLINKSHOP_METRICS_TOKEN"  # noqa: S105  # a name
"""This variable has the token for /metrics and traces; it opens the shop's routes too."""

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A request_id, and the id of a user, an order or an item, has this form."""

MINTED_PATTERN = re.compile(r"kf_([0-9a-f]{7})_[A-Za-z0-9_-]{16}_[A-Za-z0-9_-]{16}")
"""A request_id that a gateway made has this form: its minute since 1970, chance, the request's
fingerprint."""

TOPIC_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""A legal Kafka topic name has this form."""

HTTP_STATUS = {
    "bad_request": 400,
    "unauthorized": 401,
    "not_found": 404,
    "insufficient_credit": 409,
    "out_of_stock": 409,
    "already_paid": 409,
    "not_paid": 409,
    "order_empty": 409,
    "checkout_in_progress": 409,
    "checkout_expired": 409,
    "idempotency_key_expired": 409,
    "idempotency_key_reused": 409,
    "limit_reached": 409,
    "too_large": 413,
    "overloaded": 503,
    "unavailable": 503,
    "timeout": 504,
}
"""Each error code has its HTTP status."""


class WireError(ValueError):
    """A record is not of the contract's form; the message says where."""


class RefusedError(Exception):
    """The request is answered with this error of the contract, and was not sent to Kafka."""

    def __init__(self, code: str, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.request_id = request_id


Hop = tuple[str, int, int]
"""A hop is a service, when it began with a record and when it gave one away: ns of the wall
clock."""

Trace = list[Hop]


class Request(NamedTuple):
    request_id: str
    sink: str
    method: str
    params: dict[str, Any]
    trace: Trace | None = None
    """The trace is None where the request is not traced."""
    at_ms: int | None = None
    """The request was first written to a topic at this time, as a service says that sends it on."""

    def first_written(self, first_ms: int | None) -> "Request":
        """`first_written` returns the request as one that was first written then, or before; None
        where that is not known."""
        if first_ms is None:
            return self
        return self._replace(at_ms=first_ms if self.at_ms is None else min(first_ms, self.at_ms))


def input_topic(service: str) -> str:
    """A service's requests are written to this topic."""
    return f"{service}_in"


def dead_topic(topic: str) -> str:
    """The records of an input topic that can't be handled go to this topic."""
    return f"{topic}_dead"


def reply_topic(gateway_id: str) -> str:
    return f"gateway_out_{gateway_id}"


def encode_request(request: Request) -> bytes:
    request_id, sink, method, params, trace, at_ms = request
    fields = {"request_id": request_id, "sink": sink, "method": method, "params": params}
    record = encode(fields if at_ms is None else {**fields, "at": at_ms})
    return record if trace is None else with_trace(record, trace)


def decode_request(record: bytes) -> Request:
    """`decode_request` returns a record's request. It raises `WireError` for a record that is none.
    Integer ids become decimal text."""
    fields = decode(record)
    request_id, sink = fields.get("request_id"), fields.get("sink")
    method, params = fields.get("method"), fields.get("params")
    if not isinstance(request_id, str) or not ID_PATTERN.fullmatch(request_id):
        raise WireError("request_id is not 1 to 64 characters of [A-Za-z0-9_-]")
    if not isinstance(sink, str) or not TOPIC_PATTERN.fullmatch(sink):
        raise WireError("sink is not a topic name")
    if not isinstance(method, str):
        raise WireError("method is not a string")
    if not isinstance(params, dict):
        raise WireError("params is not an object")
    for name, value in params.items():
        if type(value) is int and name.endswith("_id"):
            params[name] = str(value)
    trace = decode_trace(fields["trace"]) if "trace" in fields else None
    at_ms = fields.get("at")
    if at_ms is not None and (type(at_ms) is not int or at_ms < 0):
        raise WireError("at is not a time in ms")
    return Request(request_id, sink, method, params, trace, at_ms)


def born_ms(request_id: str) -> int | None:
    """`born_ms` returns the minute in which a gateway made the id, in ms since 1970; None for a
    client's own key."""
    minted = MINTED_PATTERN.fullmatch(request_id)
    return None if minted is None else int(minted[1], 16) * 60_000


def with_trace(record: bytes, trace: Trace) -> bytes:
    """`with_trace` returns an encoded record with this trace; as it is where that would be beyond a
    limit.

    A trace with a gap would show a service's time as that of a topic: rather none.
    """
    if len(trace) > TRACE_HOPS_MAX:
        return record
    traced = b'%b,"trace":%b}' % (record[:-1], orjson.dumps(trace))
    return traced if len(traced) <= RECORD_BYTES_MAX else record


def decode_trace(value: Any) -> Trace | None:
    """`decode_trace` returns the trace; None for what is none: it is for measurement only, and
    never a reason to refuse."""
    if not isinstance(value, list) or len(value) > TRACE_HOPS_MAX:
        return None
    for hop in value:
        if not isinstance(hop, list) or [*map(type, hop)] != [str, int, int]:
            return None
        if not ID_PATTERN.fullmatch(hop[0]):
            return None
    return cast(Trace, value)


def error(code: str, message: str) -> dict[str, Any]:
    """`error` returns the body of a failed reply, without its request_id."""
    return {"error": {"code": code, "message": message}}


def encode(fields: dict[str, Any]) -> bytes:
    """`encode` returns a record of the fields. It raises `WireError` when the record would be too
    large."""
    record = orjson.dumps(fields)
    if len(record) > RECORD_BYTES_MAX:
        raise WireError(f"a record of {len(record)} bytes, at most {RECORD_BYTES_MAX} are allowed")
    return record


def decode(record: bytes) -> dict[str, Any]:
    """`decode` returns a record's fields. It raises `WireError` for anything but a JSON object of
    at most `RECORD_BYTES_MAX` bytes."""
    if len(record) > RECORD_BYTES_MAX:
        raise WireError(f"a record of {len(record)} bytes, at most {RECORD_BYTES_MAX} are allowed")
    try:
        fields = orjson.loads(record)
    except orjson.JSONDecodeError as cause:
        raise WireError(f"not JSON: {cause}") from None
    if not isinstance(fields, dict):
        raise WireError("not a JSON object")
    return fields
