"""The gateway sends records and reads replies here; it, `fate` and `protocol` alone know aiokafka.

It uses aiokafka's client and record codec, not its producer and consumer. A gateway must know the
fate of each record, and aiokafka's producer retries by itself, so its last error does not tell
whether an earlier attempt reached the broker. Here a record is

    acknowledged   in the log of the broker
    not sent       refused, or never written to a connection: the request is answered 503
    unknown        the connection or the broker broke, or no answer came: a reply or the deadline
                   decides

What was on a connection that broke, or a disk, may be lost with its broker. It is sent again while
somebody waits for the reply: a request has one effect, and one reply, however often it comes.

The reader long-polls one partition without pause, which also shows within a second whether the
broker can be reached.
"""

import asyncio
import logging
from asyncio import Future
from collections.abc import Callable, Iterable
from itertools import chain
from time import time_ns
from typing import Any, cast

from aiokafka.admin import NewTopic
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    CorruptRecordException,
    IncompatibleBrokerVersion,
    KafkaError,
    NodeNotReadyError,
    NoError,
    OffsetOutOfRangeError,
    TopicAlreadyExistsError,
    UnsupportedCodecError,
    for_code,
)
from aiokafka.protocol.offset import OffsetRequest
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from system.gateway.errors import StartError
from system.gateway.fate import fate_of
from system.gateway.limits import REPLY_TOPIC
from system.gateway.partitioner import partition
from system.gateway.protocol import READ_UNCOMMITTED, Fetch, Fetched, Produce
from system.gateway.record import Record, Stamps, Target
from system.kafka_admin import kafka_admin
from system.kafka_security import KafkaSecurity
from system.wire import RefusedError

log = logging.getLogger(__name__)

QUEUE_MAX = 16384
"""A connection has at most this many records waiting for its turn; more are refused."""
BATCH_BYTES_MAX = 512 * 1024
"""A produce request has at most this much of a partition's records; a broker takes 1 MiB by
default."""
PRODUCE_REQUESTS_MAX = 1
"""The gateway has at most this many produce requests in flight: while they are, records gather to
larger batches."""
LOADED_REQUESTS = 32
"""So many requests in flight are load: each waits for others, far longer than for a hold."""
HOLD_S = 0.002
"""A batch gathers for this long under load, and so do the replies of a fetch: a request to the
broker costs the same with more records in it, here and there. Timers count whole ms, and begin with
the one that has begun: it is 1 to 2 ms."""
FETCH_BYTES_MAX = 4 * 1024 * 1024
"""A fetch brings at most this much of replies: seconds of load after a pause."""
FETCH_WAIT_MS = 500
"""The broker holds a fetch that has nothing to give for this long; so a lost broker shows within a
second."""
REQUEST_TIMEOUT_MS = 3000
"""A broker that does not answer for this long counts as not reachable."""
CLOSING_S = 0.25
"""TLS connections take this long to close at most: asyncio tells nobody when they have."""
RETRY_S = 0.2
"""This much time passes between tries to reach Kafka."""
BROKERS_DEFAULT = -1
"""This number of copies of a topic stands for what the brokers are configured to make."""

LATEST, EARLIEST = -1, -2
REPLY_PARTITION = 0


