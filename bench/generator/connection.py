"""An HTTP/1.1 connection of the open-loop generator is cheap, and never sends anything twice.

An asyncio protocol on httptools' parser, one request at a time on each connection; no pipelining,
no redirects, no retries. What may happen when is `TABLE`: for each state and event the next state.
The states in which a connection ends without an answer bear the words that samples record.
"""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Any, Final, Literal, Protocol, cast

import httptools

from bench.generator.peers import Peers
from bench.records.samples import CONNECTION
from bench.workload.address import Address
from bench.workload.answer import final_head, has_length, is_persistent

BODY_BYTES_MAX = 4 * 1024 * 1024
"""An answer's body has at most this many bytes; one that is longer counts as a broken
connection."""
HEAD_BYTES_MAX = 256 * 1024
"""An answer's status line and headers have at most this many bytes, beyond what any server
sends."""

State = Literal[
    "idle", "sent", "head", "interim", "body", "tail", "done", "last",
    "closed", "cut short", "lost", "not HTTP", "too long an answer", "another protocol",
    "answer without a request",
]  # fmt: skip
"""A connection is in one of these states. idle: no request is under way. sent: nothing came yet.
head: of an answer, its head has begun. interim: its head was that of a 1xx. body: an answer with a
length. tail: one that ends with the connection. done: it is whole. last: it is whole, and the
connection is of no more use."""
Event = Literal[
    "send", "begin", "interim_head", "head", "head_alone", "head_of_tail", "part", "complete",
    "free", "end", "lost", "not_http", "too_long", "upgrade",
]  # fmt: skip
"""These events change the state. begin to complete are the parser's, in the order of an answer; a
"head_alone" has no body. free: whoever sent it has the answer. end: the server sends no more. lost:
reset, or as bad."""

_EVENTS: Final[tuple[Event, ...]] = (
    "send", "begin", "interim_head", "head", "head_alone", "head_of_tail", "part", "complete",
    "free", "end", "lost", "not_http", "too_long", "upgrade",
)  # fmt: skip
_ENDS: Final[dict[Event, State]] = {
    "end": "cut short",
    "lost": "lost",
    "not_http": "not HTTP",
    "too_long": "too long an answer",
    "upgrade": "another protocol",
}
"""Where these events lead, unless the state knows better."""

WHOLE: Final[frozenset[State]] = frozenset({"done", "last"})
"""The answer has come whole in these states."""
ENDS: Final[frozenset[State]] = frozenset({*_ENDS.values(), "closed", "answer without a request"})
"""A connection in one of these is closed, and what was under way has failed."""


def _row(elsewhere: State, **steps: State) -> dict[Event, State]:
    """`steps` by event; then `_ENDS`; then `elsewhere`."""
    return {event: steps.get(event) or _ENDS.get(event, elsewhere) for event in _EVENTS}


_LAST: Final[dict[Event, State]] = dict.fromkeys(_EVENTS, "last")
TABLE: Final[dict[State, dict[Event, State]]] = {
    "idle": _row("answer without a request", send="sent", end="closed"),
    "sent": _row("not HTTP", begin="head", end="closed"),
    "head": _row(
        "not HTTP", interim_head="interim", head="body", head_alone="done", head_of_tail="tail"
    ),
    "interim": _row("not HTTP", complete="sent"),
    "body": _row("not HTTP", part="body", complete="done"),
    "tail": _row("not HTTP", part="tail", end="last"),
    "done": _LAST | {"complete": "done", "free": "idle"},
    "last": _LAST,
    **{end: dict.fromkeys(_EVENTS, end) for end in ENDS},
}


class _Row:
    """A row of `TABLE`, whose steps are attributes that lead to rows: what is looked up fastest."""

    __slots__ = (*_EVENTS, "state")
    send: "_Row"
    begin: "_Row"
    interim_head: "_Row"
    head: "_Row"
    head_alone: "_Row"
    head_of_tail: "_Row"
    part: "_Row"
    complete: "_Row"
    free: "_Row"
    not_http: "_Row"
    too_long: "_Row"
    upgrade: "_Row"

    def __init__(self, state: State) -> None:
        self.state = state


def _linked() -> dict[State, _Row]:
    rows = {state: _Row(state) for state in TABLE}
    for state, steps in TABLE.items():
        for event, following in steps.items():
            setattr(rows[state], event, rows[following])
    return rows


_ROWS: Final = _linked()
_IDLE, _SENT, _HEAD, _DONE = (_ROWS[state] for state in ("idle", "sent", "head", "done"))
_BODY, _TAIL, _CLOSED = (_ROWS[state] for state in ("body", "tail", "closed"))
_SETTLED: Final = WHOLE | ENDS
_H: Final = ord("H")


