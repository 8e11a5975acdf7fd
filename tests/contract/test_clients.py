"""Clients that are idle, slow or deaf: each limit at its edge, with the limit lowered."""

import asyncio
import socket
from contextlib import suppress

import psutil
import pytest

from system.gateway.waiting import SILENT_S
from tests.contract.conftest import WAIT_S, until

LIVE = b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n"
USER = b"GET /users/find/u1 HTTP/1.1\r\nHost: h\r\n\r\n"
DEAF_BYTES = 4096
"""Of the receive buffer of a client that does not read."""
NEVER_S = "3600"
ANSWER = b"HTTP/1.1 "
KERNEL_BYTES_MAX = 32 * 1024 * 1024
"""Linux keeps at most 6 MiB for who receives and 4 MiB for who sends, by default."""
MILLISECONDS_S = 0.05
"""uvloop's clock goes by milliseconds, and stands while it handles what has come at once."""
FULL_S, LOOK_S = 0.5, 0.01
"""The kernel's buffers are full where nothing is taken for so long, by looks of this distance."""


async def connect(running, *, deaf: bool = False) -> socket.socket:
    """A connection that only the kernel reads, and hardly it where it is deaf."""
    client = socket.socket()
    client.setblocking(False)
    if deaf:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DEAF_BYTES)
    host, port = running.address
    await asyncio.get_running_loop().sock_connect(client, (host, int(port)))
    return client


async def send(client: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(client, data)


def fill(client: socket.socket) -> None:
    """Asks for metrics until the buffers of the kernel are full, and the gateway reads no more."""
    with suppress(BlockingIOError):
        while True:
            client.send(METRICS * 2000)


async def ask_until_full(client: socket.socket) -> tuple[int, bytes]:
    """Asks until nothing more is taken for a while: how often, and what is not sent of the last.
    Where that is more than a kernel keeps, the gateway reads on."""
    asked, rest, full_s = 0, b"", 0.0
    async with asyncio.timeout(WAIT_S):
        while full_s < FULL_S:
            if not rest:
                asked, rest = asked + 1000, LIVE * 1000
                assert asked * len(LIVE) < KERNEL_BYTES_MAX, "it reads on and on"
            try:
                rest, full_s = rest[client.send(rest) :], 0.0
            except BlockingIOError:
                await asyncio.sleep(LOOK_S)
                full_s += LOOK_S
    return asked, rest


async def answers(client: socket.socket, number: int) -> int:
    """How many have come, once there are so many, or the connection has ended."""
    loop, found, tail = asyncio.get_running_loop(), 0, b""
    while found < number:
        some = await asyncio.wait_for(loop.sock_recv(client, 1 << 20), WAIT_S)
        if not some:
            break
        found += (tail + some).count(ANSWER)
        tail = (tail + some)[1 - len(ANSWER) :]
    return found


async def status(client: socket.socket) -> int:
    """Of the next answer, which comes whole; 0 where the connection has ended."""
    try:
        head = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 65536), WAIT_S)
    except ConnectionError:
        return 0
    return int(head.split()[1]) if head else 0


