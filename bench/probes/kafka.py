"""The probe of Kafka does without the gateway: a topic alone, a service asked by its topics."""

import asyncio
from collections import Counter
from contextlib import suppress
from time import monotonic_ns
from uuid import uuid4

from bench.kafka.link import KafkaLink, Record
from bench.probes.probe import WARM_UP_S, Found, Result, latencies
from bench.probes.sender import LEAD_NS, clock
from bench.probes.target import Control, Target
from bench.stats.quantiles import percentile_ms
from bench.workload.arrivals import Schedule, Stage, intended_ns
from system.wire import Request, decode, encode, encode_request, input_topic

KAFKA_PER_S = 100.0
"""The probe sends at this rate: half of the records to a topic of its own, half to the service."""
REPLY_WAIT_S = 10.0
"""A record that has not come by then is lost; on a machine that keeps time it takes some ms."""
TOPIC, SERVICE = "topic", "service"


class Trips:
    """Trips are records on their way, each known by its request_id, which is also its echo_id."""

    def __init__(self) -> None:
        self._begun: dict[str, tuple[str, int]] = {}
        self._done_ns: dict[str, int] = {}
        self._wrong: Counter[str] = Counter()
        self._all_back = asyncio.Event()

    def begin(self, request_id: str, kind: str, at_ns: int) -> None:
        self._begun[request_id] = (kind, at_ns)
        self._all_back.clear()

    def take(self, record: Record) -> None:
        fields = decode(record.value)
        request_id = fields.get("request_id", "")
        if request_id not in self._begun:
            self._wrong["were never asked for"] += 1
        elif request_id in self._done_ns:
            self._wrong["came twice"] += 1
        else:
            self._done_ns[request_id] = record.at_ns
            if fields.get("echo_id") != request_id:
                self._wrong["are not the reply to their request"] += 1
            if len(self._done_ns) == len(self._begun):
                self._all_back.set()

    async def back(self) -> None:
        """`back` waits for all of them, but no longer than makes sense."""
        with suppress(TimeoutError):
            async with asyncio.timeout(REPLY_WAIT_S):
                await self._all_back.wait()

    def result(self, control: Control) -> Result:
        """The result knows nothing of the service where Kafka alone lost records."""
        sent = {kind: self._of(kind) for kind in (TOPIC, SERVICE)}
        found = Found([f"{count:,} records {what}" for what, count in self._wrong.items()], [])
        for kind, what in (
            (TOPIC, "records did not come back"),
            (SERVICE, "requests had no reply"),
        ):
            lost = len(sent[kind].keys() - self._done_ns.keys())
            if lost:
                line = f"{lost:,} of {len(sent[kind]):,} {what} in {REPLY_WAIT_S:g} s"
                is_control = kind == TOPIC or bool(found.unknown)
                (found.unknown if is_control else found.reasons).append(line)
        begin_ns = min((at_ns for _, at_ns in self._begun.values()), default=0)
        measured = {
            kind: [
                self._done_ns[request_id] - at_ns
                for request_id, at_ns in begun.items()
                if request_id in self._done_ns and at_ns >= begin_ns + WARM_UP_S * 1e9
            ]
            for kind, begun in sent.items()
        }
        figures = {
            f"{kind}_p{percent}_ms": percentile_ms(values, percent)
            for kind, values in measured.items()
            if values
            for percent in (50, 99)
        }
        if all(measured.values()):  # Flink, with its own reading from Kafka and writing to it
            more_ms = figures["service_p50_ms"] - figures["topic_p50_ms"]
            figures["service_beyond_topic_p50_ms"] = round(more_ms, 3)
        timed = latencies(("200", latency_ns) for latency_ns in measured[SERVICE])
        return found.result("kafka", control, len(self._begun), timed, figures)

    def _of(self, kind: str) -> dict[str, int]:
        return {id_: at_ns for id_, (of_kind, at_ns) in self._begun.items() if of_kind == kind}


async def kafka(target: Target) -> Result:
    """`kafka` sends both kinds in turn, so that they meet the same conditions."""
    assert target.kafka is not None
    trips, kinds = Trips(), 0
    schedule = Schedule((Stage(KAFKA_PER_S, KAFKA_PER_S, target.options.duration_s),))
    async with (
        KafkaLink(target.kafka) as link,
        link.own_topic() as own,
        link.following(own, trips.take),
        asyncio.TaskGroup() as group,
    ):
        due_ns = intended_ns(schedule, target.options.seed) + monotonic_ns() + LEAD_NS
        async for at_ns in clock(due_ns):
            request_id, kind = f"probe-{uuid4().hex}", (TOPIC, SERVICE)[kinds % 2]
            kinds += 1
            trips.begin(request_id, kind, at_ns)
            group.create_task(_send(link, kind, own, request_id))
        await trips.back()
    return trips.result(target.control)


async def _send(link: KafkaLink, kind: str, own: str, request_id: str) -> None:
    params = {"echo_id": request_id}
    if kind == TOPIC:
        await link.produce(own, encode({"request_id": request_id, **params}))
    else:
        record = encode_request(Request(request_id, own, "echo", params))
        await link.produce(input_topic("echo"), record, key=request_id)
