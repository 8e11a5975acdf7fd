"""Tokens, TLS to the clients, and TLS with a password to Kafka."""

import asyncio
import ssl

import aiohttp
import orjson
import psutil
import pytest
from support import certificates

from tests.contract.conftest import WAIT_S, spawn

TOKENS = {"KAFLINKSHOP_TOKEN": "shop-token", "KAFLINKSHOP_METRICS_TOKEN": "metrics-token"}
SHOP = {"Authorization": "Bearer shop-token"}
METRICS = {"Authorization": "Bearer metrics-token"}
TRACE = {"X-Trace": "1"}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/users/find/u1", {}),
        ("/users/find/u1", {"Authorization": "Bearer nope"}),
        ("/users/find/u1", {"Authorization": "Basic shop-token"}),
        ("/users/find/u1", TRACE),
        ("/users/find/u1", TRACE | SHOP),
        ("/metrics", {}),
        ("/metrics", SHOP),
    ],
)
async def test_401_sends_nothing(gateway, topics, path, headers):
    running = await gateway(**TOKENS)
    status, found, body = await running.ask("GET", path, headers=headers)
    assert (status, body["error"]["code"]) == (401, "unauthorized")
    assert found["WWW-Authenticate"] == "Bearer"
    assert "trace" not in body
    assert await topics.end_offsets() == topics.ends


@pytest.mark.parametrize("path", ["/nope", "/users/credit/add/u1/many"])
@pytest.mark.parametrize("headers", [TRACE, TRACE | SHOP, TRACE | METRICS])
async def test_a_refusal_has_no_trace_for_who_may_not_ask_for_one(gateway, path, headers):
    running = await gateway(**TOKENS)
    status, _, body = await running.ask("POST", path, headers=headers)
    assert status in (400, 401, 404)
    assert ("trace" in body) == (headers == TRACE | METRICS)


@pytest.mark.parametrize("headers", [SHOP, METRICS, METRICS | TRACE])
async def test_who_has_a_token_is_served(gateway, topics, headers):
    running = await gateway(**TOKENS)
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1", headers=headers))
    _, request = await topics.next()
    await topics.reply(request, user_id="u1")
    status, _, body = await asked
    assert status == 200
    assert ("trace" in body) == ("X-Trace" in headers)
    for name, value in TOKENS.items():
        assert value not in orjson.dumps(request).decode(), name


async def test_health_and_index_are_open_and_metrics_have_their_own_token(gateway):
    running = await gateway(**TOKENS)
    for path in ("/", "/health/live", "/health/ready"):
        assert (await running.ask("GET", path))[0] == 200
    async with running.session.get("/metrics", headers=METRICS) as response:
        text = await response.text()
    assert response.status == 200
    assert not any(token in text for token in TOKENS.values())
    command = psutil.Process(running.process.pid).cmdline()
    assert not any(token in word for token in TOKENS.values() for word in command)


async def test_a_token_file_that_is_not_there_is_one_line_and_exit_3():
    process = await spawn("--bootstrap", "127.0.0.1:1", KAFLINKSHOP_TOKEN_FILE="/no/such/file")
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode == 3
    why = b"KAFLINKSHOP_TOKEN_FILE can't be read: No such file or directory"
    assert output == b"gateway gw: " + why + b"\n"


async def test_https(gateway, topics, tmp_path):
    made = certificates.make(tmp_path)
    files = ("--tls-cert-file", str(made.certificate), "--tls-key-file", str(made.key))
    running = await gateway(*files, "--send-s", "1", "--receive-s", "3")
    assert running.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=made.authority)
    url = running.url + "/users/find/u1"
    async with aiohttp.ClientSession() as session:
        asked = asyncio.create_task(session.get(url, ssl=trusting))
        _, request = await topics.next()
        await topics.reply(request, user_id="u1")
        async with await asked as response:
            assert response.status == 200
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await session.get(url)
    reader, writer = await asyncio.open_connection(*running.url.removeprefix("https://").split(":"))
    writer.write(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")  # no TLS at all
    assert await asyncio.wait_for(reader.read(), WAIT_S) == b""
    writer.close()


@pytest.mark.parametrize("content", [None, "no PEM"])
async def test_a_certificate_that_is_none_is_one_line_and_exit_3(tmp_path, content):
    file = tmp_path / "cert.pem"
    if content:
        file.write_text(content)
    files = ("--tls-cert-file", str(file), "--tls-key-file", str(file))
    process = await spawn("--bootstrap", "127.0.0.1:1", *files)
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    assert process.returncode == 3
    assert output.startswith(b"gateway gw: --tls-cert-file and --tls-key-file can't be used: ")
    assert output.count(b"\n") == 1
