"""Every limit of the gateway. Each is an option of ``python -m system.gateway``."""

from dataclasses import dataclass, field, fields
from typing import Any


def _limit(default: float, text: str) -> Any:
    return field(default=default, metadata={"help": text})


@dataclass(frozen=True, slots=True)
class Limits:
    timeout_s: float = _limit(5.0, "a request without a reply is answered 504 after this time")
    in_flight_max: int = _limit(4096, "requests waiting for a reply; more are answered 503")
    waiters_max: int = _limit(8, "HTTP requests waiting for the reply of one Idempotency-Key")
    remembered_max: int = _limit(65536, "request_ids remembered to name duplicate and late replies")
    remembered_s: float = _limit(120.0, "how long they are remembered at most")
    connections_max: int = _limit(4096, "open HTTP connections; more are answered 503 and closed")
    line_bytes_max: int = _limit(8190, "bytes of the request line, and of each header; more is 431")
    headers_max: int = _limit(64, "headers of a request; more is 431")
    body_bytes_max: int = _limit(4096, "bytes of a request's body; more is 413")
    receive_s: float = _limit(10.0, "a request must have arrived in this time, or is answered 400")
    idle_s: float = _limit(75.0, "an idle connection is closed after this time")
    linger_s: float = _limit(1.0, "how long the rest of a refused body is read before closing")
    retry_after_s: int = _limit(1, "Retry-After of a 503")
    drain_s: float = _limit(10.0, "requests in flight may finish in this time after SIGTERM")
    kafka_wait_s: float = _limit(30.0, "how long to wait for Kafka and its topics at start")

    def __post_init__(self) -> None:
        for limit in fields(self):
            if getattr(self, limit.name) <= 0:
                raise ValueError(f"{limit.name} must be greater than 0")
