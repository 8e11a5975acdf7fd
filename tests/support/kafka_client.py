"""A plain Kafka client with a reply topic of its own, as anybody may write one."""

import asyncio
import uuid
from types import TracebackType
from typing import Any, Self

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import NewTopic

from system.kafka_admin import kafka_admin

WAIT_S = 60
"""Ends a test that hangs."""
POLL_S = 0.1


class KafkaClient:
    """A context manager; the reply topic is made before, and deleted after."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.sink = f"test-{uuid.uuid4().hex}"
        self._bootstrap = bootstrap_servers
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers, linger_ms=0)
        self._replies: dict[Any, dict[str, Any]] = {}

    async def __aenter__(self) -> Self:
        await self.create(self.sink)
        await self._producer.start()
        self._consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await self._consumer.start()
        self._consumer.assign([TopicPartition(self.sink, 0)])
        await self._consumer.seek_to_beginning()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._producer.stop()
        await self._consumer.stop()
        await self.delete(self.sink)

    async def create(self, topic: str) -> None:
        async with kafka_admin(bootstrap_servers=self._bootstrap) as admin:
            await admin.create_topics([NewTopic(topic, 1, 1)])

    async def delete(self, topic: str) -> None:
        async with kafka_admin(bootstrap_servers=self._bootstrap) as admin:
            await admin.delete_topics([topic])

    async def produce(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        partition: int | None = None,
        headers: list[tuple[str, bytes]] | None = None,
    ) -> None:
        sent = {"key": key, "partition": partition, "headers": headers}
        await self._producer.send_and_wait(topic, value, **sent)

    async def produce_all(self, records: list[tuple[str, bytes | None, bytes | None]]) -> None:
        """Of topic, key and value; returns when the broker has them all."""
        sent = [await self._producer.send(topic, value, key=key) for topic, key, value in records]
        await asyncio.gather(*sent)

    async def reply(self, request_id: object) -> dict[str, Any]:
        """The reply with this id; others are kept for who asks for them."""
        async with asyncio.timeout(WAIT_S):
            while request_id not in self._replies:
                record = await self._consumer.getone()
                fields = orjson.loads(record.value)
                self._replies[fields["request_id"]] = fields
        return self._replies.pop(request_id)

    async def read_until(self, topic: str, value: bytes) -> list[Any]:
        """All records of a topic, as soon as one with this value is among them."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await self.read(topic)
                if any(record.value == value for record in found):
                    return found
                await asyncio.sleep(POLL_S)

    async def read(self, topic: str, number: int = 0) -> list[Any]:
        """All records of a partition, as they are now."""
        partition = TopicPartition(topic, number)
        consumer = AIOKafkaConsumer(bootstrap_servers=self._bootstrap)
        await consumer.start()
        try:
            consumer.assign([partition])
            await consumer.seek_to_beginning()
            end = (await consumer.end_offsets([partition]))[partition]
            found: list[Any] = []
            async with asyncio.timeout(WAIT_S):
                while await consumer.position(partition) < end:
                    for records in (await consumer.getmany(timeout_ms=1000)).values():
                        found.extend(records)
            return found
        finally:
            await consumer.stop()
