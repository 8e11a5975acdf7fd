"""A crowd is many clients that behave badly: slow, deaf, idle, or talking rubbish."""

import asyncio
import errno
import os
import random
import re
import socket
import string
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Literal, NamedTuple

from bench.faults.fault import DEAF, FUZZ, IDLE, SLOW_BODIES, SLOW_HEADERS, Bite
from bench.generator.preflight import raise_files_limit
from bench.workload.address import Address

OPENING_MAX = 64
"""So many connections are opened at a time: below the backlog of any server."""
ARRIVALS_PER_S = 500.0
"""So many clients of a crowd come in a second, for the first time or again, or their first
requests, where each has several: a flood takes a core by itself, and is another fault than clients
who stay."""
DRIP_S = 1.0
"""A slow client sends a byte after this time."""
LOOK_S = 3.0
"""A deaf client looks whether it is still connected after this time; it can't read that it is
not."""
RECEIVE_BYTES = 4096
"""A deaf client's system takes at most about so much for it: Linux's least is half of this."""
PIPELINED = 8
"""A deaf client sends so many requests at once: as many as a gateway reads ahead."""
FUZZED_REQUESTS = 10_000
"""So many fuzzed requests are sent."""
FUZZERS = 32
"""So many of them are under way at a time: the machine is for the load."""
ANSWER_WAIT_S = 20.0
"""A fuzzed request is answered, or its connection closed, by then: a gateway waits for the rest of
a request for 10 s."""
HEAD_BYTES = 256
"""So much of an answer is read: its status is at the beginning."""
STAYS_S = 10.0
"""A client of a crowd stays for so long at least, unless the gateway breaks its limits on time."""
OPENED_SHARE_MIN = 0.9
"""A crowd of which fewer than this share was there at a time did not bite: of its number, or of
those that come while one stays."""

GET = b"GET / HTTP/1.1\r\nHost: crowd\r\n"
POST = b"POST /users/create HTTP/1.1\r\nHost: crowd\r\nContent-Length: 4000\r\n\r\n"
METRICS = b"GET /metrics HTTP/1.1\r\nHost: crowd\r\n\r\n"


class Kind(NamedTuple):
    """A kind of clients is what each of them sends first, and then again and again."""

    number: int
    first: bytes
    drip: bytes
    reads: bool = True
    requests: int = 1
    """Each asks so many at once."""

    @property
    def per_s(self) -> float:
        """`per_s` is how many come in a second."""
        return ARRIVALS_PER_S / self.requests


KINDS: Mapping[str, Kind] = {
    SLOW_HEADERS: Kind(1_000, GET + b"X-Slow: ", b"a"),
    SLOW_BODIES: Kind(1_000, POST, b"a"),
    DEAF: Kind(4_096, METRICS * PIPELINED, b"\r\n", reads=False, requests=PIPELINED),
}
TOGETHER_S = 0.02
"""Idle clients that are due within this time come together: one by one they would take a seventh of
a core, which is the load's."""
IDLE_CLIENTS = 15_000
"""So many clients are idle: some times as many as a gateway keeps."""


def let_in(url: str, what: str, duration_s: float, seed: int) -> Bite:
    """`let_in` lets a crowd in, and returns what the gateway did with it."""
    raise_files_limit()
    return asyncio.run(_crowd(url, what, duration_s, seed))


async def _crowd(url: str, what: str, duration_s: float, seed: int) -> Bite:
    address = Address.of(url)
    if what == FUZZ:
        return await Fuzz(address).run(seed)
    if what == IDLE:
        return await idle(address, duration_s)
    return await Crowd(address, KINDS[what]).run(duration_s)


