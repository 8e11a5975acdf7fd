"""Crowds come by their numbers, and say what was done with them; rubbish comes by the seed."""

import asyncio
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from bench.faults import crowds
from bench.faults.crowds import KINDS, Crowd, Fuzz, Kind, fuzzed, idle, status_of
from bench.faults.fault import DEAF, SLOW_HEADERS
from bench.workload.address import Address

REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@asynccontextmanager
async def serving(answer: bytes, after_bytes: int) -> AsyncIterator[Address]:
    """A server that answers after so many bytes, and closes."""

    served: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.add(asyncio.current_task())
        seen = 0
        with suppress(ConnectionError):
            while seen < after_bytes and (more := await reader.read(1000)):
                seen += len(more)
            writer.write(answer)
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield Address.of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    server.close()
    await asyncio.gather(*(task for task in served if task))


async def test_slow_clients_are_held_and_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "DRIP_S", 0.01)
    kind = KINDS[SLOW_HEADERS]._replace(number=5)
    async with serving(REFUSED, len(kind.first) + 5) as address:
        bite = await Crowd(address, kind).run(1.0)
    assert bite.proof.startswith("5 connections at a time of 5 clients, ")
    assert "(400: " in bite.proof


async def test_deaf_clients_notice_that_they_are_shut_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "LOOK_S", 0.01)
    kind = KINDS[DEAF]._replace(number=3, requests=1)
    async with serving(REFUSED, len(kind.first)) as address:
        crowd = Crowd(address, kind)
        bite = await crowd.run(1.0)
    assert bite.proof.startswith("3 connections at a time of 3 clients, ")
    assert "the gateway closed 0" not in bite.proof


@pytest.mark.parametrize("requests", [1, 2])
async def test_who_was_shut_out_waits_for_a_turn(
    monkeypatch: pytest.MonkeyPatch, requests: int
) -> None:
    """Forty requests a second, however often each client is shut out."""
    monkeypatch.setattr(crowds, "ARRIVALS_PER_S", 40.0)
    monkeypatch.setattr(crowds, "DRIP_S", 0.001)
    kind = KINDS[SLOW_HEADERS]._replace(number=20, requests=requests)
    async with serving(REFUSED, 1) as address:
        crowd = Crowd(address, kind)
        bite = await crowd.run(2.0)
    assert 20 < crowd._opened <= 80 / requests + 1
    assert bite.proof == "", "they came, and were hardly there"


async def test_idle_clients_stay_until_they_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "IDLE_CLIENTS", 20)
    async with serving(REFUSED, 1) as address:
        bite = await idle(address, 0.5)
    assert bite.proof == "20 idle clients, of which the gateway closed 0"
    async with serving(REFUSED, 0) as address:
        bite = await idle(address, 0.5)
    assert bite.proof == "20 idle clients, of which the gateway closed 20"


async def test_idle_clients_that_nobody_lets_in_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "IDLE_CLIENTS", 20)
    async with serving(REFUSED, 1) as address:
        pass
    with suppress(ConnectionRefusedError):
        assert (await idle(address, 0.3)).proof == ""
    with socket.socket() as full:  # its queue takes two, and nobody takes them from it
        full.bind(("127.0.0.1", 0))
        full.listen(1)
        port = full.getsockname()[1]
        assert (await idle(Address.of(f"http://127.0.0.1:{port}"), 0.3)).proof == ""


async def test_a_crowd_that_is_not_let_in_does_not_bite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "DRIP_S", 0.01)
    async with serving(REFUSED, 1) as address:
        pass
    assert (await Crowd(address, Kind(3, b"", b"")).run(0.1)).proof == ""


async def test_fuzzed_requests_are_counted_by_their_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crowds, "FUZZED_REQUESTS", 50)
    async with serving(REFUSED, 1) as address:
        bite = await Fuzz(address).run(seed=1)
    assert (bite.proof, bite.broken) == ("50 fuzzed requests (400: 50)", ())
    async with serving(REFUSED.replace(b"400", b"500"), 1) as address:
        bite = await Fuzz(address).run(seed=1)
    assert bite.broken == ("50 fuzzed requests were answered 500",)


async def test_a_fuzzed_request_that_hangs_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crowds, "FUZZED_REQUESTS", 3)
    monkeypatch.setattr(crowds, "ANSWER_WAIT_S", 0.1)
    never = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    bite = await Fuzz(Address.of(f"http://127.0.0.1:{port}")).run(seed=1)
    never.set()
    server.close()
    await asyncio.sleep(0)  # so that each of them ends
    assert bite.broken == ("3 fuzzed requests had no end in 0.1 s",)


def test_the_same_seed_gives_the_same_rubbish() -> None:
    assert fuzzed(random.Random(7)) == fuzzed(random.Random(7))
    assert len({fuzzed(random.Random(seed)) for seed in range(300)}) > 250


@pytest.mark.parametrize(
    ("head", "status"), [(b"HTTP/1.1 204 No", "204"), (b"", "none"), (b"HTTP/1.1 2", "none")]
)
def test_the_status_of_an_answer(head: bytes, status: str) -> None:
    assert status_of(head) == status
