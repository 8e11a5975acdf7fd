"""Every limit of the gateway. Each is an option of ``python -m system.gateway``."""

from dataclasses import dataclass, field, fields
from typing import Any


def _limit(default: float, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Limits:
    timeout_s: float = _limit(
        5.0,
        "A request without a reply is then a 504. Longer than a checkout takes to time "
        "out and say so",
    )
    in_flight_max: int = _limit(
        4096,
        "Requests that wait for a reply; more are a 503. Some thousand are seconds of "
        "work: waiting longer helps nobody",
    )
    waiters_max: int = _limit(
        8,
        "HTTP requests that wait for the reply of one Idempotency-Key; more are a 503",
    )
    remembered_max: int = _limit(
        65536,
        "Request ids remembered to tell late and duplicate replies from unknown ones",
    )
    remembered_s: float = _limit(
        120.0,
        "How long they are remembered: far longer than a reply can be on its way without a crash",
    )
    connections_max: int = _limit(
        4096,
        "Open connections. One more takes the place of those that have waited longest for their "
        "clients, and is a 503 where none has. Below the usual limit of open files",
    )
    pipelined_max: int = _limit(
        8,
        "Requests read ahead of one connection, while an earlier one is answered. Clients that "
        "pipeline are rare, and each may hold as much memory as its requests are large",
    )
    line_bytes_max: int = _limit(
        8190,
        "The request line, and each header; more is a 431. aiohttp's default",
    )
    head_bytes_max: int = _limit(
        32768,
        "Of request line and headers together, while they are not whole; more is a 431. "
        "Four times what browsers send at most",
    )
    headers_max: int = _limit(64, "Headers of a request; more are a 431")
    body_bytes_max: int = _limit(4096, "Of a request's body; more is a 413. No route needs one")
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
        "An idle connection is closed then. Longer than the 60 s of common load "
        "balancers, so that they close first",
    )
    linger_s: float = _limit(
        1.0,
        "How long the rest of a refused body is read, so that the client sees the answer",
    )
    retry_after_s: int = _limit(1, "Retry-After of each 503")
    drain_s: float = _limit(
        10.0,
        "Requests in flight may finish in this time after SIGTERM. Longer than their own timeout",
    )
    kafka_wait_s: float = _limit(
        30.0,
        "How long a start waits for Kafka and its topics: they may be started together",
    )

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) <= 0:
                raise ValueError(f"{limit.name} must be greater than 0")
