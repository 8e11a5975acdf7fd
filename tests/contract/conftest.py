"""A real broker and real gateways; the services' side of the topics is played by the test."""

import asyncio
import dataclasses
import itertools
import os
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import aiohttp
import orjson
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from support import contract
from support.contract import NO_SERVICES, PARTITIONS, TOPIC_PREFIX

from machine.arguments import addresses_in
from machine.ports import choose
from system import wire
from system.routes import SERVICES
from system.runtime import topics as runtime_topics
from system.runtime.kafka_broker import Kafka

BROKER_HEAP_MIB = 192
BROKER_START_S = 300
WAIT_S = 300
"""Bounds every wait of these tests; none of them is expected to come near it."""


class Broker:
    """A broker that tests may stop and start; not shared with tests that need it up."""

    def __init__(self, folder):
        ports = choose(0, "port"), choose(0, "port")
        self._kafka = Kafka(folder / "kafka", *ports, BROKER_HEAP_MIB, uuid.uuid4().hex)
        self._log = folder / "broker.log"
        self.bootstrap_servers = self._kafka.bootstrap_servers
        subprocess.run(
            self._kafka.format_command(), check=True, capture_output=True, timeout=BROKER_START_S
        )
        self.start()
        make_topics(self.bootstrap_servers)

    def start(self):
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._kafka.command(), stdout=log, stderr=log)

    def stop(self):
        self.process.kill()
        self.process.wait()


def make_topics(bootstrap_servers: str) -> None:
    wanted = runtime_topics.topics(PARTITIONS, prefix=TOPIC_PREFIX)
    asyncio.run(runtime_topics.create_when_reachable(bootstrap_servers, wanted, BROKER_START_S))


@pytest.fixture(scope="session")
def bootstrap_servers(tmp_path_factory) -> Iterator[str]:
    given = addresses_in(contract.BROKER)
    if given:
        make_topics(given)
        yield given
        return
    broker = Broker(tmp_path_factory.mktemp("broker"))
    yield broker.bootstrap_servers
    broker.stop()


@pytest.fixture
def own_broker(tmp_path) -> Iterator[Broker]:
    broker = Broker(tmp_path)
    yield broker
    broker.stop()


class Topics:
    """What was sent to the input topics since, and replies to it."""

    def __init__(self, bootstrap_servers: str) -> None:
        self._consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap_servers)
        self._producer = AIOKafkaProducer(bootstrap_servers=bootstrap_servers)

    async def start(self) -> None:
        await self._consumer.start()
        await self._producer.start()
        self._consumer.assign(
            [
                TopicPartition(TOPIC_PREFIX + wire.input_topic(service), partition)
                for service in SERVICES
                for partition in range(PARTITIONS)
            ]
        )
        self.ends = await self.end_offsets()
        for target, end in self.ends.items():
            self._consumer.seek(target, end)

    async def stop(self) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    async def end_offsets(self) -> dict[TopicPartition, int]:
        return await self._consumer.end_offsets(self._consumer.assignment())

    async def next(self):
        """The next record, as if its topic had no prefix, and the request in it."""
        record = await asyncio.wait_for(self._consumer.getone(), WAIT_S)
        topic = record.topic.removeprefix(TOPIC_PREFIX)
        return dataclasses.replace(record, topic=topic), orjson.loads(record.value)

    async def serve(self) -> None:
        """Answers each request, until cancelled."""
        while True:
            _, request = await self.next()
            await self.reply(request)

    async def reply(self, request, **fields) -> None:
        await self.put(
            request["sink"], orjson.dumps({"request_id": request["request_id"], **fields})
        )

    async def put(self, topic: str, record: bytes) -> None:
        await self._producer.send_and_wait(topic, record, partition=0)


@pytest.fixture
async def topics(bootstrap_servers) -> AsyncIterator[Topics]:
    topics = Topics(bootstrap_servers)
    await topics.start()
    yield topics
    await topics.stop()


