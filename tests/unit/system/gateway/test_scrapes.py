"""/metrics is made after it was asked for, and once for all who ask meanwhile."""

import asyncio

import pytest

from system.gateway.metrics import METRICS_INTERVAL_S, Scrapes


class Texts:
    """The texts count themselves."""

    def __init__(self) -> None:
        self.made = 0

    def __call__(self) -> bytes:
        self.made += 1
        return b"%d" % self.made


async def test_thousands_of_scrapes_are_as_cheap_as_some() -> None:
    texts = Texts()
    scrapes = Scrapes(texts)
    began_s = asyncio.get_running_loop().time()
    asked = [asyncio.ensure_future(scrapes.text()) for _ in range(1000)]
    assert texts.made == 0  # what is counted until it is made is in it
    assert {await one for one in asked} == {b"1"}
    assert await scrapes.text() == b"2"
    assert texts.made == 2
    assert asyncio.get_running_loop().time() >= began_s + METRICS_INTERVAL_S


async def test_the_loop_turns_between_two_of_them() -> None:
    scrapes, answered = Scrapes(Texts()), 0

    async def ask() -> None:
        nonlocal answered
        await scrapes.text()
        answered += 1

    asked = [asyncio.ensure_future(ask()) for _ in range(100)]
    seen = 0
    while seen < 100:
        await asyncio.sleep(0)
        assert answered - seen <= 1
        seen = answered
    assert all(one.done() for one in asked)


async def test_who_goes_away_takes_nothing_from_the_others() -> None:
    scrapes = Scrapes(Texts())
    first, gone, stays = (asyncio.ensure_future(scrapes.text()) for _ in range(3))
    await asyncio.sleep(0)
    gone.cancel()
    assert await first == await stays == b"1"
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_all_may_go_away() -> None:
    scrapes = Scrapes(Texts())
    gone = asyncio.ensure_future(scrapes.text())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.sleep(2 * METRICS_INTERVAL_S)
    assert await scrapes.text() == b"2"
