"""These HTTP connections are aiohttp's, with JSON errors and limits on slow and many clients.

What nearly all clients send, one request without a body after the other, is handed to the
application within the call that brings it, and answered within the one that brings its reply.
aiohttp's task, which each connection has, handles all else.
"""

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Protocol, cast

import orjson
from aiohttp.abc import AbstractStreamWriter
from aiohttp.hdrs import EXPECT
from aiohttp.http import HttpRequestParser, HttpVersion11, RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web import BaseRequest, RequestPayloadError, Response, Server
from aiohttp.web_protocol import RequestHandler

from system import wire
from system.gateway.heads import JSON, Heads
from system.gateway.limits import Limits
from system.gateway.waiting import Waiting

log = logging.getLogger(__name__)
READ_BYTES = 64 * 1024
"""A body is read ahead of its handler up to this size."""


class Application(Protocol):
    """The application answers requests. `headers` leads from a status to the headers of its
    answers, where they are more than `JSON`."""

    headers: Mapping[int, Mapping[str, str]]

    def ask(self, message: RawRequestMessage, client: "Connection") -> bool:
        """`ask` takes a request without a body, and has `client.answer` called once, now or later;
        it returns False, and does nothing, where the request is one for `handle`."""

    def handle(self, request: BaseRequest) -> Awaitable[Response]:
        """`handle` returns the response to any request."""


def error_body(code: str, message: str, request_id: str | None = None) -> bytes:
    fields = {} if request_id is None else {"request_id": request_id}
    return orjson.dumps(fields | wire.error(code, message))