class Running:
    """A gateway process and a client of it."""

    def __init__(
        self, process: asyncio.subprocess.Process | None, gateway_id: str, url: str
    ) -> None:
        """`process`: None where it is not this test's to end."""
        self.process = process
        self.sink = TOPIC_PREFIX + wire.reply_topic(gateway_id)
        self.url = url
        self.address = tuple(url.removeprefix("http://").split(":"))
        self.session = aiohttp.ClientSession(url)

    async def ask(self, verb: str, path: str, **options):
        """Status, headers and decoded body of one request."""
        async with self.session.request(verb, path, **options) as response:
            return response.status, response.headers, orjson.loads(await response.read())

    async def raw(self, *parts: bytes) -> tuple[int, dict]:
        """Status and body of the last answer to these very bytes."""
        reader, writer = await asyncio.open_connection(*self.address)
        for part in parts:
            writer.write(part)
        answer = await asyncio.wait_for(reader.read(), WAIT_S)
        writer.close()
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), orjson.loads(body)

    async def metric(self, name: str, **labels: str) -> float:
        """The value of one series of /metrics, 0 when there is none."""
        async with self.session.get("/metrics") as response:
            assert response.status == 200
            lines = (await response.text()).splitlines()
        wanted = [f'{key}="{value}"' for key, value in labels.items()]
        return sum(
            float(line.split()[-1])
            for line in lines
            if line.startswith(f"kaflinkshop_gateway_{name}") and all(w in line for w in wanted)
        )

    async def until_metric(self, expected: float, name: str, **labels: str) -> None:
        await until(lambda: self._is(expected, name, labels))

    async def _is(self, expected: float, name: str, labels: dict[str, str]) -> bool:
        return await self.metric(name, **labels) == expected

    async def end(self) -> None:
        await self.session.close()
        if self.process is None:
            return
        if self.process.returncode is None:
            self.process.terminate()
        assert await asyncio.wait_for(self.process.wait(), WAIT_S) == 0
        assert self.process.stdout is not None
        await self.process.stdout.read()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    """Polls the condition; fails when it does not come to hold."""
    async with asyncio.timeout(WAIT_S):
        for pause_s in itertools.repeat(0.02):
            if await condition():
                return
            await asyncio.sleep(pause_s)


COMMAND = (sys.executable, "-m", "system.gateway", "--port", "0", "--topic-prefix", TOPIC_PREFIX)
PIPED: dict[str, Any] = {
    "stdout": subprocess.PIPE,
    "stderr": subprocess.STDOUT,
    "start_new_session": True,
}
ENVIRONMENT = os.environ | {"PYTHONWARNINGS": "error"}


async def spawn(*arguments: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, **PIPED, env=ENVIRONMENT | environment
    )


@pytest.fixture
async def gateway(bootstrap_servers):
    """A factory: ``await gateway("--timeout-s", "1")`` is a ready `Running`."""
    running = []

    async def start(
        *options: str, bootstrap: str = bootstrap_servers, **environment: str
    ) -> Running:
        gateway_id = uuid.uuid4().hex[:12]
        own = ("--bootstrap", bootstrap, "--gateway-id", gateway_id, *NO_SERVICES)
        process = await spawn(*own, *options, **environment)
        line = (await asyncio.wait_for(process.stdout.readline(), WAIT_S)).decode()
        assert " is ready on " in line, line + (await process.stdout.read()).decode()
        running.append(Running(process, gateway_id, line.split()[-1]))
        return running[-1]

    yield start
    for one in running:
        await one.end()


@pytest.fixture(scope="session")
def shared_process(bootstrap_servers) -> Iterator[tuple[str, str]]:
    """The id and the URL of a gateway with options of its own accord."""
    given = addresses_in(contract.GATEWAY)
    if given:
        yield contract.GATEWAY_ID, f"http://{given}"
        return
    gateway_id = uuid.uuid4().hex[:12]
    arguments = ("--bootstrap", bootstrap_servers, "--gateway-id", gateway_id, *NO_SERVICES)
    with subprocess.Popen([*COMMAND, *arguments], **PIPED, env=ENVIRONMENT) as process:
        line = process.stdout.readline().decode()
        assert " is ready on " in line, line + process.stdout.read().decode()
        yield gateway_id, line.split()[-1]
        process.terminate()
        assert process.wait(WAIT_S) == 0


@pytest.fixture
async def shared_gateway(shared_process) -> AsyncIterator[Running]:
    """A `Running` with default options that other tests use before and after.

    For tests that leave no request under way, and look at no counter: it may have any value.
    """
    running = Running(None, *shared_process)
    yield running
    await running.end()
