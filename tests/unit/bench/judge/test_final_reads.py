"""The final reads: of checkouts that end late, and of a system that fails now and then."""

import asyncio
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.errors import BenchError
from bench.judge import final_reads
from bench.judge.final_reads import TRIES_MAX, read_all

ORDER = {"user_id": ["u"], "order_id": ["o"], "item_id": []}
USER = {"user_id": "1", "credit": 1}
IDS = {"user_id": ["1", "2", "3"], "order_id": ["4"], "item_id": []}


def reads(monkeypatch: pytest.MonkeyPatch, *, outage_s: float, in_progress: int) -> list[str]:
    """The kinds that are read: the first reading takes as long as an outage, and so many find the
    order in its checkout."""
    asked: list[str] = []

    async def read(_: object, kind: str, ids: Sequence[str]) -> dict[str, Any]:
        asked.append(kind)
        if len(asked) == 1:
            await asyncio.sleep(outage_s)
        is_open = asked.count("order_id") <= in_progress
        return {each: {"status": "checkout_in_progress" if is_open else "open"} for each in ids}

    monkeypatch.setattr(final_reads, "_read", read)
    return asked


async def test_an_outage_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_reads, "SETTLE_TIMEOUT_S", 0.5)
    monkeypatch.setattr(final_reads, "SETTLE_INTERVAL_S", 0.0)
    asked = reads(monkeypatch, outage_s=0.6, in_progress=2)
    final = await read_all("http://127.0.0.1:1", ORDER)
    assert asked == ["order_id", "order_id", "order_id", "user_id", "item_id"]
    assert final.orders == {"o": {"status": "open"}}


async def test_a_checkout_that_never_ends_is_kept_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final_reads, "SETTLE_TIMEOUT_S", 0.0)
    monkeypatch.setattr(final_reads, "SETTLE_INTERVAL_S", 0.0)
    reads(monkeypatch, outage_s=0.0, in_progress=1_000_000)
    final = await read_all("http://127.0.0.1:1", ORDER)
    assert final.orders == {"o": {"status": "checkout_in_progress"}}


def server(*statuses: int, user: object = USER) -> TestServer:
    """Answers with these in turn, again and again."""
    numbers = count()

    async def answer(_: web.Request) -> web.Response:
        status = statuses[next(numbers) % len(statuses)]
        body = user if status == 200 else {"error": {"code": "x", "message": "y"}}
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return TestServer(app)


async def test_what_fails_now_and_then_is_read_again() -> None:
    async with server(*[503] * (TRIES_MAX - 1), 200) as unreliable:
        ids = {"user_id": ["1"], "order_id": [], "item_id": []}
        found = await read_all(str(unreliable.make_url("")), ids)
    assert found.users == {"1": USER}


@pytest.mark.parametrize(
    ("user", "says"),
    [
        ({"credit": 1}, "the reply to find_user names no user_id$"),
        ({"user_id": "1", "credit": "1"}, "the reply to find_user has the credit '1'$"),
    ],
)
async def test_what_is_no_entity_is_told(user: object, says: str) -> None:
    async with server(200, user=user) as wrong:
        with pytest.raises(BenchError, match=says):
            await read_all(str(wrong.make_url("")), {**IDS, "order_id": []})


@pytest.mark.parametrize(("status", "says"), [(503, "was answered 503 x"), (409, "409 x")])
async def test_what_does_not_answer_is_no_entity(status: int, says: str) -> None:
    async with server(status) as down:
        with pytest.raises(BenchError, match=says):
            await read_all(str(down.make_url("")), IDS)


async def test_what_is_not_there() -> None:
    async with server(404) as empty:
        found = await read_all(str(empty.make_url("")), IDS)
    assert found.orders == {"4": None}
