"""With any one broker of three lost, what was acknowledged is there, and the stack goes on."""

import asyncio

from aiokafka.errors import KafkaError
from support.running_up import Adding, ask

from system.kafka_admin import kafka_admin
from system.runtime.options import StackOptions
from system.runtime.parts import KAFKA, names
from system.runtime.settings import Heaps
from system.runtime.stack import Stack

OPTIONS = StackOptions(brokers=3, heaps=Heaps(256, 256, 512))


async def copies(bootstrap_servers: str) -> set[int]:
    """How many copies of partitions are in step, of all topics; none where a lost one is asked."""
    try:
        async with kafka_admin(bootstrap_servers=bootstrap_servers) as admin:
            topics = await admin.describe_topics()
            return {len(each["isr"]) for topic in topics for each in topic["partitions"]}
    except KafkaError:
        return set()


def test_any_broker_of_three_may_be_lost(until) -> None:
    with Stack(OPTIONS, progress=print) as stack:

        def are_in_step(number: int) -> bool:
            return asyncio.run(copies(stack.bootstrap_servers)) == {number}

        def goes_on(adding: Adding) -> None:
            answered = adding.answered
            until(lambda: adding.answered >= answered + 20)

        for name in names(KAFKA, 3):
            until(lambda: are_in_step(3))
            with Adding(stack.url) as adding:
                goes_on(adding)
                stack.kill(name)
                goes_on(adding)
            until(lambda: are_in_step(2))  # it is still lost
            user = ask("GET", f"{stack.url}/users/find/{adding.user_id}")
            assert user["credit"] == adding.answered
            stack.start(name)