class Connection(RequestHandler):
    """This is a client's connection. Whoever must wait for its client does so for a limited time:

    until a request is whole, `receive_s`; until the client has taken an answer, `send_s`; until the
    next request begins, `idle_s`. Of the next requests at most `pipelined_max` are read ahead.
    """

    __slots__ = (
        "__weakref__",
        "_asking",
        "_body",
        "_counted",
        "_half_closed",
        "_head_bytes",
        "_limits",
        "_receive_timer",
        "_send_timer",
        "_unsent_since_s",
        "_wire",
    )

    def __init__(self, server: "HttpServer", *, loop: asyncio.AbstractEventLoop) -> None:
        limits = self._limits = server.limits
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.linger_s,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes it, and so logs nothing
        )
        # What aiohttp makes itself reads 32 requests ahead, whatever their size.
        self._parser = HttpRequestParser(
            self,
            loop,
            READ_BYTES,
            max_line_size=limits.line_bytes_max,
            max_field_size=limits.line_bytes_max,
            max_headers=limits.headers_max,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=limits.pipelined_max,
        )
        self._max_msg_queue_size = limits.pipelined_max
        self._msg_queue_resume_size = limits.pipelined_max // 2
        self._receive_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None
        self._unsent_since_s = 0.0
        self._head_bytes = 0
        """So many bytes have come of a request that is not whole yet."""
        self._half_closed = False
        self._asking = False
        """The flag says whether a request is under way of which aiohttp's task knows nothing."""
        self._body: StreamReader = EMPTY_PAYLOAD
        """The request that was taken last has this body."""
        self._counted = True
        """The flag says whether this is one of the server's open connections."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._manager
        assert isinstance(server, HttpServer)
        self._wire = cast(asyncio.Transport, transport)
        # What the kernel does not take makes the handler wait, and is timed.
        self._wire.set_write_buffer_limits(high=0)
        super().connection_made(transport)
        server.connections_open += 1
        server.waiting.came(self, self._loop.time())
        if server.connections_open > self._limits.connections_max and not server.make_room(self):
            server.waiting.forget(self)
            self._reject(503, "overloaded", "too many connections")

    def connection_lost(self, exc: BaseException | None) -> None:
        self._uncount()
        self._stop_receive_timer()
        self._stop_send_timer()
        super().connection_lost(exc)

    def _uncount(self) -> None:
        if self._counted and isinstance(self._manager, HttpServer):
            self._manager.connections_open -= 1
            self._manager.waiting.forget(self)
        self._counted = False

    # ---- whom the connection waits for

    def waits_since_s(self) -> float | None:
        """The connection has waited for its client since this time, by the loop's clock, for the
        next request or to take an answer; None while it does not."""
        if not self._counted:
            return None
        if self._send_timer is not None:
            return self._unsent_since_s
        if self._request_count > 0 and self._is_idle():
            return self._next_keepalive_close_time - self._keepalive_timeout
        return None

    def drop(self) -> None:
        """`drop` ends the connection at once, for the sake of another."""
        self._uncount()
        self._wire.abort()

    def _is_idle(self) -> bool:
        """Whether all that came was answered."""
        return self._waiter is not None and not self._messages and not self._asking

    def data_received(self, data: bytes) -> None:
        if self._half_closed:
            return
        before = self._request_count
        # What ends a body is no head, and what follows an upgrade is nobody's.
        is_head = not (self._buffer_paused or self._upgraded) and self._bodies_are_whole()
        waiter = self._waiter
        if waiter is None or waiter.done():  # it is about to take what has come
            super().data_received(data)
        else:
            self._waiter = None  # so that aiohttp's task does not wake up yet
            super().data_received(data)
            self._waiter = waiter
            if self._messages and not self._asking and not self._ask():
                self._wake()
        if self._request_count > before:
            self._stop_receive_timer()
            self._head_bytes = 0
            if before == 0 and isinstance(self._manager, HttpServer):
                self._manager.waiting.forget(self)
        elif data and is_head:
            self._head_bytes += len(data)
            if self._receive_timer is None:
                self._receive_timer = self._loop.call_later(self._limits.receive_s, self._too_slow)
            if self._head_bytes > self._limits.head_bytes_max:
                if self._is_answering():
                    self._end_after_these()
                else:
                    self._reject(431, "too_large", "the headers are too large")

    # ---- one request after the other

    def _ask(self) -> bool:
        """Hands the only request that has come to the application; False where that is not for
        it."""
        message, payload = self._messages[0]
        if (
            len(self._messages) > 1
            or payload is not EMPTY_PAYLOAD
            or type(message) is not RawRequestMessage
            or message.should_close
            or message.upgrade
            or message.version is not HttpVersion11
            or message.method == "HEAD"
            or EXPECT in message.headers
            or self._buffer_paused
            or self._paused
        ):
            return False
        assert isinstance(self._manager, HttpServer)
        self._messages.popleft()
        self._asking = True
        try:
            taken = self._manager.application.ask(message, self)
        except Exception as bug:  # noqa: BLE001 (whatever it is, this client gets an answer)
            self.fail(bug)
            taken = True
        if taken:
            assert self._parser is not None
            self._parser.message_consumed()
        else:
            self._asking = False
            self._messages.appendleft((message, payload))
        return taken

    def answer(self, status: int, body: bytes, *, closes: bool) -> bool:
        """`answer` sends the answer to what was asked; it returns whether the client is still
        there. A connection that `closes` takes no more requests."""
        self._asking = False
        if self.transport is None or not isinstance(self._manager, HttpServer):
            return False
        closes = closes or self._close
        head = self._manager.heads.head(status, closes=closes)
        self.transport.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
        if closes:
            self.force_close()
        elif self._messages:
            self._wake()
        else:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    def fail(self, bug: Exception) -> None:
        """`fail` answers that the application failed."""
        log.error("request failed", exc_info=bug)
        self.answer(500, error_body("internal", "the gateway failed"), closes=True)

    def _wake(self) -> None:
        """aiohttp's task takes what has come."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _process_keepalive(self) -> None:
        if self._asking:
            self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super()._process_keepalive()

    # ---- any request

    def take(self, body: StreamReader) -> None:
        """`take` says that the next request begins to be handled."""
        self._body = body
        if self._half_closed and not self._messages:
            self._close = True

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio asks whether to stay
        """A client that sends no more still gets the answers to what it has sent.

        TLS has no half-closed connections: there the transport ends by itself.
        """
        if not self._is_answering() or self._wire.get_extra_info("sslcontext"):
            return False
        for body in (self._body, *(body for _, body in self._messages)):
            if not body.is_eof() and body.exception() is None:
                body.set_exception(TimeoutError("the body was cut off"))  # as if it were late
        self._end_after_these()
        return True

    def _is_answering(self) -> bool:
        return self._request_count > 0 and not self._is_idle()

    def _bodies_are_whole(self) -> bool:
        """Of the request under way, and of those behind it: mostly none."""
        messages = self._messages
        return self._body.is_eof() and (not messages or all(body.is_eof() for _, body in messages))

    def _end_after_these(self) -> None:
        """What has come is answered, and nothing more is read."""
        if self._messages:
            self._half_closed = True
        else:
            self._close = True

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unsent_since_s = self._loop.time()
        self._send_timer = self._loop.call_later(self._limits.send_s, self.drop)

    def resume_writing(self) -> None:
        self._stop_send_timer()
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        super().resume_writing()

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _too_slow(self) -> None:
        self._receive_timer = None
        if self._is_answering():
            self._receive_timer = self._loop.call_later(self._limits.receive_s, self._too_slow)
        else:
            self._reject(400, "bad_request", "the request did not arrive in time")

    def _stop_receive_timer(self) -> None:
        if self._receive_timer is not None:
            self._receive_timer.cancel()
            self._receive_timer = None

    def _reject(self, status: int, code: str, message: str) -> None:
        """Answers outside of any request, and closes."""
        body = error_body(code, message)
        retry = f"Retry-After: {self._limits.retry_after_s}\r\n" if status == 503 else ""
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n{retry}Connection: close\r\n\r\n"
        )
        if self.transport is not None:
            self.transport.write(head.encode() + body)
        self.force_close()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> Response:
        """aiohttp calls this for a request that it cannot parse, and for a bug in the handler."""
        if status == 400:
            too_large = isinstance(exc, LineTooLong) or "Too many headers" in (message or "")
            status, code = (431, "too_large") if too_large else (400, "bad_request")
            body = error_body(code, (message or "malformed request").splitlines()[0])
        else:
            log.error("request failed", exc_info=exc)
            body = error_body("internal", "the gateway failed")
        response = Response(status=status, body=body, headers=JSON)
        response.force_close()
        return response


class HttpServer(Server):
    """The server makes a `Connection` for each client."""

    def __init__(self, application: Application, limits: Limits) -> None:
        super().__init__(application.handle, request_factory=self._request)
        self.application = application
        self.limits = limits
        self.connections_open = 0
        self.heads = Heads(application.headers)
        self.waiting: Waiting[Connection] = Waiting()

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop)

    def make_room(self, newcomer: Connection) -> bool:
        """`make_room` returns whether a newcomer may stay: see `Waiting` for who goes."""
        connections = (each for each in self.connections if isinstance(each, Connection))
        other = self.waiting.pop_for(newcomer, connections, self._loop.time())
        if other is not None:
            other.drop()
        return other is not None

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> BaseRequest:
        assert isinstance(protocol, Connection)
        protocol.take(payload)
        return BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            self._loop,
            client_max_size=self.limits.body_bytes_max,
        )