async def until_closed(client: socket.socket) -> None:
    """Reads what there is; returns when the server has ended the connection."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(WAIT_S):
            while await loop.sock_recv(client, 65536):
                pass
    except ConnectionError:
        pass


def served(running) -> int:
    """Connections of clients that the gateway holds."""
    port = int(running.address[1])
    connections = psutil.Process(running.process.pid).net_connections()
    return sum(c.laddr.port == port and c.status == psutil.CONN_ESTABLISHED for c in connections)


async def until_served(running, count: int) -> None:
    async def is_so() -> bool:
        return served(running) == count

    await until(is_so)


async def silent(running) -> socket.socket:
    """A connection that has said nothing for `SILENT_S` by the gateway's clock, which begins as it
    takes the connection: the kernel lets a client in before that."""
    client = await connect(running)
    port = client.getsockname()[1]

    async def is_taken() -> bool:
        connections = psutil.Process(running.process.pid).net_connections()
        return any(each.raddr and each.raddr.port == port for each in connections)

    await until(is_taken)
    await asyncio.sleep(SILENT_S + MILLISECONDS_S)
    return client


async def test_who_never_reads_is_closed(gateway):
    running = await gateway("--send-s", "0.5")
    clients = [await connect(running, deaf=True) for _ in range(8)]
    for client in clients:
        fill(client)
    await until_served(running, 0)
    assert (await running.ask("GET", "/health/live"))[0] == 200
    for client in clients:
        client.close()


async def test_a_slow_reader_is_not_closed(gateway):
    """It takes longer than the limit for all of it, but not for one answer."""
    running = await gateway("--send-s", "2")
    client = await connect(running, deaf=True)
    reader, writer = await asyncio.open_connection(sock=client)
    count = 400
    writer.write(METRICS * count)
    found = 0
    for _ in range(count):
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), WAIT_S)
        (length,) = (
            int(line.split()[1])
            for line in head.lower().splitlines()
            if line.startswith(b"content-length")
        )
        await asyncio.wait_for(reader.readexactly(length), WAIT_S)
        found += 1
    assert found == count
    writer.close()


async def test_what_a_deaf_client_asked_is_not_answered_in_memory(gateway):
    """Thousands of answers are asked for; memory is for one of each client."""
    running = await gateway("--send-s", NEVER_S)
    process = psutil.Process(running.process.pid)
    await running.ask("GET", "/health/live")
    before = process.memory_info().rss
    clients = [await connect(running, deaf=True) for _ in range(50)]
    for client in clients:
        fill(client)
    # Others are answered all the while, and again.
    for _ in range(100):
        assert (await running.ask("GET", "/health/live"))[0] == 200
    assert process.memory_info().rss - before < 50 * 1024 * 1024
    for client in clients:
        client.close()


async def test_pipelined_requests_are_read_ahead_up_to_a_limit(gateway, topics):
    """One is under way, and the others wait: in the kernel, once as many as the limit were read."""
    running = await gateway("--pipelined-max", "3")
    client = await connect(running)
    await send(client, USER)
    _, request = await topics.next()
    asked, rest = await ask_until_full(client)
    await topics.reply(request)
    _, answered = await asyncio.gather(send(client, rest), answers(client, 1 + asked))
    assert answered == 1 + asked
    client.close()


async def test_the_head_of_a_request_has_a_limit(gateway):
    running = await gateway("--head-bytes-max", "1000")
    head = b"GET /health/live HTTP/1.1\r\nHost: h\r\nX-A: "
    fits, too_large = await connect(running), await connect(running)
    await send(fits, head + b"x" * (1000 - len(head)))
    await send(too_large, head + b"x" * (1001 - len(head)))
    assert await status(too_large) == 431
    await send(fits, b"\r\n\r\n")
    assert await status(fits) == 200
    for client in (fits, too_large):
        client.close()


async def test_a_long_head_behind_a_request_under_way_is_not_read(gateway, topics):
    running = await gateway("--head-bytes-max", "1000")
    head = b"GET /health/live HTTP/1.1\r\nHost: h\r\nX-A: "
    for size, answers in ((1000, 2), (1001, 1)):
        client = await connect(running)
        await send(client, USER)
        _, request = await topics.next()
        await send(client, head + b"x" * (size - len(head)))
        await running.ask("GET", "/health/live")  # the head has come
        await send(client, b"\r\n\r\n")
        await running.ask("GET", "/health/live")
        await topics.reply(request)
        found = b""
        while found.count(b"HTTP/1.1 200 OK") < answers:
            receiving = asyncio.get_running_loop().sock_recv(client, 65536)
            some = await asyncio.wait_for(receiving, WAIT_S)
            assert some
            found += some
        if answers == 1:
            await until_closed(client)
        client.close()


@pytest.mark.parametrize("begin", ["Content-Length: 2", "Transfer-Encoding: chunked"])
async def test_a_body_that_comes_by_itself_is_no_head(gateway, topics, begin):
    running = await gateway("--receive-s", "3")
    client = await connect(running)
    await send(client, f"POST /users/create HTTP/1.1\r\nHost: h\r\n{begin}\r\n\r\n".encode())
    await running.ask("GET", "/health/live")
    await send(client, b"{}" if "Length" in begin else b"2\r\n{}\r\n0\r\n\r\n")
    _, request = await topics.next()
    await topics.reply(request)
    assert await status(client) == 200
    await asyncio.sleep(3.2)  # longer than a head may take
    await send(client, LIVE)
    assert await status(client) == 200
    client.close()


async def test_a_slow_head_behind_a_request_under_way_is_waited_for_as_long(gateway, topics):
    running = await gateway("--receive-s", "0.5")
    client = await connect(running)
    await send(client, USER)
    _, request = await topics.next()
    await send(client, b"GET /health/live HTTP/1.1\r\nX-Slow: ")
    await asyncio.sleep(0.6)  # longer than a head may take: this one is not late yet
    await topics.reply(request)
    assert await status(client) == 200
    assert await status(client) == 400
    client.close()


@pytest.mark.parametrize(
    "slow",
    [
        b"",
        b"GET /users/find/u1 HTTP/1.1\r\nX-Slow: ",
        b"POST /users/create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{",
        b"POST /users/create HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n",
        b"POST /nope HTTP/1.1\r\nContent-Length: 2\r\n\r\n{",
        b"GET /health/live HTTP/1.1\r\nContent-Length: 2\r\n\r\n{",
        LIVE,
        LIVE + b"GET /users/find/u1 HTTP/1.1\r\nX-Slow: ",
        USER[:1],
    ],
)
async def test_who_sends_too_slowly_or_nothing_is_closed(gateway, slow):
    running = await gateway("--receive-s", "0.5", "--idle-s", "0.7", "--linger-s", "0.3")
    clients = [await connect(running) for _ in range(20)]
    for client in clients:
        await send(client, slow)
    for client in clients:
        await until_closed(client)
        client.close()
    await until_served(running, 0)


async def test_who_waits_longest_makes_room(gateway, topics):
    """At the limit an idle client goes, never one whose request is under way."""
    running = await gateway("--connections-max", "3", "--idle-s", NEVER_S, "--receive-s", NEVER_S)
    busy, idle = await connect(running), await connect(running)
    await send(busy, USER)
    _, request = await topics.next()
    slow = await silent(running)
    await send(idle, LIVE)
    assert await status(idle) == 200  # so it was used after `slow` came
    await send(slow, LIVE[:9])
    newcomer = await connect(running)
    await until_closed(slow)
    await send(newcomer, LIVE)
    assert await status(newcomer) == 200
    await send(idle, LIVE)
    assert await status(idle) == 200
    await topics.reply(request)
    assert await status(busy) == 200
    for client in (busy, idle, slow, newcomer):
        client.close()


async def test_who_has_not_asked_makes_room_for_who_has(gateway):
    """A flood of connections that say nothing drives no client out that was served before it."""
    running = await gateway("--connections-max", "2", "--idle-s", NEVER_S)
    served_once = await connect(running)
    await send(served_once, LIVE)
    assert await status(served_once) == 200
    flood = [await silent(running) for _ in range(3)]
    for first in flood[:-1]:
        await until_closed(first)
    await send(served_once, LIVE)
    assert await status(served_once) == 200
    for client in (served_once, *flood):
        client.close()


async def test_who_has_just_come_has_time_to_ask(gateway):
    """Those that are connected ahead of their first request: none drives another out, where clients
    that were served wait for longer."""
    running = await gateway("--connections-max", "8", "--idle-s", NEVER_S)
    idle = [await connect(running) for _ in range(8)]
    for client in idle:
        await send(client, LIVE)
        assert await status(client) == 200
    pool = [await connect(running) for _ in range(6)]
    for client in pool:
        await send(client, LIVE)
        assert await status(client) == 200
    for client in (*idle, *pool):
        client.close()


async def test_who_never_reads_makes_room(gateway):
    running = await gateway("--connections-max", "1", "--send-s", NEVER_S)
    deaf = await connect(running, deaf=True)
    fill(deaf)

    async def has_room() -> bool:  # once it has answered what it had read ahead
        return (await running.ask("GET", "/health/live"))[0] == 200

    await until(has_room)
    await until_closed(deaf)
    deaf.close()


async def test_where_all_are_busy_a_newcomer_is_refused(gateway, topics):
    running = await gateway("--connections-max", "1")
    busy = await connect(running)
    await send(busy, USER)
    _, request = await topics.next()
    refused = [await connect(running) for _ in range(4)]
    for client in refused:
        await send(client, LIVE)
        assert await status(client) == 503
        await until_closed(client)
    await topics.reply(request)
    assert await status(busy) == 200
    for client in (busy, *refused):
        client.close()


async def test_many_idle_clients_leave_room_for_others(gateway):
    """Five times as many as there may be, and each that comes is answered."""
    running = await gateway("--connections-max", "64")
    clients = []
    for _ in range(320):
        client = await connect(running)
        clients.append(client)
        await send(client, LIVE)
        assert await status(client) == 200
    assert served(running) <= 64
    for client in clients:
        client.close()
