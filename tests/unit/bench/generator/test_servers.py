"""The generator against servers that were not written for it: aiohttp's, and Python's own."""

import asyncio
import socket
import ssl
import subprocess
import sys
from array import array
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
from aiohttp import web
from support import certificates
from support.certificates import Certificates
from support.small_server import running

from bench.errors import BenchError, UnreadableError
from bench.generator import engine
from bench.generator.connection import Http
from bench.generator.engine import Generator
from bench.generator.preflight import check_server
from bench.generator.tls import Trust
from bench.records.samples import Reader, Samples, Writer
from bench.workload.address import Address
from bench.workload.draws import Draws
from bench.workload.flows import Flows
from bench.workload.http_file import parse
from bench.workload.sources import Templates

REQUESTS = 60
ANYONE = Trust()


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("tls"))


@pytest.fixture(autouse=True)
def never_late(monkeypatch: pytest.MonkeyPatch) -> None:
    """Client and server share an event loop, on a machine that others use."""
    monkeypatch.setattr(engine, "LATE_NS_MAX", 60_000_000_000)


class Shop:
    """An aiohttp application that remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.headers: list[Any] = []
        self.asked_enough = asyncio.Event()
        self.peers: set[Any] = set()
        self.application = web.Application()
        self.application.router.add_route("*", "/{tail:.*}", self.answer)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        self.asked[f"{request.method} {request.path}"] += 1
        self.headers.append(request.headers)
        if len(self.headers) == REQUESTS:
            self.asked_enough.set()
        self.peers.add(request.transport.get_extra_info("peername"))
        kind = request.path.rpartition("/")[2]
        if kind == "moved":
            raise web.HTTPFound("/elsewhere")
        if kind == "busy":
            raise web.HTTPServiceUnavailable
        if kind == "login":
            return web.json_response({"user": {"token": f"t-{(await request.json())['id']}"}})
        if kind == "chunks":
            stream = web.StreamResponse()
            stream.enable_chunked_encoding()
            await stream.prepare(request)
            for part in (b"one", b"two"):
                await stream.write(part)
            return stream
        return web.Response(text="hello", headers={"X-Kind": "plain"})


@asynccontextmanager
async def serving(
    host: str = "127.0.0.1", tls: Certificates | None = None
) -> AsyncIterator[tuple[Shop, str]]:
    shop, context = Shop(), None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(tls.certificate, tls.key)
    runner = web.AppRunner(shop.application)
    await runner.setup()
    site = web.TCPSite(runner, host, 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    shown = f"[{host}]" if ":" in host else host
    try:
        yield shop, f"http{'s' if tls else ''}://{shown}:{port}"
    finally:
        await runner.cleanup()


async def load(
    url: str,
    folder: Path,
    trust: Trust = ANYONE,
    user_until: asyncio.Event | None = None,
    **document: Any,
) -> Samples:
    """The samples of `REQUESTS`, one each millisecond; or of one user, until an event."""
    workload, address = parse(document), Address.of(url)
    samples = Writer(folder / "samples.bin")
    source = (Templates if workload.is_plain else Flows)(Draws(workload, 1), address, samples.label)
    generator = Generator(
        Http(address, trust.context() if address.tls else None, keep_alive=workload.keep_alive),
        source,
        samples,
        timeout_s=20.0,
    )
    try:
        await generator.prepare()
        if user_until is None:
            times = array("q", (each * 1_000_000 for each in range(REQUESTS)))
            await generator.run_open(monotonic_ns(), times)
        else:
            user = asyncio.create_task(generator.run_closed(monotonic_ns(), 1, 3600.0))
            await user_until.wait()
            generator.stop()
            await user
    finally:
        generator.close()
        samples.close()
    return Reader(folder / "samples.bin").read()


def outcomes(samples: Samples) -> dict[str, int]:
    return {name: samples.count(name) for name in samples.outcomes}


def get(path: str, **more: Any) -> list[dict[str, Any]]:
    return [{"operation": "one", "path": path, **more}]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("secure", [False, True])
async def test_each_family_with_tls_and_without(
    host: str, secure: bool, tls: Certificates, tmp_path: Path
) -> None:
    async with serving(host, tls if secure else None) as (shop, url):
        trust = Trust(str(tls.authority))
        found = await load(url + "/base/", tmp_path, trust, request=get("/😀?q=1"))
    assert outcomes(found) == {"200": REQUESTS}
    assert shop.asked == {"GET /base/😀": REQUESTS}


@pytest.mark.parametrize("verb", ["HEAD", "GET", "PUT", "DELETE", "OPTIONS", "PROPFIND"])
async def test_any_method(verb: str, tmp_path: Path) -> None:
    async with serving() as (shop, url):
        found = await load(url, tmp_path, request=get("/", method=verb))
    assert outcomes(found) == {"200": REQUESTS}
    assert shop.asked == {f"{verb} /": REQUESTS}
    assert len(shop.peers) < REQUESTS


async def test_chunks_and_what_they_say(tmp_path: Path) -> None:
    async with serving() as (_, url):
        check = {"body": "onetwo"}
        found = await load(url, tmp_path, request=get("/chunks", check=check))
    assert outcomes(found) == {"200": REQUESTS}


async def test_redirects_are_counted_and_not_followed(tmp_path: Path) -> None:
    async with serving() as (shop, url):
        found = await load(url, tmp_path, request=get("/moved"))
    assert outcomes(found) == {"302 redirect": REQUESTS}
    assert shop.asked == {"GET /moved": REQUESTS}


async def test_an_expected_503_has_not_failed(tmp_path: Path) -> None:
    async with serving() as (_, url):
        found = await load(url, tmp_path, request=get("/busy", expect=[200, 503]))
    assert int(found.of_kind("failed", "censored").sum()) == 0
    assert int(found.of_kind("refused").sum()) == REQUESTS


async def test_one_connection_for_each_request(tmp_path: Path) -> None:
    async with serving() as (shop, url):
        found = await load(url, tmp_path, request=get("/"), keep_alive=False)
    assert outcomes(found) == {"200": REQUESTS}
    assert len(shop.peers) == REQUESTS
    assert {headers["Connection"] for headers in shop.headers} == {"close"}


async def test_a_host_of_one_s_own_arrives_alone(tmp_path: Path) -> None:
    async with serving() as (shop, url):
        headers = {"host": "shop.example", "Content-Length": "2"}
        request = get("/", method="POST", headers=headers, body="{}")
        found = await load(url, tmp_path, request=request)
    assert outcomes(found) == {"200": REQUESTS}
    assert [each.getall("Host") for each in shop.headers] == [["shop.example"]] * REQUESTS
    assert [each.getall("Content-Length") for each in shop.headers] == [["2"]] * REQUESTS


async def test_a_sequence_sends_what_it_captured(tls: Certificates, tmp_path: Path) -> None:
    steps = [
        {"operation": "log in", "path": "/login", "method": "POST", "body": '{"id": {id}}',
         "capture": {"token": "/user/token"}},
        {"operation": "look", "path": "/users/{id}", "headers": {"Authorization": "{token}"},
         "check": {"header": {"X-Kind": "plain"}, "body": "hello"}},
    ]  # fmt: skip
    async with serving(tls=tls) as (shop, url):
        found = await load(
            url,
            tmp_path,
            Trust(str(tls.authority)),
            user_until=shop.asked_enough,
            values={"id": {"from": 1, "to": 10**9}},
            sequence=[{"request": steps}],
        )
    assert outcomes(found) == {"200": len(found)}
    tokens = [each["Authorization"] for each in shop.headers if "Authorization" in each]
    assert len(set(tokens)) == len(tokens)
    assert len(tokens) >= REQUESTS // 2
    looked = {path.rpartition("/")[2] for path in shop.asked if "/users/" in path}
    assert {f"t-{who}" for who in looked} == set(tokens)


async def test_whom_to_trust(tls: Certificates, tmp_path: Path) -> None:
    """A server whose certificate is not trusted is told of before the load, in one line."""
    async with serving(tls=tls) as (_, url):
        address, loop = Address.of(url), asyncio.get_running_loop()

        async def check(trust: Trust) -> None:
            await loop.run_in_executor(None, check_server, address, trust)

        with pytest.raises(BenchError, match=r"not trusted: .* --ca FILE.*--insecure") as raised:
            await check(Trust())
        assert "\n" not in str(raised.value)
        await check(Trust(str(tls.authority)))
        await check(Trust(insecure=True))
        found = await load(url, tmp_path, Trust(insecure=True), request=get("/"))
        assert outcomes(found) == {"200": REQUESTS}
    with pytest.raises(BenchError, match=f"nothing listens at 127.0.0.1 port {address.port}"):
        check_server(address, Trust())


async def test_https_where_none_is_spoken() -> None:
    async with serving() as (_, url):
        address = Address.of(url.replace("http:", "https:"))
        loop = asyncio.get_running_loop()
        with pytest.raises(BenchError, match="speaks no https"):
            await loop.run_in_executor(None, check_server, address, Trust())


@pytest.mark.parametrize(
    ("content", "message"), [(None, "No such file"), (b"x", "no certificate in PEM")]
)
def test_a_ca_file_that_is_none(tmp_path: Path, content: bytes | None, message: str) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableError, match=message):
        Trust(str(path)).context()


# ---- Python's own server: HTTP/1.0, which closes, and 1.1


@pytest.fixture(params=["HTTP/1.0", "HTTP/1.1"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    class Handler(SimpleHTTPRequestHandler):
        protocol_version = request.param

        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(tmp_path))

        def log_message(self, *_: object) -> None:
            pass

    (tmp_path / "file").write_text("content")
    with running(Handler) as url:
        yield url


@pytest.mark.parametrize("verb", ["GET", "HEAD"])
async def test_a_file_of_python_s_server(files: str, verb: str, tmp_path: Path) -> None:
    check = {"body": "content"} if verb == "GET" else {"header": {"Content-Length": "7"}}
    found = await load(files, tmp_path, request=get("/file", method=verb, check=check))
    assert outcomes(found) == {"200": REQUESTS}


async def test_a_failed_check_is_no_answer(files: str, tmp_path: Path) -> None:
    found = await load(files, tmp_path, request=get("/file", check={"body": "other"}))
    assert outcomes(found) == {"unexpected 200 body": REQUESTS}
    assert int(found.of_kind("failed").sum()) == REQUESTS


# ---- the generator's own limits

LOAD = """
import asyncio, resource, sys
from array import array
from pathlib import Path
from time import monotonic_ns
from bench.generator import engine
from bench.generator.connection import Http
from bench.records.samples import Writer
from bench.workload.address import Address
from bench.workload.draws import Draws
from bench.workload.http_file import parse
from bench.workload.sources import Templates

