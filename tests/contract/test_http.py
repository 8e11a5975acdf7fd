"""HTTP as clients speak it: what aiohttp's own server answers to these bytes, the gateway does too.

Compared are the class of each status, interim answers, how the body is framed, and whether the
connection stays open. The bodies are the contract's business (test_status_table.py).
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import pytest
from aiohttp import web

from system.routes import OWN_ROUTES, ROUTES
from tests.contract.conftest import WAIT_S

LIVE = b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n"


def get(target: str = "/users/find/u1", *lines: str, verb: str = "GET", version: str = "1.1"):
    head = (f"{verb} {target} HTTP/{version}", "Host: h", *lines)
    return "\r\n".join((*head, "", "")).encode("latin-1")


def post(*lines: str, body: bytes = b"", target: str = "/users/create", version: str = "1.1"):
    return get(target, *lines, verb="POST", version=version) + body


LENGTH = "Content-Length: 2"
CHUNKED = "Transfer-Encoding: chunked"
EXPECT = "Expect: 100-continue"
UPGRADE = ("Connection: Upgrade", "Upgrade: websocket")


class Case(NamedTuple):
    sent: bytes
    verbs: str = "GET"
    """Of each request that is to be answered."""
    half_closed: bool = False
    """Whether the client ends its side then."""


CASES = {
    "a GET": Case(get()),
    "HTTP/1.0": Case(get(version="1.0")),
    "HTTP/1.0, keep-alive": Case(get("/", "Connection: keep-alive", version="1.0")),
    "HTTP/1.1, close": Case(get("/", "Connection: close")),
    "close in capitals": Case(get("/", "Connection: CLOSE")),
    "close among others": Case(get("/", "Connection: x, close")),
    "two pipelined": Case(get() + get("/health/live"), "GET GET"),
    "forty pipelined": Case(get("/health/live") * 40, "GET " * 40),
    "forty pipelined to a service": Case(get() * 40, "GET " * 40),
    "pipelined behind a close": Case(get("/", "Connection: close") + get(), "GET GET"),
    "pipelined behind a body": Case(post(LENGTH, body=b"{}") + get(), "POST GET"),
    "an empty line before": Case(b"\r\n" + get()),
    "only line feeds": Case(get().replace(b"\r\n", b"\n")),
    "no Host": Case(b"GET /users/find/u1 HTTP/1.1\r\n\r\n"),
    "a folded header": Case(get("/", "X-A: b\r\n c")),
    "a space before a colon": Case(get("/", "X-A : b")),
    "an empty header": Case(get("/", "X-A:")),
    "bytes beyond ASCII in a header": Case(get("/", "X-A: \xe9")),
    "a header twice": Case(get("/", "X-A: 1", "X-A: 2")),
    "HEAD of a service": Case(get(verb="HEAD"), "HEAD"),
    "HEAD of the index": Case(get("/", verb="HEAD"), "HEAD"),
    "HEAD of health": Case(get("/health/live", verb="HEAD"), "HEAD"),
    "HEAD of metrics": Case(get("/metrics", verb="HEAD"), "HEAD"),
    "HEAD of nothing": Case(get("/nope", verb="HEAD"), "HEAD"),
    "HEAD, then GET": Case(get(verb="HEAD") + get(), "HEAD GET"),
    "OPTIONS": Case(get(verb="OPTIONS")),
    "OPTIONS of the server": Case(get("*", verb="OPTIONS")),
    "TRACE": Case(get(verb="TRACE")),
    "PATCH": Case(get(verb="PATCH")),
    "a verb of one's own": Case(get(verb="BREW")),
    "a verb in small letters": Case(get(verb="get")),
    "CONNECT": Case(get("h:80", verb="CONNECT")),
    "DELETE": Case(get("/users/remove/u1", verb="DELETE")),
    "DELETE with a body": Case(get("/users/remove/u1", LENGTH, verb="DELETE") + b"{}"),
    "GET with a body": Case(get("/users/find/u1", LENGTH) + b"{}"),
    "GET of health with a body": Case(get("/health/live", LENGTH) + b"{}"),
    "POST without a length": Case(post(), "POST"),
    "POST of nothing": Case(post("Content-Length: 0"), "POST"),
    "POST": Case(post(LENGTH, body=b"{}"), "POST"),
    "POST in chunks": Case(post(CHUNKED, body=b"2\r\n{}\r\n0\r\n\r\n"), "POST"),
    "POST in chunks with extensions": Case(post(CHUNKED, body=b"2;a=b\r\n{}\r\n0\r\n\r\n"), "POST"),
    "POST in chunks with a trailer": Case(post(CHUNKED, body=b"0\r\nX-A: b\r\n\r\n"), "POST"),
    "POST by HTTP/1.0": Case(post(LENGTH, body=b"{}", version="1.0"), "POST"),
    "a length that is none": Case(post("Content-Length: x"), "POST"),
    "a negative length": Case(post("Content-Length: -1"), "POST"),
    "two lengths": Case(post(LENGTH, "Content-Length: 3", body=b"{} "), "POST"),
    "length and chunks": Case(post(LENGTH, CHUNKED, body=b"0\r\n\r\n"), "POST"),
    "chunks that are none": Case(post(CHUNKED, body=b"zz\r\n"), "POST"),
    "an unknown coding": Case(post("Transfer-Encoding: br", body=b""), "POST"),
    "Expect": Case(post(EXPECT, LENGTH, body=b"{}"), "POST"),
    "Expect in capitals": Case(post("EXPECT: 100-CONTINUE", LENGTH, body=b"{}"), "POST"),
    "Expect in chunks": Case(post(EXPECT, CHUNKED, body=b"0\r\n\r\n"), "POST"),
    "Expect by HTTP/1.0": Case(post(EXPECT, LENGTH, body=b"{}", version="1.0"), "POST"),
    "Expect without a body": Case(get("/", EXPECT)),
    "another Expect": Case(post("Expect: more", LENGTH, body=b"{}"), "POST"),
    "another Expect without a body": Case(get("/", "Expect: more")),
    "Expect of an unknown route": Case(post(EXPECT, LENGTH, body=b"{}", target="/nope"), "POST"),
    "Upgrade": Case(get("/users/find/u1", *UPGRADE)),
    "Upgrade of a POST": Case(post(*UPGRADE, LENGTH, body=b"{}"), "POST"),
    "Upgrade to HTTP/2": Case(get("/", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c")),
    "HTTP/2's preface": Case(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/3.0": Case(get(version="3.0")),
    "HTTP/1.2": Case(get(version="1.2")),
    "no version": Case(b"GET /\r\n\r\n"),
    "TLS": Case(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "a query on health": Case(get("/health/live?x=1")),
    "a query on metrics": Case(get("/metrics?name%5B%5D=x&y")),
    "a query on the index": Case(get("/?")),
    "an empty query on a service": Case(get("/users/find/u1?")),
    "a query on a service": Case(get("/users/find/u1?x=1")),
    "a query that is declared": Case(post(target="/stock/item/create?price=%31&stock=2"), "POST"),
    "a whole URL": Case(get("http://h/users/find/u1")),
    "a whole URL in capitals": Case(get("HTTP://H/users/find/u1")),
    "a whole URL without a path": Case(get("http://h")),
    "a whole URL with a query": Case(get("http://h/health/live?x=1")),
    "a whole URL of no route": Case(get("http://h/nope")),
    "another scheme": Case(get("ftp://h/health/live")),
    "no slash": Case(get("health/live")),
    "percent-encoded": Case(get("/%75sers/find/u%31")),
    "percent-encoded health": Case(get("/health/%6Cive")),
    "percent-encoded slash": Case(get("/users%2Ffind/u1")),
    "percent-encoded slash in an id": Case(get("/users/find/a%2Fb")),
    "percent-encoded, no id": Case(get("/users/find/%00")),
    "a bare percent": Case(get("/users/find/%")),
    "two slashes": Case(get("/users//find/u1")),
    "two slashes first": Case(get("//users/find/u1")),
    "a slash at the end": Case(get("/users/find/u1/")),
    "a slash behind health": Case(get("/health/live/")),
    "dots": Case(get("/users/../users/find/u1")),
    "an empty id": Case(get("/users/find/")),
    "a fragment": Case(get("/health/live#x")),
    "a semicolon": Case(get("/health/live;x=1")),
    "capitals": Case(get("/Health/live")),
    "half-closed": Case(get(), half_closed=True),
    "half-closed health": Case(get("/health/live"), half_closed=True),
    "half-closed, pipelined": Case(get() * 12, "GET " * 12, half_closed=True),
    "half-closed POST": Case(post(LENGTH, body=b"{}"), "POST", half_closed=True),
    "half-closed, close": Case(get("/", "Connection: close"), half_closed=True),
    "half a request": Case(get()[:-4], half_closed=True),
    "half a body": Case(post(LENGTH, body=b"{"), "POST", half_closed=True),
    "half a chunk": Case(post(CHUNKED, body=b"2\r\n{"), "POST", half_closed=True),
    "half a body of an unknown route": Case(
        post(LENGTH, body=b"{", target="/nope"), "POST", half_closed=True
    ),
    "nothing": Case(b"", half_closed=True),
}

DIFFERENT = {
    "aiohttp's server drops a client that half-closes, with all that it asked": (
        "half-closed",
        "half-closed health",
        "half-closed, pipelined",
        "half-closed POST",
        "half-closed, close",
        "half a body",
        "half a chunk",
        "half a body of an unknown route",
    ),
    "RFC 9110, 10.1.1: no 100 where there is no body to wait for": ("Expect without a body",),
    "the same: a final answer in place of the 100, and its body may never come": (
        "Expect of an unknown route",
        "another Expect",
    ),
    "the same: another expectation MAY be refused, and has no body here": (
        "another Expect without a body",
    ),
    "RFC 9112, 3.2.2: a URL without a path asks for /": ("a whole URL without a path",),
    "RFC 9112, 3.2: a target has no fragment, and http is what is spoken here": (
        "a fragment",
        "another scheme",
    ),
    "the contract: no query and no other id than the route's": (
        "a query on a service",
        "percent-encoded slash in an id",
        "percent-encoded, no id",
        "a bare percent",
    ),
}
"""Where the gateway differs by intent: why, and the cases."""


class Answer(NamedTuple):
    status_class: int
    framing: str
    body: bool


class Outcome(NamedTuple):
    answers: list[Answer]
    interims: int
    stays_open: bool


async def outcome(address, case: Case) -> Outcome:
    """What a server does with these bytes."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(case.sent)
    if case.half_closed:
        writer.write_eof()
    answers, interims = [], 0
    try:
        async with asyncio.timeout(WAIT_S):
            for verb in case.verbs.split():
                status, answer = await next_answer(reader, verb)
                while status == 100:
                    interims += 1
                    status, answer = await next_answer(reader, verb)
                answers.append(answer)
            if case.half_closed:
                return Outcome(answers, interims, stays_open=await reader.read() != b"")
            writer.write(LIVE)
            status, _ = await next_answer(reader, "GET")
            return Outcome(answers, interims, stays_open=status == 200)
    except (asyncio.IncompleteReadError, ConnectionError):
        return Outcome(answers, interims, stays_open=False)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def next_answer(reader: asyncio.StreamReader, verb: str) -> tuple[int, Answer]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    status = int(head[0].split()[1])
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    framing = ",".join(sorted(fields.keys() & {"content-length", "transfer-encoding"}))
    length = 0 if verb == "HEAD" or status == 100 else int(fields.get("content-length", 0))
    body = await reader.readexactly(length)
    return status, Answer(status // 100, framing, body != b"")


@asynccontextmanager
async def aiohttps_own() -> AsyncIterator[tuple[str, int]]:
    """The address of aiohttp's Application with the gateway's routes."""

    async def handle(request: web.Request) -> web.Response:
        await request.read()
        return web.json_response({"path": request.path})

    application = web.Application()
    for route in (*OWN_ROUTES, *ROUTES):
        if route.verb == "GET":
            application.router.add_get(route.path, handle)  # and HEAD
        else:
            application.router.add_route(route.verb, route.path, handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield runner.addresses[0][:2]
    finally:
        await runner.cleanup()


async def test_clients_are_answered_as_by_aiohttps_own_server(gateway, topics):
    running = await gateway()
    serving = asyncio.create_task(topics.serve())
    differing = {}
    async with aiohttps_own() as reference:
        for name, case in CASES.items():
            expected, found = await outcome(reference, case), await outcome(running.address, case)
            if found != expected:
                differing[name] = (found, expected)
    serving.cancel()
    intended = {name for names in DIFFERENT.values() for name in names}
    assert {name: differing[name] for name in differing.keys() - intended} == {}
    assert intended - differing.keys() == set()


@pytest.mark.parametrize("name", [n for n in CASES if n.startswith("half-closed")])
async def test_who_half_closes_gets_every_answer(gateway, topics, name):
    running = await gateway()
    serving = asyncio.create_task(topics.serve())
    case = CASES[name]
    answers, _, stays_open = await outcome(running.address, case)
    assert [answer.status_class for answer in answers] == [2] * len(case.verbs.split())
    assert not stays_open
    serving.cancel()


@pytest.mark.parametrize("name", ["half a body", "half a chunk"])
async def test_half_a_body_is_refused(gateway, topics, name):
    running = await gateway()
    answers, _, stays_open = await outcome(running.address, CASES[name])
    assert ([answer.status_class for answer in answers], stays_open) == ([4], False)
    assert await topics.end_offsets() == topics.ends


async def test_100_comes_before_the_body_is_sent(gateway, topics):
    """The client here sends its body only when told to, as curl does for a second."""
    running = await gateway()
    reader, writer = await asyncio.open_connection(*running.address)
    writer.write(post(EXPECT, LENGTH))
    interim = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
    assert interim == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    _, request = await topics.next()
    await topics.reply(request)
    assert (await asyncio.wait_for(reader.readline(), WAIT_S)).split()[1] == b"200"
    writer.close()


async def test_no_100_for_a_body_that_is_not_wanted(gateway):
    running = await gateway("--body-bytes-max", "100")
    status, body = await running.raw(post(EXPECT, "Content-Length: 101"))
    assert (status, body["error"]["code"]) == (413, "too_large")


async def test_a_head_has_the_headers_of_its_get(gateway):
    running = await gateway()
    _, get_headers, _ = await running.ask("GET", "/health/live")
    async with running.session.head("/health/live") as response:
        assert await response.read() == b""
        for name in ("Content-Length", "Content-Type"):
            assert response.headers[name] == get_headers[name]
