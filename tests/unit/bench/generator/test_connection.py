"""The generator's connection: what it makes of any answer, however it comes."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.generator import connection as module
from bench.generator.connection import _EVENTS, ENDS, TABLE, WHOLE, Connection


class Told:
    """An owner and a transport in one: remembers what it is told."""

    def __init__(self) -> None:
        self.answers: list[tuple[int, bytes, bool]] = []
        self.broke: list[str] = []
        self.written: list[bytes] = []
        self.aborted = False

    def opened(self, connection: Connection) -> None:
        pass

    def answered(self, connection: Connection) -> None:
        connection.context = None
        self.answers.append((connection.status, b"".join(connection.parts), connection.reusable))

    def broken(self, connection: Connection, outcome: str) -> None:
        connection.context = None
        self.broke.append(outcome)

    def write(self, request: bytes) -> None:
        self.written.append(request)

    def abort(self) -> None:
        self.aborted = True


GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = GET.replace(b"GET", b"HEAD")


def opened(told: Any, **options: Any) -> Connection:
    connection = Connection(told, **options)
    connection.connection_made(told)
    return connection


def send(connection: Connection, request: bytes = GET) -> None:
    connection.context = "asked"
    connection.send(request)


def played(request: bytes, segments: list[bytes], end: bool = False) -> Told:
    told = Told()
    connection = opened(told)
    send(connection, request)
    for segment in segments:
        if not told.aborted:
            connection.data_received(segment)
    if end and not told.aborted:
        connection.eof_received()
        connection.connection_lost(None)
    return told


OK = b"HTTP/1.1 200 OK\r\n"
WITH_LENGTH = OK + b"Content-Length: 3\r\n\r\nabc"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\nTrailer: t\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

ANSWERS = [
    ("a length", GET, WITH_LENGTH, False, (200, b"abc", True)),
    ("chunks", GET, CHUNKED, False, (200, b"abc", True)),
    ("nothing in it", GET, OK + b"Content-Length: 0\r\n\r\n", False, (200, b"", True)),
    ("empty lines before it", GET, b"\r\n\r\n" + WITH_LENGTH, False, (200, b"abc", True)),
    ("100", GET, b"HTTP/1.1 100 Continue\r\n\r\n" + WITH_LENGTH, False, (200, b"abc", True)),
    ("three 1xx", GET, EARLY * 3 + CHUNKED, False, (200, b"abc", True)),
    ("204", GET, b"HTTP/1.1 204 No\r\n\r\n", False, (204, b"", True)),
    ("204 that closes", GET, b"HTTP/1.1 204 No\r\nConnection: close\r\n\r\n", False,
     (204, b"", False)),
    ("304 with a length", GET, b"HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", False,
     (304, b"", True)),
    ("HEAD with a length", HEAD, OK + b"Content-Length: 9\r\n\r\n", False, (200, b"", True)),
    ("HEAD with length 0", HEAD, OK + b"Content-Length: 0\r\n\r\n", False, (200, b"", True)),
    ("HEAD without one", HEAD, OK + b"\r\n", False, (200, b"", True)),
    ("HEAD of chunks", HEAD, OK + b"Transfer-Encoding: chunked\r\n\r\n", False, (200, b"", True)),
    ("HEAD after 1xx", HEAD, EARLY + OK + b"Content-Length: 9\r\n\r\n", False, (200, b"", True)),
    ("HEAD that closes", HEAD, OK + b"Connection: close\r\n\r\n", False, (200, b"", False)),
    ("HEAD of HTTP/1.0", HEAD, b"HTTP/1.0 200 OK\r\n\r\n", False, (200, b"", False)),
    ("HEAD, 404", HEAD, b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\n", False, (404, b"", True)),
    ("a length, and closes", GET, OK + b"Connection: close\r\nContent-Length: 3\r\n\r\nabc", False,
     (200, b"abc", False)),
    ("HTTP/1.0", GET, b"HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", False,
     (200, b"abc", False)),
    ("until the end", GET, OK + b"\r\nabc", True, (200, b"abc", False)),
    ("nothing until the end", GET, OK + b"\r\n", True, (200, b"", False)),
    ("HTTP/1.0 until the end", GET, b"HTTP/1.0 200 OK\r\n\r\nabc", True, (200, b"abc", False)),
    ("a coding until the end", GET, OK + b"Transfer-Encoding: x\r\n\r\nabc", True,
     (200, b"abc", False)),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "answer", "end", "expected"),
    [case[1:] for case in ANSWERS],
    ids=[case[0] for case in ANSWERS],
)
def test_an_answer_split_at_every_byte(request_, answer, end, expected) -> None:
    splits = [[answer], [answer[i : i + 1] for i in range(len(answer))]]
    splits += [[answer[:at], answer[at:]] for at in range(1, len(answer))]
    for segments in splits:
        told = played(request_, segments, end)
        assert told.answers == [expected], segments
        assert told.broke == []
        assert told.aborted is not expected[2]


BROKEN = [
    ("nothing", GET, b"", True, "connection closed"),
    ("1xx alone", GET, EARLY, True, "connection closed"),
    ("half a head", GET, OK, True, "connection cut short"),
    ("half a body", GET, WITH_LENGTH[:-1], True, "connection cut short"),
    ("half the chunks", GET, CHUNKED[:-9], True, "connection cut short"),
    ("closing, half a body", GET, OK + b"Connection: close\r\nContent-Length: 9\r\n\r\nabc", True,
     "connection cut short"),
    ("HTTP/1.0, half a body", GET, b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nabc", True,
     "connection cut short"),
    ("TLS", GET, b"\x15\x03\x01\x00\x02\x02\x16", False, "connection not HTTP"),
    ("SSH", GET, b"SSH-2.0-OpenSSH_9.2\r\n", False, "connection not HTTP"),
    ("HTTP/2", GET, b"\x00\x00\x12\x04\x00\x00\x00\x00\x00", False, "connection not HTTP"),
    ("a chunk that is none", GET, OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", False,
     "connection not HTTP"),
    ("101", GET, b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc", False,
     "connection another protocol"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("request_", "answer", "end", "outcome"),
    [case[1:] for case in BROKEN],
    ids=[case[0] for case in BROKEN],
)
def test_what_is_no_answer_split_at_every_byte(request_, answer, end, outcome) -> None:
    for at in range(len(answer) + 1):
        told = played(request_, [answer[:at], answer[at:]] if at else [answer], end)
        assert told.answers == []
        assert told.broke == [outcome]
        assert told.aborted


def test_a_connection_is_used_again_and_again() -> None:
    told = Told()
    connection = opened(told)
    for request, answer in [(GET, CHUNKED), (HEAD, WITH_LENGTH[:-3]), (GET, WITH_LENGTH)] * 3:
        send(connection, request)
        connection.data_received(answer)
        assert connection.state == "idle"
    assert [status for status, *_ in told.answers] == [200] * 9
    assert told.answers[6:] == [(200, b"abc", True), (200, b"", True), (200, b"abc", True)]


@pytest.mark.parametrize("surplus", [b"H", WITH_LENGTH, b"junk", b"\x00"])
@pytest.mark.parametrize("request_", [GET, HEAD])
def test_no_answer_reaches_another_request(request_: bytes, surplus: bytes) -> None:
    """What comes with an answer, or after it, ends the connection."""
    answer = WITH_LENGTH if request_ == GET else WITH_LENGTH[:-3]
    body = b"abc" if request_ == GET else b""
    together = played(request_, [answer + surplus])
    assert together.answers == [(200, body, False)]
    assert together.broke == []
    assert together.aborted
    after = played(request_, [answer, surplus])
    assert after.answers == [(200, body, True)]
    assert len(after.broke) == 1
    assert after.aborted


@pytest.mark.parametrize("request_", [GET, HEAD])
def test_one_request_each_where_that_is_asked_for(request_: bytes) -> None:
    told = Told()
    connection = opened(told, single_use=True)
    send(connection, request_)
    connection.data_received(WITH_LENGTH if request_ == GET else WITH_LENGTH[:-3])
    assert [reusable for *_, reusable in told.answers] == [False]
    assert told.aborted


def test_too_long_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BODY_BYTES_MAX", 3)
    assert played(GET, [WITH_LENGTH]).answers == [(200, b"abc", True)]
    assert played(GET, [OK + b"\r\nab", b"c"], end=True).answers == [(200, b"abc", False)]
    longer = OK + b"Content-Length: 4\r\n\r\nabcd"
    assert played(GET, [longer]).broke == ["connection too long an answer"]
    assert played(GET, [OK + b"\r\nab", b"cd"]).broke == ["connection too long an answer"]


def test_too_long_heads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HEAD_BYTES_MAX", len(WITH_LENGTH))
    bytes_alone = [WITH_LENGTH[i : i + 1] for i in range(len(WITH_LENGTH))]
    assert played(GET, bytes_alone).answers == [(200, b"abc", True)]
    endless = [OK] + [b"A: b\r\n"] * 9
    assert played(GET, endless).broke == ["connection too long an answer"]


@pytest.mark.parametrize("received", [b"", OK, WITH_LENGTH[:-1], OK + b"\r\nabc"])
def test_a_reset(received: bytes) -> None:
    """Also of an answer that only the connection's end would end: who knows what was missing."""
    told = Told()
    connection = opened(told)
    send(connection)
    if received:
        connection.data_received(received)
    connection.connection_lost(ConnectionResetError())
    assert told.broke == ["connection ConnectionResetError"]
    assert told.answers == []


