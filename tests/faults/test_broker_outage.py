"""A broker that is silent for longer than a record may take: no dead letter is lost."""

import asyncio

import psutil
from support.kafka_client import KafkaClient

from system.runtime.options import StackOptions
from system.runtime.parts import KAFKA, TASKMANAGER
from system.runtime.stack import Stack
from system.wire import dead_topic, input_topic

SILENT_S = 125.0
"""Kafka's producer gives a record up after `delivery.timeout.ms`, two minutes."""
FETCHED_S = 1.0
"""A fetch that waits is answered within milliseconds."""
TIMEOUT_S = 60.0
"""Ends a test that hangs."""
POLL_S = 0.1
TOPIC = input_topic("user")


async def until_dead(client: KafkaClient, value: bytes) -> list[bytes]:
    """The values of all dead letters, as soon as this one is there."""
    async with asyncio.timeout(TIMEOUT_S):
        while True:
            values = [letter.value for letter in await client.read(dead_topic(TOPIC))]
            if value in values:
                return values
            await asyncio.sleep(POLL_S)


async def test_a_dead_letter_outlives_a_long_outage() -> None:
    with Stack(StackOptions(), progress=print) as stack:
        broker, taskmanager = (
            psutil.Process(stack.pids()[part][0]) for part in (KAFKA, TASKMANAGER)
        )
        async with KafkaClient(stack.bootstrap_servers) as client:
            await client.produce(TOPIC, b"before", b"e")
            await until_dead(client, b"before")  # the outbox knows the topic from now on
            # The next one waits in the TaskManager's socket when the broker falls silent.
            taskmanager.suspend()
            await client.produce(TOPIC, b"meanwhile", b"e")
            await asyncio.sleep(FETCHED_S)
        # The client is closed by now: a broker that comes back is no broker for a moment.
        broker.suspend()
        taskmanager.resume()
        await asyncio.sleep(SILENT_S)
        broker.resume()
        await asyncio.to_thread(stack.wait_ready)
        async with KafkaClient(stack.bootstrap_servers) as client:
            await client.produce(TOPIC, b"after", b"e")
            letters = await until_dead(client, b"after")
    assert list(dict.fromkeys(letters)) == [b"before", b"meanwhile", b"after"]
