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
TOPIC = input_topic("user")
DEAD = dead_topic(TOPIC)


async def test_a_dead_letter_outlives_a_long_outage() -> None:
    with Stack(StackOptions(), progress=print) as stack:
        broker, taskmanager = (
            psutil.Process(stack.pids()[part][0]) for part in (KAFKA, TASKMANAGER)
        )
        async with KafkaClient(stack.bootstrap_servers) as client:
            await client.produce(TOPIC, b"before", b"e")
            await client.read_until(DEAD, b"before")  # the outbox knows the topic from now on
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
            letters = await client.read_until(DEAD, b"after")
    values = dict.fromkeys(letter.value for letter in letters)
    assert list(values) == [b"before", b"meanwhile", b"after"]
