"""The gateway's every limit is here, and is an option of ``python -m system.gateway``."""

from dataclasses import dataclass, field, fields
from math import inf
from typing import Any

from system.wire import OF_THE_LOG, TIMEOUT_S, TIMES

REPLY_TOPIC = {
    "retention.ms": str(10 * 60 * 1000),
    "segment.bytes": str(16 * 1024 * 1024),
    "compression.type": "producer",
    TIMES: OF_THE_LOG,
}
"""A reply topic keeps records for ten minutes, as replies are of use for seconds; Kafka removes
whole segments only. The services send them as they are, and brokers leave them so."""


def _limit(default: float, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Limits:
    timeout_s: float = _limit(
        TIMEOUT_S,
        "A request that has no reply by then is a 504. The job must know of another one (its own "
        "--timeout-s): a checkout that takes too long begins to be undone before",
    )
    in_flight_max: int = _limit(
        4096,
        "So many requests may wait for a reply; more are a 503. Some thousand are seconds of "
        "work: waiting longer helps nobody",
    )
    waiters_max: int = _limit(
        8,
        "So many HTTP requests may wait for the reply of one Idempotency-Key; more are a 503",
    )
    remembered_max: int = _limit(
        65536,
        "So many request ids are remembered at most, to tell late and duplicate replies from "
        "unknown ones",
    )
    remembered_s: float = _limit(
        120.0,
        "Request ids are remembered for this long: far longer than a reply can be on its way "
        "without a crash",
    )
    connections_max: int = _limit(
        4096,
        "So many connections may be open. One more takes the place of the first that has "
        "asked nothing for a second, or else of the one that has waited longest for its client, "
        "and is a 503 where none has. It is below the usual limit of open files",
    )
    pipelined_max: int = _limit(
        8,
        "So many requests of one connection are read ahead, while an earlier one is "
        "answered. Clients that pipeline are rare, and each may hold as much memory as its "
        "requests are large",
    )
    line_bytes_max: int = _limit(
        8190,
        "The target of a request and the value of each header have at most this many bytes; more "
        "is a 431. It is aiohttp's default",
    )
    head_bytes_max: int = _limit(
        32768,
        "Request line and headers together have at most this many bytes, while they are not whole; "
        "more is a 431, or ends the connection after the answer to the request before. It is four "
        "times what browsers send at most",
    )
    headers_max: int = _limit(64, "A request has at most this many headers; more are a 431")
    body_bytes_max: int = _limit(
        4096, "A request's body has at most this many bytes; more is a 413. No route needs one"
    )
    receive_s: float = _limit(
        10.0,
        "A request must have arrived by then, or is a 400: a slow sender must not hold a "
        "connection",
    )
    send_s: float = _limit(
        10.0,
        "A client must have taken its answer by then, or its connection is closed: it must not "
        "hold memory for ever",
    )
    idle_s: float = _limit(
        75.0,
        "An idle connection is closed then. It is longer than the 60 s of common load "
        "balancers, so that they close first",
    )
    linger_s: float = _limit(
        1.0,
        "The rest of a refused body is read for this long, so that the client sees the answer",
    )
    retry_after_s: int = _limit(1, "Each 503 has this Retry-After")
    drain_s: float = _limit(
        10.0,
        "Requests in flight may finish in this time after SIGTERM, or in a second more than their "
        "own timeout where that is longer",
    )
    kafka_wait_s: float = _limit(
        30.0,
        "A start waits this long for Kafka and its topics: they may be started together",
    )

    def __post_init__(self) -> None:
        for limit in fields(self):
            if not 0 < getattr(self, limit.name) < inf:
                raise ValueError(f"{limit.name} must be greater than 0, and finite")
