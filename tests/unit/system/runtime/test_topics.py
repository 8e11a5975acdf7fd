"""Brokers that have just started: asked again until they answer, and never for ever."""

import asyncio
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError

from system.runtime import topics
from system.runtime.topics import create_topics, create_when_reachable


async def nothing(*_: object) -> None:
    """What brokers tell that know no controller."""


@pytest.fixture(autouse=True)
def _without_a_controller(monkeypatch: pytest.MonkeyPatch) -> None:
    for owner, name in (
        (AIOKafkaAdminClient, "start"),
        (AIOKafkaAdminClient, "close"),
        (AIOKafkaClient, "force_metadata_update"),
    ):
        monkeypatch.setattr(owner, name, nothing)


def test_brokers_without_a_controller_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KafkaConnectionError, match="the brokers have no controller yet"):
        asyncio.run(create_topics("127.0.0.1:1", []))
    asked: list[Any] = []

    async def once(*given: Any) -> str:
        asked.append(given)
        if len(asked) == 1:
            raise KafkaConnectionError("the brokers have no controller yet")
        return "found"

    monkeypatch.setattr(topics, "create_topics", once)
    monkeypatch.setattr(topics, "RETRY_S", 0)
    found: object = asyncio.run(create_when_reachable("127.0.0.1:1", [], 60.0))
    assert (found, len(asked)) == ("found", 2)
