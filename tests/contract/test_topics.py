"""The command that makes the services' topics, on a real broker."""

import asyncio
import json
import os
import sys

import pytest
from aiokafka.admin import NewTopic

from system.kafka_admin import kafka_admin
from tests.contract.conftest import WAIT_S


async def make(bootstrap_servers: str, prefix: str) -> tuple[int | None, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "system.runtime.topics", "--bootstrap", bootstrap_servers),
        *("--topic-prefix", prefix),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), WAIT_S)
    return process.returncode, output, errors


async def test_topics_are_made_once_and_have_the_time_of_the_log(bootstrap_servers):
    made = [await make(bootstrap_servers, f"new{os.getpid()}.") for _ in range(2)]
    assert [code for code, _, _ in made] == [0, 0], made
    first, second = (json.loads(output) for _, output, _ in made)
    assert first == second
    assert set(first["times"].values()) == {"LogAppendTime"}
    assert first["times"].keys() == first["partitions"].keys()


@pytest.mark.parametrize("config", [{}, {"message.timestamp.type": "CreateTime"}])
async def test_a_topic_with_its_clients_times_is_refused(bootstrap_servers, config):
    prefix = f"old{os.getpid()}-{len(config)}."
    async with kafka_admin(bootstrap_servers=bootstrap_servers) as admin:
        await admin.create_topics([NewTopic(f"{prefix}user_in", 1, 1, topic_configs=config)])
    code, output, errors = await make(bootstrap_servers, prefix)
    assert (code, output) == (3, b"")
    assert errors.decode() == (
        f"error: the records of topic {prefix}user_in have their clients' time (CreateTime), by "
        "which the age of a request can't be judged: set its message.timestamp.type to "
        "LogAppendTime, or choose another --topic-prefix\n"
    )