class Kafka:
    """`Kafka` reads one reply topic, and writes to the input topics.

    `in_flight()` is the number of requests that wait for a reply. `on_reply(value)` gets each reply
    record, `on_not_sent(request_id, future)` each record that the broker surely does not have,
    `on_fate(name, records)` the fate of each, by topic, and `on_produced(latency_s)` how long Kafka
    took to answer a batch.
    """

    def __init__(
        self,
        bootstrap: str,
        reply_topic: str,
        input_topics: Iterable[str],
        security: KafkaSecurity,
        *,
        in_flight: Callable[[], int],
        on_reply: Callable[[bytes], None],
        on_not_sent: "Callable[[str, Future[Any] | None], None]",
        on_fate: Callable[[str, list[Record]], None],
        on_produced: Callable[[float], None],
    ) -> None:
        self.bootstrap = bootstrap
        self.reachable = False
        """The flag says whether the reader is positioned, and the broker answered its last poll."""
        self.fetched_ns = 0
        """The replies that are being handled came at this time, by the wall clock."""
        self._loop = asyncio.get_running_loop()
        self._options = {
            "bootstrap_servers": bootstrap,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            **security.client_options(),
        }
        self._out = AIOKafkaClient(**self._options)
        self._in = AIOKafkaClient(**self._options)
        self._reply = Target(reply_topic, REPLY_PARTITION)
        self._input_topics = sorted(input_topics)
        self._in_flight = in_flight
        self._on_reply = on_reply
        self._on_not_sent = on_not_sent
        self._on_fate = on_fate
        self._on_produced = on_produced
        self._partitions: dict[str, int] = {}
        self._queue: list[Record] = []
        self._doubtful: list[Record] = []
        """These may be lost, and are sent again after `_again_s`."""
        self._again_s = 0.0
        self._drain_scheduled = False
        self._producing: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None
        self._position = 0

    async def start(self, wait_s: float) -> "asyncio.Task[None]":
        """`start` connects, makes the reply topic, positions the reader at its end, and returns the
        reader.

        It raises `StartError` when Kafka (from 2.3 on) or an input topic is missing after `wait_s`.
        """
        missing = "it does not answer"
        if self._options["security_protocol"] != "PLAINTEXT":
            missing += ", or refuses this client: see KAFKA_SECURITY_PROTOCOL"
        # Never cancelled: a TLS handshake that is would leave its transport open.
        deadline_s = self._loop.time() + wait_s
        while True:
            try:
                missing = await self._connect()
            except IncompatibleBrokerVersion as cause:
                missing = cause.args[0]
            except (KafkaError, TimeoutError, OSError) as cause:
                log.debug("Kafka is not ready: %s", cause)
            if not missing:
                break
            if self._loop.time() + RETRY_S > deadline_s:
                await asyncio.gather(self._out.close(), self._in.close())
                await asyncio.sleep(CLOSING_S)
                raise StartError(f"Kafka at {self.bootstrap}: {missing} after {wait_s:g} s")
            await asyncio.sleep(RETRY_S)
        self.reachable = True
        self._reader = self._loop.create_task(self._read())
        return self._reader

    async def _connect(self) -> str:
        """Returns what is still missing."""
        await self._out.bootstrap()
        await self._in.bootstrap()
        async with kafka_admin(**self._options) as admin:
            existing = set(await admin.list_topics())
            if absent := [topic for topic in self._input_topics if topic not in existing]:
                return f"topics are missing: {', '.join(absent)}"
            if self._reply.topic not in existing:
                (found,) = await admin.describe_topics(self._input_topics[:1])
                if found["error_code"]:  # another broker may not have heard of it yet
                    raise for_code(found["error_code"])(found["topic"])
                copies = len(found["partitions"][0]["replicas"])
                topic = NewTopic(self._reply.topic, 1, copies, topic_configs=REPLY_TOPIC)
                topic.replication_factor = BROKERS_DEFAULT  # which the constructor refuses
                for _, code, *_ in (await admin.create_topics([topic])).topic_errors:
                    if for_code(code) not in (NoError, TopicAlreadyExistsError):
                        return f"topic {self._reply.topic} could not be made: {for_code(code)()}"
        await self._out.set_topics(self._input_topics)
        await self._in.set_topics([self._reply.topic])
        # A second set_topics with the same topics asks nothing: a new leader would stay unknown.
        await asyncio.gather(self._out.force_metadata_update(), self._in.force_metadata_update())
        for topic in self._input_topics:
            partitions = self._out.cluster.partitions_for_topic(topic)
            if not partitions:
                return f"topic {topic} has no leader yet"
            self._partitions[topic] = len(partitions)
        if self._in.cluster.partitions_for_topic(self._reply.topic) != {REPLY_PARTITION}:
            return f"topic {self._reply.topic} has not exactly one partition"
        self._position = await self._offset(LATEST)
        await self._fetch(wait_ms=0)  # which a Kafka that is too old refuses
        return ""

    async def stop(self) -> None:
        """`stop` sends what is queued, then closes the connections."""
        while self._producing or self._queue:
            self._drain()
            if self._producing:
                await asyncio.wait(self._producing)
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.wait((self._reader,))
        self.reachable = False
        await self._out.close()
        await self._in.close()

    # ---- out

    def send(
        self,
        topic: str,
        key: str,
        value: bytes,
        request_id: str,
        future: "Future[Any] | None" = None,
        stamps: Stamps | None = None,
    ) -> None:
        """`send` queues a record for the batch of this turn of the event loop. It raises
        `RefusedError`.

        A traced request gets the stamp `produced` when its batch goes to the connection.
        """
        if not self.reachable:
            raise RefusedError("unavailable", "Kafka is not reachable", request_id)
        if len(self._queue) >= QUEUE_MAX:
            raise RefusedError("unavailable", "Kafka is too slow", request_id)
        raw_key = key.encode()
        target = Target(topic, partition(raw_key, self._partitions[topic]))
        self._queue.append(Record(target, raw_key, value, request_id, future, stamps))
        if not self._drain_scheduled and len(self._producing) < PRODUCE_REQUESTS_MAX:
            self._schedule_drain()

    def _schedule_drain(self) -> None:
        self._drain_scheduled = True
        if self._in_flight() < LOADED_REQUESTS:
            self._loop.call_soon(self._drain)
        else:
            self._loop.call_later(HOLD_S, self._drain)

    def _drain(self) -> None:
        self._drain_scheduled = False
        queue, self._queue = self._queue, []
        leaders: dict[int, dict[Target, list[Record]]] = {}
        for record in queue:
            node = self._out.cluster.leader_for_partition(record.target)
            if node is None or node < 0:
                self._not_sent([record])
                self._out.force_metadata_update()
            else:
                leaders.setdefault(node, {}).setdefault(record.target, []).append(record)
        for node, batches in leaders.items():
            task = self._loop.create_task(self._produce(node, batches))
            self._producing.add(task)
            task.add_done_callback(self._produced)

    def _produced(self, task: "asyncio.Task[None]") -> None:
        self._producing.discard(task)
        task.result()
        if self._queue and not self._drain_scheduled:
            self._schedule_drain()

    async def _produce(self, node: int, batches: dict[Target, list[Record]]) -> None:
        topics: dict[str, list[tuple[int, bytes]]] = {}
        for target, records in batches.items():
            batch = DefaultRecordBatchBuilder(2, 0, 0, -1, -1, 0, BATCH_BYTES_MAX)
            for at, record in enumerate(records):
                if batch.append(at, None, record.key, record.value, []) is None:
                    self._queue.extend(records[at:])
                    del records[at:]
                    break
            topics.setdefault(target.topic, []).append((target.partition, bytes(batch.build())))
        request = Produce(topics, timeout_ms=REQUEST_TIMEOUT_MS)
        # Before the writing, so never after the moment at which a service has the record.
        for record in chain.from_iterable(batches.values()):
            if record.stamps is not None:
                record.stamps.append(("produced", time_ns()))
        sent_s = self._loop.time()
        try:
            produced = await self._out.send(node, request)
        except (NodeNotReadyError, IncompatibleBrokerVersion) as cause:  # nothing is written yet
            self._lost(str(cause))
            for records in batches.values():
                self._not_sent(records)
            return
        except KafkaError as cause:
            self._lost(str(cause))
            for records in batches.values():
                self._in_doubt(records)
            return
        self._on_produced(self._loop.time() - sent_s)
        for topic, index, code in produced.codes:
            records = batches[Target(topic, index)]
            fate = fate_of(code)
            if fate == "acknowledged" or fate == "unknown":
                self._tell(fate, records)
                continue
            (self._in_doubt if fate == "in_doubt" else self._not_sent)(records)
            log.warning("Kafka took no records for %s: %s", topic, for_code(code).__name__)
            self._out.force_metadata_update()

    def _in_doubt(self, records: list[Record]) -> None:
        self._tell("unknown", records)
        waiting = [record for record in records if record.future is not None]
        self._doubtful += [record._replace(is_again=True) for record in waiting]

    def _not_sent(self, records: list[Record]) -> None:
        self._tell("not_sent", records)
        for record in records:
            if record.is_again:
                self._doubtful.append(record)
            else:
                self._on_not_sent(record.request_id, record.future)

    def _tell(self, fate: str, records: list[Record]) -> None:
        if fresh := [record for record in records if not record.is_again]:
            self._on_fate(fate, fresh)

    def _send_again(self) -> None:
        self._queue += [each for each in self._doubtful if each.future and not each.future.done()]
        self._doubtful.clear()
        if self._queue and not (self._drain_scheduled or self._producing):
            self._schedule_drain()

    # ---- in

    async def _read(self) -> None:
        while True:
            try:
                await self._poll()
            except (KafkaError, TimeoutError, OSError) as cause:
                self._lost(str(cause) or type(cause).__name__)
                self._in.force_metadata_update()
                await asyncio.sleep(RETRY_S)
                continue
            if not self.reachable:
                log.warning("Kafka at %s is reachable again", self.bootstrap)
                self._out.force_metadata_update()
                self.reachable = True
            if self._doubtful and self._loop.time() > self._again_s:
                self._again_s = self._loop.time() + RETRY_S
                self._send_again()

    async def _poll(self) -> None:
        fetched = await self._fetch(FETCH_WAIT_MS)
        if (error := for_code(fetched.code)) is OffsetOutOfRangeError:
            self._position = await self._offset(EARLIEST)
            log.warning("%s lost records: reading on at %d", self._reply.topic, self._position)
        elif error is not NoError:
            raise error()
        elif fetched.records is None:
            await asyncio.sleep(max(RETRY_S, fetched.throttle_ms / 1000))
        elif fetched.records:
            self._take(fetched.records)
            if self._in_flight() >= LOADED_REQUESTS:
                await asyncio.sleep(HOLD_S)

    async def _fetch(self, wait_ms: int) -> Fetched:
        topic, part = self._reply
        fetch = Fetch(topic, part, self._position, wait_ms=wait_ms, bytes_max=FETCH_BYTES_MAX)
        return cast(Fetched, await self._in.send(self._leader(), fetch))

    def _take(self, data: bytes) -> None:
        self.fetched_ns = time_ns()
        batches = MemoryRecords(data)
        while batches.has_next():
            batch = batches.next_batch()
            try:
                for record in () if batch.is_control_batch else batch:
                    if record.offset >= self._position:
                        self._on_reply(record.value or b"")
            except (UnsupportedCodecError, CorruptRecordException):  # nobody's reply can be read
                self._on_reply(b"")
            self._position = batch.next_offset

    async def _offset(self, which: int) -> int:
        wanted = [(self._reply.topic, [(self._reply.partition, which)])]
        response = await self._in.send(self._leader(), OffsetRequest(-1, READ_UNCOMMITTED, wanted))
        _, code, *_, offset = response.topics[0][1][0]
        if for_code(code) is not NoError:
            raise for_code(code)()
        return int(offset)

    def _leader(self) -> int:
        node = self._in.cluster.leader_for_partition(self._reply)
        if node is None or node < 0:
            raise NodeNotReadyError(f"{self._reply.topic} has no leader")
        return int(node)

    def _lost(self, why: str) -> None:
        if self.reachable:
            log.warning("Kafka at %s is not reachable: %s", self.bootstrap, why)
            self.reachable = False
