"""A connection and an application that a test plays, over loopback; the contract's tests have the
real one."""

import asyncio
import gc
from contextlib import asynccontextmanager, suppress

import orjson
import pytest
from aiohttp.web import Response

from system.gateway.connection import HttpServer
from system.gateway.limits import Limits

GET = b"GET /%b HTTP/1.1\r\nHost: h\r\n\r\n"


class Played:
    """`ask` takes what begins with /a, and answers when the test says so."""

    def __init__(self):
        self.headers = {503: {"Content-Type": "application/json", "Retry-After": "1"}}
        self.asked = asyncio.Queue()
        self.handled = []

    def ask(self, message, client):
        if message.path == "/bug":
            raise ValueError("a bug")
        if not message.path.startswith("/a"):
            return False
        self.asked.put_nowait((message.path, client))
        return True

    async def handle(self, request):
        self.handled.append(request.path)
        return Response(body=b"{}")


@asynccontextmanager
async def serving(**limits):
    played = Played()
    http = HttpServer(played, Limits(**limits))
    server = await asyncio.get_running_loop().create_server(http, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    yield played, reader, writer
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()
    server.close()
    http.pre_shutdown()
    await http.shutdown(1)


async def next_answer(reader):
    """Status, headers and body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in head[1:] if line)
    return head[0], headers, await reader.readexactly(int(headers["Content-Length"]))


async def test_both_ways_write_the_same_headers():
    async with serving() as (played, reader, writer):
        writer.write(GET % b"a")
        _, client = await played.asked.get()
        assert client.answer(200, b"{}", closes=False)
        first = await next_answer(reader)
        writer.write(GET % b"b")
        status, headers, body = await next_answer(reader)
        assert played.handled == ["/b"]
        assert (first[0], first[2]) == (status, body)
        # aiohttp's Response has another default type, which the gateway overrides.
        assert first[1].keys() == headers.keys() == {
            "Content-Type", "Content-Length", "Date", "Server"
        }  # fmt: skip
        assert first[1]["Server"] == headers["Server"]


async def test_a_status_has_its_own_headers():
    async with serving() as (played, reader, writer):
        writer.write(GET % b"a")
        _, client = await played.asked.get()
        client.answer(503, b"{}", closes=False)
        status, headers, _ = await next_answer(reader)
        assert (status, headers["Retry-After"]) == ("HTTP/1.1 503 Service Unavailable", "1")


async def test_what_comes_meanwhile_is_answered_in_its_turn():
    async with serving() as (played, reader, writer):
        writer.write(GET % b"a1")
        path, client = await played.asked.get()
        writer.write(GET % b"b" + GET % b"c")
        other_reader, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
        other.write(GET % b"d")  # when it is answered, what came before has been read too
        await next_answer(other_reader)
        other.close()
        assert (path, played.handled) == ("/a1", ["/d"])
        client.answer(200, b"1", closes=False)
        assert [(await next_answer(reader))[2] for _ in "123"] == [b"1", b"{}", b"{}"]
        assert played.handled == ["/d", "/b", "/c"]
        writer.write(GET % b"a2")
        path, client = await played.asked.get()
        client.answer(200, b"2", closes=False)
        assert (await next_answer(reader))[2] == b"2"


async def test_bytes_that_come_as_the_task_is_about_to_wake_up_end_nothing():
    """Its next request is there, and it has been told so; then a part of another one comes."""
    async with asyncio.timeout(20), serving(idle_s=0.5) as (played, reader, writer):
        writer.write(GET % b"a1")
        _, client = await played.asked.get()
        writer.write(GET % b"a2")
        other_reader, other = await asyncio.open_connection(*writer.get_extra_info("peername"))
        other.write(GET % b"d")  # when it is answered, what came before has been read too
        await next_answer(other_reader)
        other.close()
        third = GET % b"a3"
        client.answer(200, b"1", closes=False)
        client.data_received(third[:7])
        client.data_received(third[7:])
        assert (await next_answer(reader))[2] == b"1"
        answers = [(await next_answer(reader))[2] for _ in range(2)]
        assert answers == [b"{}", b"{}"]
        assert played.handled == ["/d", "/a2", "/a3"]
        assert await reader.read() == b"", "it is closed when it is idle"


async def test_an_answer_that_closes_says_so():
    async with serving() as (played, reader, writer):
        writer.write(GET % b"a")
        _, client = await played.asked.get()
        client.answer(200, b"{}", closes=True)
        _, headers, _ = await next_answer(reader)
        assert headers["Connection"] == "close"
        assert await reader.read() == b""


async def test_an_answer_to_a_client_that_has_gone_is_not_sent():
    async with serving() as (played, reader, writer):
        writer.write(GET % b"a")
        _, client = await played.asked.get()
        client.drop()
        assert await reader.read() == b""
        assert not client.answer(200, b"{}", closes=False)


async def test_a_bug_is_answered_500_and_logged(caplog):
    async with serving() as (_, reader, writer):
        writer.write(GET % b"bug")
        status, headers, body = await next_answer(reader)
        assert status == "HTTP/1.1 500 Internal Server Error"
        assert headers["Connection"] == "close"
        assert orjson.loads(body)["error"]["code"] == "internal"
        assert "a bug" in caplog.text


async def test_a_client_is_not_idle_while_its_request_is_under_way():
    async with serving(idle_s=0.05) as (played, reader, writer):
        writer.write(GET % b"a")
        _, client = await played.asked.get()
        turned = asyncio.Event()
        asyncio.get_running_loop().call_later(0.2, turned.set)  # four times the limit
        await turned.wait()
        assert client.waits_since_s() is None
        client.answer(200, b"{}", closes=False)
        assert (await next_answer(reader))[0] == "HTTP/1.1 200 OK"
        assert client.waits_since_s() is not None
        assert await reader.read() == b""  # and is closed when it has been idle


@pytest.fixture(autouse=True)
def _collected():
    """What a connection leaves behind is warned of within its own test."""
    yield
    gc.collect()
