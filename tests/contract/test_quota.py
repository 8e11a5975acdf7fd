"""A broker that has a quota for its clients holds them back; it ends no gateway."""

import asyncio
import subprocess
import time

import orjson
from aiokafka import AIOKafkaProducer
from aiokafka.client import AIOKafkaClient

from system.gateway.kafka import RETRY_S
from system.gateway.protocol import Fetch, Fetched
from system.runtime import jars, jvm, settings
from tests.contract.conftest import BROKER_START_S, WAIT_S, Broker

HEAP_MIB = 64
BYTES_S = 1000
"""The quota, which Kafka takes as a mean of some ten seconds."""
REPLY_BYTES = 4000
"""Three of these are beyond it."""
BEYOND = 3


def set_quota(broker: Broker, folder) -> None:
    """Of every client, whatever its name."""
    log4j = folder / "log4j2.properties"
    log4j.write_text(settings.LOG4J)
    command = jvm.command(
        jars.obtain("kafka"),
        "kafka.admin.ConfigCommand",
        *("--bootstrap-server", broker.bootstrap_servers, "--alter"),
        *("--entity-type", "clients", "--entity-default"),
        *("--add-config", f"consumer_byte_rate={BYTES_S}"),
        log4j=log4j,
        temporary=folder,
        heap_mib=HEAP_MIB,
        options=settings.SHORT_LIVED_JVM,
    )
    subprocess.run(command, check=True, capture_output=True, timeout=BROKER_START_S)


async def fetched_beyond(broker: Broker, topic: str) -> Fetched:
    """The first answer without records to who reads a topic from its begin, over and over, under
    the gateway's own name: a quota is that of a name."""
    client = AIOKafkaClient(bootstrap_servers=broker.bootstrap_servers)
    await client.bootstrap()
    (node,) = (each.nodeId for each in client.cluster.brokers())
    try:
        async with asyncio.timeout(WAIT_S):
            while True:
                fetch = Fetch(topic, 0, 0, wait_ms=0, bytes_max=1024**2)
                fetched = await client.send(node, fetch)
                if not fetched.records:
                    return fetched
    finally:
        await client.close()


async def test_a_quota_holds_replies_back_and_ends_no_gateway(own_broker, gateway, tmp_path):
    broker = own_broker.bootstrap_servers
    running = await gateway("--timeout-s", "60", bootstrap=broker)
    await asyncio.to_thread(set_quota, own_broker, tmp_path)
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    try:
        for number in range(BEYOND):
            reply = orjson.dumps({"request_id": f"nobody-{number}", "user_id": "u" * REPLY_BYTES})
            await producer.send_and_wait(running.sink, reply)
        told = await fetched_beyond(own_broker, running.sink)
        assert (told.code, told.records, told.throttle_ms > 0) == (0, None, True)
        asked = asyncio.create_task(
            running.ask("GET", "/users/find/u1", headers={"Idempotency-Key": "k"})
        )
        await running.until_metric(1, "in_flight")
        written_s = time.monotonic()
        await producer.send_and_wait(running.sink, orjson.dumps({"request_id": "k"}))
        assert (await asked)[0] == 200
        assert time.monotonic() - written_s > RETRY_S, "nothing held its reply back"
    finally:
        await producer.stop()
    await running.until_metric(BEYOND, "replies", kind="unknown")
