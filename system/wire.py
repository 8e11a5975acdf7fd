"""What travels through Kafka: request and reply records, their limits and their errors.

    client ─HTTP→ gateway ─{service}_in→ service ─sink→ gateway ─HTTP→ client

A request record is ``{"request_id", "sink", "method", "params"}``, a reply record is
``{"request_id", ...fields}`` or ``{"request_id", "error": {"code", "message"}}``: JSON in UTF-8, at
most `RECORD_BYTES_MAX` bytes. Fields that a reader does not know are ignored.
"""

import re
from typing import Any, NamedTuple

import orjson

RECORD_BYTES_MAX = 64 * 1024
AMOUNT_MAX = 2**53 - 1
"""Money and stock are exact in every JSON reader: IEEE 754 doubles hold integers up to here."""

ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,64}")
"""A request_id, and the id of a user, an order or an item."""

TOPIC_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,249}")
"""A legal Kafka topic name."""

HTTP_STATUS = {
    "bad_request": 400,
    "not_found": 404,
    "insufficient_credit": 409,
    "out_of_stock": 409,
    "already_paid": 409,
    "not_paid": 409,
    "order_empty": 409,
    "checkout_in_progress": 409,
    "idempotency_key_reused": 409,
    "limit_reached": 409,
    "too_large": 413,
    "overloaded": 503,
    "unavailable": 503,
    "timeout": 504,
}
"""The HTTP status of each error code."""


class WireError(ValueError):
    """A record that is not of the contract's form; the message says where."""


class Request(NamedTuple):
    request_id: str
    sink: str
    method: str
    params: dict[str, Any]


def input_topic(service: str) -> str:
    return f"{service}_in"


def reply_topic(gateway_id: str) -> str:
    return f"gateway_out_{gateway_id}"


def encode_request(request: Request) -> bytes:
    request_id, sink, method, params = request
    return encode({"request_id": request_id, "sink": sink, "method": method, "params": params})


def decode_request(record: bytes) -> Request:
    """Raises `WireError` for a record that is not a request."""
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
    return Request(request_id, sink, method, params)


def error(code: str, message: str) -> dict[str, Any]:
    """The body of a failed reply, without its request_id."""
    return {"error": {"code": code, "message": message}}


def encode(fields: dict[str, Any]) -> bytes:
    """Raises `WireError` when the record would be too large."""
    record = orjson.dumps(fields)
    if len(record) > RECORD_BYTES_MAX:
        raise WireError(f"a record of {len(record)} bytes, at most {RECORD_BYTES_MAX} are allowed")
    return record


def decode(record: bytes) -> dict[str, Any]:
    """Raises `WireError` for anything but a JSON object of at most `RECORD_BYTES_MAX` bytes."""
    if len(record) > RECORD_BYTES_MAX:
        raise WireError(f"a record of {len(record)} bytes, at most {RECORD_BYTES_MAX} are allowed")
    try:
        fields = orjson.loads(record)
    except orjson.JSONDecodeError as cause:
        raise WireError(f"not JSON: {cause}") from None
    if not isinstance(fields, dict):
        raise WireError("not a JSON object")
    return fields