class Http:
    """HTTP is the transport of connections to one address, or to several in turns."""

    def __init__(
        self,
        address: Address,
        tls: ssl.SSLContext | None = None,
        *,
        keep_alive: bool = True,
        others: Sequence[Address] = (),
    ) -> None:
        """`tls` says how an address of https is spoken to, `keep_alive` whether a connection is
        used for more than one request. Of several addresses each takes its turn, at connections and
        at requests; one that refuses a connection is passed over."""
        options = {"ssl": tls, "server_hostname": address.host} if address.tls else {}
        self._peers = Peers((address, *others), options)
        self._single_use = not keep_alive

    @property
    def takes_turns(self) -> bool:
        return len(self._peers) > 1

    async def prepare(self) -> None:
        """`prepare` looks the addresses up."""
        await self._peers.resolve()

    async def open(self, owner: "Owner") -> None:
        """`open` raises `OSError`, `TimeoutError` among them."""
        await self._peers.connect(lambda: Connection(owner, single_use=self._single_use))

    async def close(self) -> None:
        pass


class Owner(Protocol):
    """The owner of a connection is told what happens to it."""

    def opened(self, connection: "Connection") -> None: ...

    def answered(self, connection: "Connection") -> None:
        """`answered` says that the connection is free for the next request where `reusable`
        holds."""

    def broken(self, connection: "Connection", outcome: str) -> None:
        """`broken` says that it is closed; a request was under way where `context` is not None."""


class Connection(asyncio.Protocol):
    """A connection's `context`, `intended_ns` and `sent_ns` are the owner's, of the request under
    way."""

    __slots__ = (
        "_body_bytes", "_head_only", "_owner", "_parser", "_received", "_row", "_single_use",
        "_transport", "context", "intended_ns", "parts", "reusable", "sent_ns", "status",
    )  # fmt: skip

    def __init__(self, owner: Owner, *, single_use: bool = False) -> None:
        """A `single_use` connection is closed after one answer, whatever the server says."""
        self._owner = owner
        self._single_use = single_use
        self._parser: Any = None
        self._transport: asyncio.Transport | None = None
        self._body_bytes = 0
        self._head_only = False
        self._received = b""
        """These bytes came until the answer's head was whole."""
        self._row = _IDLE
        self.status = 0
        self.parts: list[bytes] = []
        """The answer's body came in these parts."""
        self.reusable = False
        self.context: Any = None
        self.intended_ns = 0
        self.sent_ns = 0

    @property
    def state(self) -> State:
        return self._row.state

    @property
    def head(self) -> bytes:
        """`head` returns the answer's status line and headers."""
        return final_head(self._received)

    def send(self, request: bytes) -> None:
        transport = self._transport
        assert transport is not None
        self._row = self._row.send
        self._head_only = request[0] == _H and request.startswith(b"HEAD ")
        self.parts.clear()
        self._body_bytes = 0
        transport.write(request)

    def abort(self) -> None:
        """`abort` ends the connection without a word to the owner."""
        self._row = _CLOSED
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    # ---- asyncio's

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpResponseParser(self)
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        if self._row is _SENT:
            self._received = data
        elif self._row is _HEAD:
            self._received += data
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._row = self._row.upgrade
        except httptools.HttpParserError:
            self._row = self._row.not_http
        row = self._row
        if row is _DONE and self.reusable:
            self._row = row.free
            self._owner.answered(self)
        elif row.state in _SETTLED:
            self._settle()
        elif row is _HEAD and len(self._received) > HEAD_BYTES_MAX:
            self._happened("too_long")

    def eof_received(self) -> None:
        self._happened("end")

    def connection_lost(self, error: Exception | None) -> None:
        if error is None:
            self._happened("end")
        else:
            self._happened("lost", type(error).__name__)

    # ---- httptools'

    def on_message_begin(self) -> None:
        self._row = self._row.begin

    def on_headers_complete(self) -> None:
        row = self._row
        if row is not _HEAD:
            self._row = row.head
            return
        self.status = status = self._parser.get_status_code()
        self.reusable = reusable = self._parser.should_keep_alive() and not self._single_use
        if status < 200:
            self._row = row.interim_head
        elif self._head_only:
            self._row = row.head_alone
            self.reusable = False  # until `_settle` knows
        elif reusable or has_length(self.head) or status in (204, 304):
            self._row = row.head
        else:
            self._row = row.head_of_tail

    def on_body(self, part: bytes) -> None:
        row = self._row
        if row is _BODY or row is _TAIL:  # which a part does not change
            self.parts.append(part)
            self._body_bytes += len(part)
            if self._body_bytes > BODY_BYTES_MAX:
                self._row = row.too_long
        else:
            self._row = row.part

    def on_message_complete(self) -> None:
        self._row = self._row.complete

    # ---- to the owner

    def _happened(self, event: Event, why: str = "") -> None:
        if self._transport is not None:
            self._row = getattr(self._row, event)
            if self.state in _SETTLED:
                self._settle(why)

    def _settle(self, why: str = "") -> None:
        """Tells the owner; only now, as what came with the answer may say that it is the last."""
        if self._transport is None:
            return
        if self.state in ENDS:
            outcome = f"{CONNECTION} {why or self.state}"
            self.abort()
            self._owner.broken(self, outcome)
            return
        if self.state == "last":
            self.reusable = False
        elif self._head_only:  # the parser waits for a body that does not come
            self.reusable = is_persistent(self.head) and not self._single_use
            self._parser = httptools.HttpResponseParser(self)
        self._row = self._row.free
        self._owner.answered(self)
        if not self.reusable:
            self.abort()