@pytest.mark.parametrize("error", [None, ConnectionResetError()])
def test_an_idle_connection_that_ends_is_nobody_s_failure(error: Exception | None) -> None:
    told = Told()
    connection = opened(told)
    if error is None:
        connection.eof_received()
    connection.connection_lost(error)
    assert len(told.broke) == 1
    assert told.answers == []


def test_an_aborted_connection_says_nothing() -> None:
    told = Told()
    connection = opened(told)
    send(connection)
    connection.abort()
    connection.data_received(WITH_LENGTH)
    connection.eof_received()
    connection.connection_lost(None)
    assert told.answers == []
    assert told.broke == []


# ---- the table


def test_each_state_knows_each_event() -> None:
    for state, row in TABLE.items():
        assert set(row) == set(_EVENTS), state
        assert set(row.values()) <= set(TABLE), state
    for end in ENDS:
        assert set(TABLE[end].values()) == {end}
    reached = {"idle"}
    for _ in TABLE:
        reached |= {following for state in reached for following in TABLE[state].values()}
    assert reached == set(TABLE)


@given(st.lists(st.sampled_from(_EVENTS)))
def test_an_answer_is_whole_only_after_its_request_and_its_head(events: list[Any]) -> None:
    state, seen = "idle", []
    for event in events:
        following = TABLE[state][event]
        seen.append(event)
        if following in WHOLE and state not in WHOLE:
            assert "send" in seen
            assert "begin" in seen
            assert {"head", "head_alone", "head_of_tail"} & set(seen)
        if following == "sent" and state == "idle":
            seen = ["send"]
        state = following


