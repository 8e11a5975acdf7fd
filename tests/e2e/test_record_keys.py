"""Records straight from Kafka: the key of each must be the id of the entity that it is for."""

import asyncio
import uuid

import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from system.runtime.stack import Stack

WAIT_S = 60


async def ask(stack: Stack, key: bytes | None, method: str, user_id: str) -> dict:
    """The reply to a request record with this key."""
    request_id, sink = uuid.uuid4().hex, f"test-{uuid.uuid4().hex}"
    request = {"request_id": request_id, "sink": sink, "method": method}
    record = orjson.dumps({**request, "params": {"user_id": user_id}})
    admin = AIOKafkaAdminClient(bootstrap_servers=stack.bootstrap_servers)
    producer = AIOKafkaProducer(bootstrap_servers=stack.bootstrap_servers)
    consumer = AIOKafkaConsumer(bootstrap_servers=stack.bootstrap_servers)
    await admin.start()
    await admin.create_topics([NewTopic(sink, 1, 1)])
    await admin.close()
    await consumer.start()
    await producer.start()
    try:
        consumer.assign([TopicPartition(sink, 0)])
        await consumer.seek_to_beginning()
        await producer.send_and_wait("user_in", record, key=key)
        reply = await asyncio.wait_for(consumer.getone(), WAIT_S)
    finally:
        await producer.stop()
        await consumer.stop()
    fields = orjson.loads(reply.value)
    assert fields.pop("request_id") == request_id
    return fields


@pytest.mark.parametrize("key", [None, b"", b"other", b"no id\n", b"k" * 65])
async def test_another_key_is_refused_and_has_no_effect(stack, key):
    user_id = uuid.uuid4().hex
    refusal = await ask(stack, key, "create_user", user_id)
    assert refusal["error"]["code"] == "bad_request"
    found = await ask(stack, user_id.encode(), "find_user", user_id)
    assert found["error"]["code"] == "not_found"


async def test_the_entity_s_own_key_is_taken(stack):
    user_id = uuid.uuid4().hex
    created = await ask(stack, user_id.encode(), "create_user", user_id)
    assert created == {"user_id": user_id, "credit": 0}