class Doors:
    """The doors let in so many at a time."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._opening = asyncio.Semaphore(OPENING_MAX)

    @asynccontextmanager
    async def open(
        self, receive_bytes: int | None = None
    ) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """`open` yields a connection, cut off at the end. It raises `OSError`."""
        own = socket.socket()
        own.setblocking(False)
        if receive_bytes is not None:
            own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        try:
            async with self._opening:
                place = (self._address.host, self._address.port)
                await asyncio.get_running_loop().sock_connect(own, place)
                reader, writer = await asyncio.open_connection(sock=own, limit=HEAD_BYTES)
        except BaseException:
            own.close()
            raise
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


class Crowd:
    """These clients each hold a connection for as long as the gateway lets them, and come again."""

    def __init__(self, address: Address, kind: Kind) -> None:
        self._doors, self._kind = Doors(address), kind
        self._answers: Counter[str] = Counter()
        self._opened = self._open = self._most = self._shut = 0
        self._due_s = 0.0
        """The next client comes at this time of the loop at the earliest."""

    async def run(self, duration_s: float) -> Bite:
        with suppress(TimeoutError):
            async with asyncio.timeout(duration_s), asyncio.TaskGroup() as clients:
                for _ in range(self._kind.number):
                    clients.create_task(self._come())
        proof = (
            f"{self._most:,} connections at a time of {self._kind.number:,} clients, "
            f"{self._opened:,} in all, the gateway closed {self._shut:,}{_told(self._answers)}"
        )
        wanted = OPENED_SHARE_MIN * min(self._kind.number, STAYS_S * self._kind.per_s)
        return Bite(proof if self._most >= wanted else "")

    async def _turn(self) -> None:
        """Returns as soon as one more may come."""
        now_s = asyncio.get_running_loop().time()
        due_s = max(self._due_s, now_s)
        self._due_s = due_s + 1 / self._kind.per_s
        await asyncio.sleep(due_s - now_s)

    async def _come(self) -> None:
        """Whoever is shut out comes again."""
        while True:
            await self._turn()
            try:
                receive_bytes = None if self._kind.reads else RECEIVE_BYTES
                async with self._doors.open(receive_bytes) as (reader, writer):
                    self._opened += 1
                    self._open += 1
                    self._most = max(self._most, self._open)
                    try:
                        await self._stay(reader, writer)
                    finally:
                        self._open -= 1
                    self._shut += 1
            except OSError:
                await asyncio.sleep(DRIP_S)

    async def _stay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Returns when the gateway has closed the connection."""
        writer.write(self._kind.first)
        if not self._kind.reads:
            while not writer.transport.is_closing():
                await asyncio.sleep(LOOK_S)
                writer.write(self._kind.drip)
            return
        answer = asyncio.ensure_future(reader.read(HEAD_BYTES))
        try:
            while not answer.done():
                writer.write(self._kind.drip)
                await asyncio.wait((answer,), timeout=DRIP_S)
            self._answers[status_of(answer.result())] += 1
        finally:
            answer.cancel()


async def idle(address: Address, duration_s: float) -> Bite:
    """`idle` opens connections and says nothing; the gateway may close what it has no room for."""
    loop, held = asyncio.get_running_loop(), list[socket.socket]()
    begin_s = loop.time()
    try:
        while len(held) < IDLE_CLIENTS and loop.time() < begin_s + duration_s:
            come = min(IDLE_CLIENTS, int((loop.time() - begin_s) * ARRIVALS_PER_S) + 1)
            held += [_connecting(address) for _ in range(come - len(held))]
            await asyncio.sleep(TOGETHER_S)
        await asyncio.sleep(begin_s + duration_s - loop.time())
        fates = Counter(map(_fate, held))
    finally:
        for own in held:
            own.close()
    let_in = fates["held"] + fates["shut"]
    proof = f"{let_in:,} idle clients, of which the gateway closed {fates['shut']:,}"
    return Bite(proof if let_in >= OPENED_SHARE_MIN * IDLE_CLIENTS else "")


def _connecting(address: Address) -> socket.socket:
    """A connection that the system completes by itself. Raises `OSError`."""
    own = socket.socket()
    own.setblocking(False)
    failed = own.connect_ex((address.host, address.port))
    if failed not in (0, errno.EINPROGRESS):
        own.close()
        raise OSError(failed, os.strerror(failed))
    return own


def _fate(connection: socket.socket) -> Literal["held", "shut", "never"]:
    """What became of it: it is held, it was shut, or it was never let in."""
    try:
        connection.recv(1)  # the end, or a refusal
    except BlockingIOError:
        try:
            connection.getpeername()
        except OSError:
            return "never"
        return "held"
    except OSError as cause:
        return "shut" if cause.errno == errno.ECONNRESET else "never"
    return "shut"


