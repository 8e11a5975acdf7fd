"""Frames travel whole, and whoever has no token gets nowhere."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import BenchError
from bench.remote import frames
from bench.remote.frames import (
    FRAME_BYTES_MAX,
    GREETING_BYTES_MAX,
    JSON,
    TOKEN,
    TOKEN_BYTES_MIN,
    Link,
    LinkError,
    challenge,
    respond,
    token,
)


@contextmanager
def links() -> Iterator[tuple[Link, Link, socket.socket]]:
    """Two ends of a connection, and the first one's socket."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        one = socket.create_connection(listener.getsockname())
        other, _ = listener.accept()
    with one, other:
        yield Link(one), Link(other), one


@given(st.lists(st.tuples(st.sampled_from([b"s", b"m", b"h"]), st.binary(max_size=5000))))
def test_frames_come_as_they_were_sent(sent: list[tuple[bytes, bytes]]) -> None:
    with links() as (one, other, _):
        for kind, content in sent:
            one.send(kind, content)
            assert other.receive() == (kind, content)


def test_a_frame_has_a_largest_length() -> None:
    with links() as (one, other, _):
        sender = threading.Thread(target=one.send, args=(b"s", bytes(FRAME_BYTES_MAX)))
        sender.start()
        assert len(other.receive()[1]) == FRAME_BYTES_MAX
        sender.join()
        one.send(b"s", bytes(GREETING_BYTES_MAX + 1))
        with pytest.raises(LinkError, match="at most 1024 are allowed"):
            other.receive(GREETING_BYTES_MAX)


@given(st.binary(max_size=300))
def test_whatever_comes_is_a_frame_or_one_line(content: bytes) -> None:
    with links() as (_, other, raw):
        raw.sendall(content)
        raw.shutdown(socket.SHUT_WR)
        with pytest.raises(LinkError):
            all(map(Link.hear, repeat(other)))


@pytest.mark.parametrize(
    ("kind", "content"), [(JSON, b"[1]"), (JSON, b"{"), (b"s", b"{}"), (JSON, b"")]
)
def test_only_an_object_is_heard(kind: bytes, content: bytes) -> None:
    with links() as (one, other, _):
        one.send(kind, content)
        with pytest.raises(LinkError, match="does not speak the protocol"):
            other.hear()


def test_whoever_stops_within_a_frame_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "SILENT_S", 0.05)
    with links() as (_, other, raw):
        raw.sendall(b"\0\0\0\5jab")
        with pytest.raises(LinkError, match="silent for"):
            other.receive()


def handshake(leaders: bytes, agents: bytes) -> list[str]:
    """What each side that refuses says."""
    told: list[str] = []

    def agent(link: Link) -> None:
        try:
            challenge(link, agents)
        except LinkError as cause:
            told.append(f"agent: {cause}")

    with links() as (leader, other, _):
        thread = threading.Thread(target=agent, args=(other,))
        thread.start()
        try:
            respond(leader, leaders)
        except LinkError as cause:
            told.append(f"leader: {cause}")
        thread.join()
    return sorted(told)


def test_who_has_the_token_is_let_in() -> None:
    assert handshake(b"a" * 16, b"a" * 16) == []


def test_who_has_another_token_is_not() -> None:
    assert handshake(b"a" * 16, b"b" * 16) == [
        "agent: its token is another",
        "leader: it refused: the tokens differ",
    ]


def test_an_agent_that_only_repeats_what_it_hears_is_not_let_in() -> None:
    def mirror(link: Link) -> None:
        link.tell(nonce="00" * 32)
        link.tell(proof=link.hear()["proof"])

    with links() as (leader, other, _):
        thread = threading.Thread(target=mirror, args=(other,))
        thread.start()
        with pytest.raises(LinkError, match="its token is another"):
            respond(leader, b"a" * 16)
        thread.join()


@pytest.mark.parametrize("answer", [{}, {"nonce": "zz", "proof": 1}, {"nonce": "", "proof": ""}])
def test_a_leader_without_a_proof_is_not_let_in(answer: dict[str, object]) -> None:
    with links() as (leader, other, _):
        leader.tell(**answer)
        with pytest.raises(LinkError, match="its token is another"):
            challenge(other, b"a" * 16)


def test_a_token_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(TOKEN, raising=False)
    monkeypatch.delenv(f"{TOKEN}_FILE", raising=False)
    with pytest.raises(BenchError, match=f"set {TOKEN}"):
        token()
    monkeypatch.setenv(TOKEN, "a" * (TOKEN_BYTES_MIN - 1))
    with pytest.raises(BenchError, match="16 bytes or more"):
        token()
    monkeypatch.setenv(TOKEN, "a" * TOKEN_BYTES_MIN)
    assert token() == b"a" * TOKEN_BYTES_MIN
