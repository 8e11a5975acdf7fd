"""``python -m system.runtime.topics --bootstrap HOST:PORT`` makes the services' topics.

``-m system.runtime.topics --bootstrap HOST:PORT``.

Waits for the broker, so that it may be started together with it. Topics that are there stay as
they are. Each service has an input topic, and one for the records that it can't handle. The first
has as many partitions as the job has tasks, where nobody says otherwise: each one more is a batch
of its own in the requests that carry it, which is most of what Kafka has to do. Their number never
changes: a key's next record would be in another partition, and could overtake the one before.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    TopicAlreadyExistsError,
    TopicAuthorizationFailedError,
    for_code,
)

from machine.arguments import topic_prefix, whole
from machine.errors import EXIT_CODE, StackError
from system.catalog import catalog
from system.kafka_admin import kafka_admin
from system.kafka_security import KafkaSecurity, KafkaSecurityError
from system.runtime.settings import (
    DEAD_TOPIC,
    PARALLELISM_MAX,
    PARTITIONS_MAX,
    TOPIC_MIB,
    TOPIC_MIB_MAX,
    TOPIC_MIB_MIN,
    topic_config,
)
from system.wire import OF_THE_LOG, TIMES, dead_topic, input_topic

BROKERS_DEFAULT = -1
"""This number of copies of a topic stands for what the brokers are configured to make."""

RETRY_S = 0.1
"""This much time passes between tries to reach a broker that is starting."""


class Found(NamedTuple):
    """This is known once the topics are there: Kafka's cluster, and whether they are empty."""

    cluster_id: str
    has_records: bool
    partitions: dict[str, int]
    """Each input topic has so many partitions."""
    times: dict[str, str]
    """The records of each input topic have the time of this: LogAppendTime or CreateTime."""


def topics(
    partitions: int,
    topic_mib: int = TOPIC_MIB,
    replication: int = BROKERS_DEFAULT,
    prefix: str = "",
) -> list[NewTopic]:
    """`topics` returns all topics of the services, each with `replication` copies."""
    inputs = [prefix + input_topic(service) for service in catalog().services]
    config = topic_config(topic_mib, partitions)
    made = [
        *(NewTopic(name, partitions, 1, topic_configs=config) for name in inputs),
        *(NewTopic(dead_topic(name), 1, 1, topic_configs=DEAD_TOPIC) for name in inputs),
    ]
    for topic in made:
        topic.replication_factor = replication  # the constructor refuses the brokers' default
    return made


async def create_topics(bootstrap_servers: str, topics: list[NewTopic]) -> Found:
    """`create_topics` creates those that are missing. It raises `KafkaError` when the broker can't
    be reached or refuses, and `KafkaSecurityError`."""
    security = KafkaSecurity.read().client_options()
    async with kafka_admin(bootstrap_servers=bootstrap_servers, **security) as admin:
        # Who may not create any is refused before Kafka looks whether they are there.
        there = set(await admin.list_topics())
        if missing := [topic for topic in topics if topic.name not in there]:
            response = await admin.create_topics(missing)
            for name, code, *message in response.topic_errors:
                error = for_code(code)
                if code and error is not TopicAlreadyExistsError:
                    raise error(f"{name}: {message}")
        cluster = await admin.describe_cluster()
        names = [topic.name for topic in topics]
        has_records = await _have_records(bootstrap_servers, names)
        inputs = [topic.name for topic in topics if topic.topic_configs is not DEAD_TOPIC]
        partitions = {}
        for found in await admin.describe_topics(inputs):
            if found["error_code"]:  # another broker may not have heard of it yet
                raise for_code(found["error_code"])(found["topic"])
            partitions[found["topic"]] = len(found["partitions"])
        times = await _times(admin, inputs)
        return Found(cluster["cluster_id"], has_records, partitions, times)


async def _times(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, str]:
    found = {}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, {TIMES: None}) for name in names]
    for response in await admin.describe_configs(asked):
        for code, message, _, name, entries in response.resources:
            error = for_code(code)
            if error is TopicAuthorizationFailedError:
                raise StackError(
                    f"the configuration of topic {name} can't be read, so nobody knows what time "
                    "its records have: allow DescribeConfigs on it"
                )
            if code:
                raise error(f"{name}: {message}")
            found[name] = {entry[0]: entry[1] for entry in entries}[TIMES]
    return found


async def _have_records(bootstrap_servers: str, names: list[str]) -> bool:
    """Whether any record was ever put there: the topics' ends say so, also when it has gone."""
    security = KafkaSecurity.read().client_options()
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=bootstrap_servers, **security)
    await consumer.start()
    try:
        return any((await consumer.end_offsets(consumer.assignment())).values())
    finally:
        await consumer.stop()


async def create_when_reachable(
    bootstrap_servers: str, topics: list[NewTopic], timeout_s: float
) -> Found:
    """`create_when_reachable` tries until the broker is there; it raises the last `KafkaError`
    after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return await create_topics(bootstrap_servers, topics)
        except KafkaError:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(RETRY_S)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m system.runtime.topics", description=__doc__)
    parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT")
    parser.add_argument(
        "--partitions",
        type=whole("partitions", PARTITIONS_MAX),
        help="of each input topic; those that are there must have as many (default: --tasks, and "
        "as many as there are)",
    )
    parser.add_argument(
        "--tasks",
        type=whole("tasks", PARALLELISM_MAX),
        default=1,
        help="the job's parallelism (default: %(default)s)",
    )
    parser.add_argument(
        "--topic-mib",
        type=whole("MiB", TOPIC_MIB_MAX, TOPIC_MIB_MIN),
        default=TOPIC_MIB,
        help="what an input topic keeps (default: %(default)s)",
    )
    parser.add_argument(
        "--replication",
        type=int,
        default=BROKERS_DEFAULT,
        help="copies of each topic; -1 is the brokers' own default (default: %(default)s)",
    )
    parser.add_argument("--topic-prefix", type=topic_prefix, default="", help="(default: none)")
    parser.add_argument("--timeout-s", type=float, default=60.0)
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # each try would log its failure
    partitions = arguments.partitions or arguments.tasks
    try:
        wanted = topics(
            partitions, arguments.topic_mib, arguments.replication, arguments.topic_prefix
        )
        found = asyncio.run(create_when_reachable(arguments.bootstrap, wanted, arguments.timeout_s))
    except (KafkaSecurityError, StackError) as cause:
        print(f"error: {cause}", file=sys.stderr)
        return EXIT_CODE
    except KafkaError as cause:
        print(f"error: cannot create topics at {arguments.bootstrap}: {cause}", file=sys.stderr)
        return EXIT_CODE
    for name, count in found.partitions.items():
        if arguments.partitions is not None and count != partitions:
            print(
                f"error: topic {name} has {count} partitions, not {partitions}, and keeps them: "
                "leave --partitions out, or choose another --data-dir or --topic-prefix",
                file=sys.stderr,
            )
            return EXIT_CODE
    for name, times in found.times.items():
        if times != OF_THE_LOG:
            print(
                f"error: the records of topic {name} have their clients' time ({times}), by which "
                f"the age of a request can't be judged: set its {TIMES} to {OF_THE_LOG}, or choose "
                "another --topic-prefix",
                file=sys.stderr,
            )
            return EXIT_CODE
    print(json.dumps(found._asdict()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
