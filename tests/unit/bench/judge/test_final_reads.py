"""The final reads of a system that fails now and then, and of one that is down."""

from itertools import count

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bench.errors import BenchError
from bench.judge.final_reads import TRIES_MAX, read_all

IDS = {"user_id": ["1", "2", "3"], "order_id": ["4"], "item_id": []}


def server(*statuses: int) -> TestServer:
    """Answers with these in turn, again and again."""
    numbers = count()

    async def answer(_: web.Request) -> web.Response:
        status = statuses[next(numbers) % len(statuses)]
        body = {"credit": 1} if status == 200 else {"error": {"code": "x", "message": "y"}}
        return web.json_response(body, status=status)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    return TestServer(app)


async def test_what_fails_now_and_then_is_read_again() -> None:
    async with server(*[503] * (TRIES_MAX - 1), 200) as unreliable:
        ids = {"user_id": ["1"], "order_id": [], "item_id": []}
        found = await read_all(str(unreliable.make_url("")), ids)
    assert found.users == {"1": {"credit": 1}}


@pytest.mark.parametrize(("status", "says"), [(503, "was answered 503 x"), (409, "409 x")])
async def test_what_does_not_answer_is_no_entity(status: int, says: str) -> None:
    async with server(status) as down:
        with pytest.raises(BenchError, match=says):
            await read_all(str(down.make_url("")), IDS)


async def test_what_is_not_there() -> None:
    async with server(404) as empty:
        found = await read_all(str(empty.make_url("")), IDS)
    assert found.orders == {"4": None}