class Fuzz:
    """These clients send what is nearly HTTP."""

    def __init__(self, address: Address) -> None:
        self._doors = Doors(address)
        self._answers: Counter[str] = Counter()
        self._hung = 0

    async def run(self, seed: int) -> Bite:
        chance = random.Random(seed)
        requests = iter([fuzzed(chance) for _ in range(FUZZED_REQUESTS)])

        async def send() -> None:
            for request in requests:
                await self._send(request)

        async with asyncio.TaskGroup() as clients:
            for _ in range(FUZZERS):
                clients.create_task(send())
        wrong = [
            f"{number} fuzzed requests were answered {status}"
            for status, number in self._answers.items()
            if status in ("500", "502", "504")
        ]
        if self._hung:
            wrong.append(f"{self._hung} fuzzed requests had no end in {ANSWER_WAIT_S:g} s")
        sent = self._answers.total() + self._hung
        return Bite(f"{sent:,} fuzzed requests{_told(self._answers)}", broken=tuple(wrong))

    async def _send(self, request: bytes) -> None:
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(ANSWER_WAIT_S), self._doors.open() as (reader, writer):
                writer.write(request)
                with suppress(OSError):
                    writer.write_eof()  # whoever sends half a request is done with it
                head = await reader.read(HEAD_BYTES)
                while await reader.read(HEAD_BYTES):
                    pass
            self._answers[status_of(head)] += 1
        except TimeoutError:
            self._hung += time.monotonic() - began_s >= ANSWER_WAIT_S
        except OSError:
            self._answers[status_of(b"")] += 1


def status_of(head: bytes) -> str:
    """`status_of` returns the status of an answer, or "none"."""
    found = re.match(rb"HTTP/1\.[01] (\d{3}) ", head)
    return found[1].decode() if found else "none"


def _told(answers: Counter[str]) -> str:
    told = ", ".join(f"{status}: {number:,}" for status, number in sorted(answers.items()))
    return f" ({told})" if told else ""


# ---- what is nearly HTTP

VERBS = (
    b"GET",
    b"POST",
    b"DELETE",
    b"HEAD",
    b"PUT",
    b"OPTIONS",
    b"get",
    b"",
    b"G\x00T",
    b"M" * 300,
)
PATHS = (
    *(b"/", b"/users/create", b"/users/find/%00", b"/users/find/../../etc", b"/echo/fuzz", b"*"),
    *(b"/users/credit/add/x/-1", b"/users/credit/add/x/1e9", b"/stock/item/create?price=0", b"//"),
    *(b"/health/ready?x=1", b"/metrics?", b"/" + b"a" * 9000, b"http://other/", b"/%zz", b"/\xff"),
)
VERSIONS = (*(b"HTTP/1.1",) * 8, b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9.9", b"HTP", b"")
HEADERS = (
    *(b"Host: fuzz", b"Host: fuzz\r\nHost: other", b"Content-Length: 5", b"Content-Length: -1"),
    *(b"Content-Length: 5, 6", b"Content-Length: 99999999999999999999", b"Connection: close"),
    *(b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Expect: 100-continue"),
    *(b"Expect: else", b"Idempotency-Key: \xff", b"Idempotency-Key: " + b"k" * 65, b"Upgrade: h2c"),
    *(b"no colon", b": no name", b"A b: c", b" folded", b"X: " + b"y" * 9000, b"X: \x00"),
    *(b"Cookie: a=b",) * 3,
)
BODIES = (
    b"",
    b"",
    b"12345",
    b"5\r\n12345\r\n0\r\n\r\n",
    b"fffffffff\r\n",
    b"x" * 5000,
    b"GET / HT",
)
ALPHABET = string.printable.encode() + bytes(range(128, 256))


def fuzzed(chance: random.Random) -> bytes:
    """`fuzzed` returns a request of odd parts, cut or with bytes changed, or none at all."""
    if chance.random() < 0.1:
        return bytes(chance.choices(ALPHABET, k=chance.randrange(1, 400)))
    line = b" ".join((chance.choice(VERBS), chance.choice(PATHS), chance.choice(VERSIONS)))
    headers = chance.sample(HEADERS, chance.randrange(5)) * chance.choice((1, 1, 1, 1, 30))
    request = b"\r\n".join((line, b"Host: fuzz", *headers, b"", chance.choice(BODIES)))
    changes: tuple[Callable[[bytes], bytes], ...] = (
        bytes,
        lambda whole: whole[: chance.randrange(len(whole)) + 1],
        lambda whole: _changed(whole, chance),
        lambda whole: whole.replace(b"\r\n", b"\n"),
    )
    return chance.choice(changes)(request)


def _changed(whole: bytes, chance: random.Random) -> bytes:
    made = bytearray(whole)
    for _ in range(chance.randrange(1, 4)):
        made[chance.randrange(len(made))] = chance.choice(ALPHABET)
    return bytes(made)