PIECES = [OK, WITH_LENGTH, CHUNKED, EARLY, b"\r\n", b"abc", b"0\r\n\r\n", b"HTTP/1.0 404 No\r\n",
          b"Content-Length: 3\r\n", b"Content-Length: 99999999999999999999\r\n",
          b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"\x00",
          b"HTTP/1.1 "]  # fmt: skip
RECEIVED = st.lists(st.sampled_from(PIECES) | st.binary(max_size=9), max_size=8).map(b"".join)


@given(
    RECEIVED,
    st.lists(st.integers(1, 20), max_size=9),
    st.sampled_from([GET, HEAD]),
    st.sampled_from(["end", "reset", "stays"]),
)
def test_any_bytes_end_a_request_once(
    received: bytes, sizes: list[int], request_: bytes, how: str
) -> None:
    """The same, however they are split."""

    def play(segments: list[bytes]) -> Told:
        told = Told()
        connection = opened(told)
        send(connection, request_)
        for segment in segments:
            if told.answers or told.broke:
                break
            connection.data_received(segment)
        if not told.answers and not told.broke and how != "stays":
            if how == "end":
                connection.eof_received()
            connection.connection_lost(None if how == "end" else ConnectionResetError())
        return told

    cut, at = [], 0
    for size in sizes:
        cut.append(received[at : at + size])
        at += size
    whole = play([received] if received else [])
    split = play([segment for segment in [*cut, received[at:]] if segment])
    assert len(whole.answers) + len(whole.broke) <= 1
    assert how == "stays" or whole.answers or whole.broke
    assert [answer[:2] for answer in whole.answers] == [answer[:2] for answer in split.answers]
    assert whole.broke == split.broke


# ---- on a socket


async def test_a_server_that_half_closes_first_has_not_answered() -> None:
    """It has said that nothing follows; what the client sends after that is for nobody."""

    async def half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write_eof()
        await reader.read()
        writer.close()
        await writer.wait_closed()
        over.set()

    server = await asyncio.start_server(half_close, "127.0.0.1", 0)
    done, over = asyncio.Event(), asyncio.Event()

    class Waiting(Told):
        def broken(self, connection: Connection, outcome: str) -> None:
            super().broken(connection, outcome)
            done.set()

    told: Any = Waiting()
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(
        lambda: Connection(told), *server.sockets[0].getsockname()
    )
    send(connection)
    await done.wait()
    await over.wait()
    assert told.broke == ["connection closed"]
    server.close()
    await server.wait_closed()
