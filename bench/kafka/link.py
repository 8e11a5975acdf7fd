"""Records go into Kafka's topics and out of them here; in the bench this alone knows aiokafka."""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.errors import KafkaError, for_code

from bench.errors import BenchError
from system.kafka_admin import kafka_admin
from system.kafka_security import KafkaSecurity

REQUEST_TIMEOUT_MS = 5_000
"""A broker that does not answer for so long counts as not reachable."""
FETCH_WAIT_MS = 500
"""A fetch that has nothing to give ends after this long; records end it at once."""


class Record(NamedTuple):
    value: bytes
    at_ns: int
    """The record was read at this time."""
    logged_ms: int
    """It was written at this time, in ms since 1970: by the broker's clock, where its topic is one
    of the services', by the writer's otherwise."""


OnRecord = Callable[[Record], None]


class KafkaLink:
    """A link is a producer, and a consumer for each topic that is followed. It is a context
    manager.

    It raises `BenchError` when Kafka does not answer.
    """

    def __init__(self, bootstrap: str) -> None:
        self._bootstrap = bootstrap
        self._options = {
            "bootstrap_servers": bootstrap,
            "request_timeout_ms": REQUEST_TIMEOUT_MS,
            **KafkaSecurity.read().client_options(),
        }
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # each failure is raised as well

    async def __aenter__(self) -> Self:
        # As the gateway asks: all copies have a record before it counts as written.
        self._producer = AIOKafkaProducer(acks="all", **self._options)
        try:
            await self._producer.start()
        except (KafkaError, ValueError, OverflowError):  # the last two: no address at all
            await self._producer.stop()
            raise BenchError(f"Kafka at {self._bootstrap} does not answer") from None
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._producer.stop()

    async def produce(self, topic: str, value: bytes, key: str | None = None) -> None:
        """`produce` returns when the broker has it. Records with a key go where Kafka's own clients
        put them, those without one to the first partition."""
        place = {"partition": 0} if key is None else {"key": key.encode()}
        try:
            await self._producer.send_and_wait(topic, value, **place)
        except KafkaError as cause:
            raise self._error(cause) from None

    async def begin(self, topic: str, value: bytes, key: str) -> "asyncio.Future[object]":
        """`begin` puts a record into the next batch, and returns what is done when the broker has
        it, or fails with a `KafkaError`."""
        try:
            future: asyncio.Future[object] = await self._producer.send(
                topic, value, key=key.encode()
            )
        except KafkaError as cause:
            raise self._error(cause) from None
        return future

    @asynccontextmanager
    async def following(self, topic: str, on_record: OnRecord) -> AsyncIterator[None]:
        """`following` hands over each record that is written to the topic from now on."""
        consumer = AIOKafkaConsumer(**self._options)
        try:
            await consumer.start()
            await self._seek_to_end(consumer, topic)
            reader = asyncio.create_task(_read(consumer, on_record))
            try:
                yield
            finally:
                reader.cancel()
                await asyncio.wait((reader,))
            if not reader.cancelled():
                reader.result()  # it ends by an error only
        except KafkaError as cause:
            raise self._error(cause) from None
        finally:
            await consumer.stop()

    @asynccontextmanager
    async def own_topic(self, name: str | None = None) -> AsyncIterator[str]:
        """`own_topic` yields a new topic of one partition, removed at the end."""
        name = name or f"probe_{uuid.uuid4().hex[:12]}"
        try:
            async with kafka_admin(**self._options) as admin:
                made = await admin.create_topics([NewTopic(name, 1, 1)])
            for _, code, *_ in made.topic_errors:
                if code:
                    raise for_code(code)(name)
            try:
                yield name
            finally:
                async with kafka_admin(**self._options) as admin:
                    await admin.delete_topics([name])
        except KafkaError as cause:
            raise self._error(cause) from None

    async def _seek_to_end(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        partitions = await self._producer.partitions_for(topic)
        consumer.assign([TopicPartition(topic, partition) for partition in partitions])
        for target, end in (await consumer.end_offsets(consumer.assignment())).items():
            consumer.seek(target, end)

    def _error(self, cause: Exception) -> BenchError:
        return BenchError(f"Kafka at {self._bootstrap}: {str(cause) or type(cause).__name__}")


async def _read(consumer: AIOKafkaConsumer, on_record: OnRecord) -> None:
    while True:
        fetched = await consumer.getmany(timeout_ms=FETCH_WAIT_MS)
        at_ns = time.monotonic_ns()
        for records in fetched.values():
            for record in records:
                on_record(Record(record.value or b"", at_ns, record.timestamp))
