"""Answers, counts and requests made up for the tests of the probes."""

from collections import Counter

from bench.probes.sender import Answer
from bench.probes.target import Options, Target
from bench.records.gateway_counts import Metrics
from bench.records.request_log import Row
from system.wire import Request

TARGET = Target("http://here:1", "here:2", Options(timeout_s=1.0, in_flight_max=32))
MS = 1_000_000


def answer(
    status: int = 200,
    echo_id: str = "e",
    got: str | None = None,
    after_ms: float = 1.0,
    sent_ns: int = 0,
    request_id: str | None = None,
    code: str | None = None,
    retry_after: str | None = None,
) -> Answer:
    """An answer to GET /echo/{echo_id}, by default the right one."""
    body: dict[str, object] = {"request_id": request_id or f"id-{echo_id}"}
    if status == 200:
        body["echo_id"] = got or echo_id
    else:
        codes = {503: "overloaded", 504: "timeout", 0: "connection"}
        body["error"] = {"code": code or codes[status], "message": ""}
    path, done_ns = f"/echo/{echo_id}", sent_ns + round(after_ms * MS)
    return Answer(Row("echo", path, None, sent_ns, done_ns, status, body), sent_ns, retry_after)


def rows(*answers: Answer) -> list[Row]:
    return [one.row for one in answers]


def counted(responses: int = 0, timeouts: int = 0, in_flight: int = 0, **replies: int) -> Metrics:
    return Metrics(
        responses=responses,
        replies=Counter(replies),
        records=Counter(acknowledged=replies.get("matched", 0) + timeouts),
        timeouts=timeouts,
        in_flight=in_flight,
        workers=frozenset({"gw"}),
    )


def request(echo_id: str, sink: str = "gateway_out_a") -> Request:
    return Request(f"id-{echo_id}", sink, "silence", {"echo_id": echo_id})
