"""The probe of replies that nobody waits for: late, duplicate and unknown ones, put into the topic.

The requests are read from the service's topic, as the service does: they name their reply topic.
"""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import cycle, islice
from random import Random
from uuid import uuid4

from bench.observe.gateway import Metrics
from bench.probes.http import echoes, silences
from bench.probes.kafka_link import KafkaLink, Record
from bench.probes.probe import Found, Result, Target, crossed, latencies, unlike
from bench.probes.sender import Answer, Sender
from system.wire import Request, WireError, decode_request, encode, input_topic

LATE, DUPLICATE, UNKNOWN = 17, 13, 11
"""Of each, as many as of no other: kinds that are mixed up show in the counts."""
WAITING = 8
"""Requests that are under way meanwhile, and must not be answered."""
BESIDE_PER_S = 100.0
"""Requests that are answered meanwhile."""
BESIDE_S_MAX = 2.0
"""Of the requests beside the injected replies."""
SEEN_WAIT_S = 10.0
"""From a request over HTTP to its record in Kafka; it takes some ms where a machine keeps time."""

ECHO_TOPIC = input_topic("echo")


class Seen:
    """The request records in the service's topic, by echo_id."""

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

    def of(self, answers: Iterable[Answer]) -> list[Request]:
        """Their requests, as far as they came."""
        ids = (echo_id_of(answer.row.path) for answer in answers)
        return [self.requests[echo_id] for echo_id in ids if echo_id in self.requests]

    async def missing(self, echo_ids: Iterable[str]) -> list[str]:
        """Waits for these requests; returns a reason where some do not come."""
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
    """Reasons: replies that the gateway does not count under their own names, exactly."""
    if risen is None:
        return ["the gateway was started anew: its counts are lost"]
    names = ("matched", "late", "duplicate", "unknown", "malformed")
    return [
        f"{name} replies: {sent.get(name, 0):,} were sent, {risen.replies[name]:,} counted"
        for name in names
        if risen.replies[name] != sent.get(name, 0)
    ]


async def replies(target: Target) -> Result:
    assert target.kafka is not None
    seen = Seen()
    silent, spoken = silences(), echoes()
    async with (
        Sender(target) as sender,
        KafkaLink(target.kafka) as link,
        link.following(ECHO_TOPIC, seen.take),
    ):
        answered = await sender.ask_all(islice(spoken, DUPLICATE))
        timed_out = await sender.ask_all(islice(silent, LATE))
        waiting = list(islice(silent, WAITING))
        unanswered = asyncio.create_task(sender.ask_all(waiting))
        ids = [echo_id_of(answer.row.path) for answer in answered + timed_out]
        missing = await seen.missing(ids + [echo_id_of(call.path) for call in waiting])

        beside_s = min(BESIDE_S_MAX, target.options.duration_s)
        beside = asyncio.create_task(sender.pace(spoken, BESIDE_PER_S, beside_s))
        late, duplicate = seen.of(timed_out), seen.of(answered)
        for sink, record in strays(late, duplicate, Random(target.options.seed)):
            await link.produce(sink, record)
        meanwhile = await beside
        timed_out += await unanswered
        answered += [*meanwhile, await sender.ask(next(spoken))]  # its reply comes after all others
        await sender.counted(len(late) + len(duplicate) + UNKNOWN + len(answered))
        risen = await sender.settled()
    sent = {
        "matched": len(answered),
        "late": len(late),
        "duplicate": len(duplicate),
        "unknown": UNKNOWN,
    }
    found = Found(
        [
            *unlike([answer.row for answer in timed_out], 504),
            *crossed(sender.rows),
            *missing,
            *miscounted(risen, sent),
            *sender.faults(risen),
        ],
        sender.unsent,
    )
    found.timed(unlike([answer.row for answer in answered], 200), target.control)
    timed = latencies(answer.timed for answer in meanwhile)
    return found.result("replies", target.control, len(sender.rows), timed, sent)


def strays(
    late: Sequence[Request], duplicate: Sequence[Request], random: Random
) -> list[tuple[str, bytes]]:
    """(topic, record) in any order; what the records carry belongs to no request."""
    known = [(request.sink, request.request_id) for request in [*late, *duplicate]]
    sinks = sorted({sink for sink, _ in known})
    unknown = [(sink, f"probe-{uuid4().hex}") for sink in islice(cycle(sinks), UNKNOWN)]
    records = [(sink, reply(request_id, "stray")) for sink, request_id in known + unknown]
    random.shuffle(records)
    return records
