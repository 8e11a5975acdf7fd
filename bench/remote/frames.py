"""Leader and agent exchange frames over TCP, once each has proven that it has the token.

    4 bytes: the content's length, big endian | 1 byte: its kind | the content

The kind `j` is a JSON object, the others are parts of a generator's files. The token itself is
never sent: each side answers a random challenge by HMAC-SHA256. What follows is not encrypted.
"""

import hmac
import secrets
import select
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import orjson

from bench.errors import BenchError
from machine.secrets import read_secret

TOKEN = "KAFLINKSHOP_AGENT_TOKEN"  # noqa: S105  # a name
"""This variable of the environment, or the file that `<name>_FILE` names, has the token."""
TOKEN_BYTES_MIN = 16
"""A shorter token could be guessed from one recorded handshake."""
FRAME_BYTES_MAX = 1024 * 1024
"""A frame's content has at most this many bytes: a second of a generator's files comes in a few."""
GREETING_BYTES_MAX = 1024
"""A frame has at most this many bytes before the other side has proven itself."""
SILENT_S = 5.0
"""The other side counts as lost when it says nothing for so long, or takes so long for one frame.
Each is asked twice a second."""
NONCE_BYTES = 32
"""A challenge is as long as the HMAC is."""
JSON = b"j"
STRANGE = "it does not speak the protocol of generators"

_HEAD = struct.Struct(">Ic")


class LinkError(Exception):
    """The other side is lost, or does not follow the protocol; the message says how, in half a
    line."""


class Link:
    """A link is one TCP connection. Two threads may use it at once: one that sends, one that
    receives."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(SILENT_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection = connection
        self._sending = threading.Lock()

    def send(self, kind: bytes, content: bytes) -> None:
        """`send` raises `LinkError`."""
        try:
            with self._sending:
                self._connection.sendall(_HEAD.pack(len(content), kind) + content)
        except TimeoutError:
            raise LinkError(f"it took nothing for {SILENT_S:g} s") from None
        except OSError as cause:
            raise LinkError(cause.strerror or "the connection broke") from None

    def tell(self, **fields: Any) -> None:
        """`tell` sends a JSON object. It raises `LinkError`."""
        self.send(JSON, orjson.dumps(fields))

    def receive(self, limit: int = FRAME_BYTES_MAX) -> tuple[bytes, bytes]:
        """`receive` returns a frame's kind and content. It raises `LinkError`."""
        deadline_s = time.monotonic() + SILENT_S
        length, kind = _HEAD.unpack(self._exactly(_HEAD.size, deadline_s))
        if length > limit:
            raise LinkError(f"a frame of {length} bytes, at most {limit} are allowed")
        return kind, self._exactly(length, deadline_s)

    def hear(self, limit: int = FRAME_BYTES_MAX) -> Mapping[str, Any]:
        """`hear` returns a JSON object. It raises `LinkError` for anything else."""
        kind, content = self.receive(limit)
        return heard(kind, content)

    def is_readable(self, timeout_s: float) -> bool:
        """`is_readable` waits until something came, for at most `timeout_s`."""
        try:
            return bool(select.select([self._connection], [], [], timeout_s)[0])
        except (OSError, ValueError):  # closed meanwhile: receiving says so
            return True

    def shut(self) -> None:
        """`shut` ends the connection under another thread that waits for it."""
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._connection.close()

    def _exactly(self, count: int, deadline_s: float) -> bytes:
        parts = bytearray()
        while len(parts) < count:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not self.is_readable(left_s):
                raise LinkError(f"it was silent for {SILENT_S:g} s")
            try:
                part = self._connection.recv(count - len(parts))
            except OSError as cause:
                raise LinkError(cause.strerror or "the connection broke") from None
            if not part:
                raise LinkError("it closed the connection")
            parts += part
        return bytes(parts)


def heard(kind: bytes, content: bytes) -> Mapping[str, Any]:
    """`heard` returns the JSON object of a frame. It raises `LinkError` for anything else."""
    try:
        fields = orjson.loads(content) if kind == JSON else None
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise LinkError(STRANGE)
    return fields


def refusal(fields: Mapping[str, Any]) -> LinkError:
    """`refusal` returns what it means that the other side says this, and not what it should."""
    return LinkError(f"it refused: {fields['refused']}" if "refused" in fields else STRANGE)


# ---- who is there


def token() -> bytes:
    """`token` returns what leader and agents share. It raises `BenchError` where it is not set or
    too short, and `SecretError` where it can't be read."""
    found = read_secret(TOKEN)
    if found is None:
        raise BenchError(f"set {TOKEN}, or {TOKEN}_FILE, to the token of leader and agents")
    if len(found.encode()) < TOKEN_BYTES_MIN:
        raise BenchError(f"{TOKEN}: a token has {TOKEN_BYTES_MIN} bytes or more")
    return found.encode()


def challenge(link: Link, token: bytes) -> None:
    """`challenge` is the agent's side of the handshake. It raises `LinkError` for a leader without
    the token."""
    own = secrets.token_bytes(NONCE_BYTES)
    link.tell(nonce=own.hex())
    answer = link.hear(GREETING_BYTES_MAX)
    others = _bytes(answer.get("nonce"))
    if not hmac.compare_digest(_bytes(answer.get("proof")), _proof(token, b"leader", own, others)):
        link.tell(refused="the tokens differ")
        raise LinkError("its token is another")
    link.tell(proof=_proof(token, b"agent", others, own).hex())


def respond(link: Link, token: bytes) -> None:
    """`respond` is the leader's side of the handshake. It raises `LinkError` for an agent without
    the token."""
    own = secrets.token_bytes(NONCE_BYTES)
    others = _bytes(link.hear(GREETING_BYTES_MAX).get("nonce"))
    link.tell(nonce=own.hex(), proof=_proof(token, b"leader", others, own).hex())
    answer = link.hear(GREETING_BYTES_MAX)
    if "refused" in answer:
        raise refusal(answer)
    if not hmac.compare_digest(_bytes(answer.get("proof")), _proof(token, b"agent", own, others)):
        raise LinkError("its token is another")


def _proof(token: bytes, side: bytes, challenged: bytes, own: bytes) -> bytes:
    return hmac.digest(token, side + challenged + own, "sha256")


def _bytes(text: object) -> bytes:
    try:
        return bytes.fromhex(text) if isinstance(text, str) else b""
    except ValueError:
        return b""
