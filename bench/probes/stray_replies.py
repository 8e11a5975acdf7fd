"""Stray replies are late, duplicate and unknown ones: the probe puts them into the topic.

The requests are read from the service's topic, as the service does: they name their reply topic.
"""

import asyncio
from collections.abc import Sequence
from itertools import cycle, islice
from random import Random
from uuid import uuid4

from bench.kafka.link import KafkaLink
from bench.probes.echo_requests import (
    ECHO_TOPIC,
    Seen,
    echo_id_of,
    echoes,
    miscounted,
    reply,
    silences,
)
from bench.probes.probe import Found, Result, crossed, latencies, unlike
from bench.probes.sender import Sender, paths
from bench.probes.target import Target
from system.wire import Request

LATE, DUPLICATE, UNKNOWN = 17, 13, 11
"""The kinds have different numbers: those that are mixed up show in the counts."""
WAITING = 8
"""So many requests are under way meanwhile, and must not be answered."""
BESIDE_PER_S = 100.0
"""So many requests a second are answered meanwhile."""
BESIDE_S_MAX = 2.0
"""The requests beside the injected replies take at most this long."""


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
        ids = list(map(echo_id_of, paths(answered + timed_out)))
        missing = await seen.missing(ids + [echo_id_of(call.path) for call in waiting])

        beside_s = min(BESIDE_S_MAX, target.options.duration_s)
        beside = asyncio.create_task(sender.pace(spoken, BESIDE_PER_S, beside_s))
        late, duplicate = seen.of(paths(timed_out)), seen.of(paths(answered))
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
    """`strays` returns (topic, record) in any order; what the records carry belongs to no
    request."""
    known = [(request.sink, request.request_id) for request in [*late, *duplicate]]
    sinks = sorted({sink for sink, _ in known})
    unknown = [(sink, f"probe-{uuid4().hex}") for sink in islice(cycle(sinks), UNKNOWN)]
    records = [(sink, reply(request_id, "stray")) for sink, request_id in known + unknown]
    random.shuffle(records)
    return records
