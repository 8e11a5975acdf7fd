"""Brokers without a controller, as those are that come back: an error of Kafka's, and closed."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from aiokafka.structs import BrokerMetadata

from system.kafka_admin import kafka_admin

BROKER = BrokerMetadata(1, "127.0.0.1", 1, None)


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was asked of aiokafka; the second question finds a controller where there is one."""
    calls: list[str] = []

    def stands_in(owner: type, name: str) -> None:
        async def call(*_: object) -> None:
            calls.append(name)

        monkeypatch.setattr(owner, name, call)

    stands_in(AIOKafkaAdminClient, "start")
    stands_in(AIOKafkaAdminClient, "close")
    stands_in(AIOKafkaClient, "force_metadata_update")
    return calls


async def use() -> AIOKafkaAdminClient:
    async with kafka_admin(bootstrap_servers="127.0.0.1:1") as admin:
        return admin


def test_brokers_without_a_controller_are_an_error_of_kafka(called: list[str]) -> None:
    with pytest.raises(KafkaConnectionError, match="the brokers have no controller yet"):
        asyncio.run(use())
    assert called == ["start", "force_metadata_update", "close"]


def test_a_controller_may_be_known_at_the_second_question(
    called: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def found(client: AIOKafkaClient) -> None:
        called.append("found")
        client.cluster.controller = BROKER

    monkeypatch.setattr(AIOKafkaClient, "force_metadata_update", found)
    assert asyncio.run(use())._client.cluster.controller == BROKER
    assert called == ["start", "found", "close"]
