"""/metrics is made after it was asked for, and once for all who ask meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from system.gateway.app import METRICS_INTERVAL_S, Gateway
from system.gateway.limits import Limits
from system.gateway.tokens import Tokens
from system.kafka_security import KafkaSecurity


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    made = Gateway(
        "gw", "127.0.0.1:1", Limits(), Tokens(), KafkaSecurity(), echoes=False, topic_prefix=""
    )
    yield made
    made.close()


async def test_thousands_of_scrapes_are_as_cheap_as_some(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = 0

    def text() -> bytes:
        nonlocal made
        made += 1
        return str(gateway.metrics.timeouts).encode()

    monkeypatch.setattr(gateway.metrics, "text", text)
    began_s = asyncio.get_running_loop().time()
    asked = [gateway._metrics_soon() for _ in range(1000)]
    gateway.metrics.timeouts = 7  # counted before it is made
    assert {await one for one in asked} == {b"7"}
    gateway.metrics.timeouts = 8
    assert await gateway._metrics_soon() == b"8"
    assert made == 2
    assert asyncio.get_running_loop().time() >= began_s + METRICS_INTERVAL_S


async def test_who_goes_away_takes_nothing_from_the_others(gateway: Gateway) -> None:
    gone = asyncio.ensure_future(asyncio.shield(gateway._metrics_soon()))
    stays = gateway._metrics_soon()
    await asyncio.sleep(0)
    gone.cancel()
    assert b"kaflinkshop_gateway_timeouts" in await stays