async def load():
    engine.CONNECTIONS_READY, engine.LATE_NS_MAX = 0, 10**11
    samples = Writer(Path(sys.argv[2]))
    address = Address.of(sys.argv[1])
    workload = parse({"timeout_s": 0.5, "request": [{"operation": "a", "path": "/"}]})
    source = Templates(Draws(workload, 1), address, samples.label)
    generator = engine.Generator(Http(address), source, samples, timeout_s=0.5)
    resource.setrlimit(resource.RLIMIT_NOFILE, (20, 20))
    await generator.run_open(monotonic_ns(), array("q", [0] * 60))
    generator.close()
    samples.close()

asyncio.run(load())
"""


def test_no_file_left_is_not_the_server_s_failure(tmp_path: Path) -> None:
    """What could not be sent is dropped under a name of its own; the rest is timed out."""
    with socket.socket() as silent:  # the kernel takes its connections, and nobody answers
        silent.bind(("127.0.0.1", 0))
        silent.listen(100)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        given = [sys.executable, "-c", LOAD, url, str(tmp_path / "s.bin")]
        subprocess.run(given, cwd=Path(__file__).parents[4], check=True)
    found = Reader(tmp_path / "s.bin").read()
    assert set(found.outcomes) == {"dropped limit", "timeout"}
    assert len(found) == 60
    assert 0 < found.count("timeout") < 20
