"""Probes follow requests of the service echo: by HTTP, in its topic, to their reply."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import count
from uuid import uuid4

from bench.kafka.link import Record
from bench.records.gateway_counts import Metrics
from bench.workload.journey import Call
from system.wire import Request, WireError, decode_request, encode, input_topic

SEEN_WAIT_S = 10.0
"""A request over HTTP may take so long to its record in Kafka; it takes some ms where a machine
keeps time."""

ECHO_TOPIC = input_topic("echo")


def echoes() -> Iterator[Call]:
    """`echoes` yields calls, each with an id of its own, so that an answer tells which request it
    is for."""
    return _numbered("echo")


def silences() -> Iterator[Call]:
    return _numbered("silence")


def _numbered(method: str) -> Iterator[Call]:
    series = uuid4().hex[:12]
    return (Call(method, "GET", f"/{method}/{series}-{number}") for number in count())


class Seen:
    """The service's topic has these request records, by echo_id."""

    def __init__(self) -> None:
        self.requests: dict[str, Request] = {}
        self._came = asyncio.Event()

    def take(self, record: Record) -> None:
        try:
            request = decode_request(record.value)
        except WireError:
            return
        self.requests[str(request.params.get("echo_id"))] = request
        self._came.set()

    def of(self, paths: Iterable[str]) -> list[Request]:
        """`of` returns the requests of these paths, as far as they came."""
        ids = map(echo_id_of, paths)
        return [self.requests[echo_id] for echo_id in ids if echo_id in self.requests]

    async def missing(self, echo_ids: Iterable[str]) -> list[str]:
        """`missing` waits for these requests; it returns a reason where some do not come."""
        wanted = set(echo_ids)
        with suppress(TimeoutError):
            async with asyncio.timeout(SEEN_WAIT_S):
                while not wanted <= self.requests.keys():
                    self._came.clear()
                    await self._came.wait()
        lost = len(wanted - self.requests.keys())
        return [f"{lost:,} of {len(wanted):,} requests did not come to {ECHO_TOPIC}"] * bool(lost)


def echo_id_of(path: str) -> str:
    return path.rpartition("/")[2]


def reply(request_id: str, echo_id: str) -> bytes:
    return encode({"request_id": request_id, "echo_id": echo_id})


def miscounted(risen: Metrics | None, sent: Mapping[str, int]) -> list[str]:
    """`miscounted` returns reasons: replies that the gateway does not count under their own names,
    exactly."""
    if risen is None:
        return ["the gateway was started anew: its counts are lost"]
    names = ("matched", "late", "duplicate", "unknown", "malformed")
    return [
        f"{name} replies: {sent.get(name, 0):,} were sent, {risen.replies[name]:,} counted"
        for name in names
        if risen.replies[name] != sent.get(name, 0)
    ]
