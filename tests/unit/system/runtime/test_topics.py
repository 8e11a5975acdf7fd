"""Brokers that have just started: asked again until they answer, and never for ever."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka.errors import KafkaConnectionError

from system.runtime import topics
from system.runtime.topics import create_when_reachable


def test_brokers_without_a_controller_are_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_brokers_that_never_know_one_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: Any) -> str:
        raise KafkaConnectionError("the brokers have no controller yet")

    monkeypatch.setattr(topics, "create_topics", never)
    with pytest.raises(KafkaConnectionError, match="no controller yet"):
        asyncio.run(create_when_reachable("127.0.0.1:1", [], -1.0))


def test_what_is_there_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not create topics is refused, whether they are there or not."""
    made: list[str] = []

    class Admin:
        async def list_topics(self) -> list[str]:
            return [topic.name for topic in wanted if topic.name != "echo_in"]

        async def create_topics(self, missing: list[Any]) -> Any:
            made.extend(topic.name for topic in missing)
            raise KafkaConnectionError("that is all")

    @asynccontextmanager
    async def admin(**_: object) -> AsyncIterator[Admin]:
        yield Admin()

    wanted = topics.topics(1)
    monkeypatch.setattr(topics, "kafka_admin", admin)
    with pytest.raises(KafkaConnectionError, match="that is all"):
        asyncio.run(topics.create_topics("127.0.0.1:1", wanted))
    assert made == ["echo_in"]
