"""HTTP connections: aiohttp's protocol, with JSON errors and limits on slow and many clients."""

import asyncio
import logging
from http import HTTPStatus

import orjson
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import LineTooLong
from aiohttp.streams import StreamReader
from aiohttp.web import BaseRequest, Response, Server
from aiohttp.web_protocol import RequestHandler, _RequestHandler

from system import wire
from system.gateway.limits import Limits

log = logging.getLogger(__name__)
JSON = {"Content-Type": "application/json"}


def error_body(code: str, message: str, request_id: str | None = None) -> bytes:
    fields = {} if request_id is None else {"request_id": request_id}
    return orjson.dumps(fields | wire.error(code, message))


class Connection(RequestHandler):
    __slots__ = ("_limits", "_receive_timer")

    def __init__(self, server: "HttpServer", *, loop: asyncio.AbstractEventLoop) -> None:
        limits = self._limits = server.limits
        super().__init__(
            server,
            loop=loop,
            keepalive_timeout=limits.idle_s,
            lingering_time=limits.linger_s,
            max_line_size=limits.line_bytes_max,
            max_field_size=limits.line_bytes_max,
            max_headers=limits.headers_max,
            auto_decompress=False,
            access_log=None,  # type: ignore[arg-type]  # aiohttp takes it, and so logs nothing
        )
        self._receive_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        server = self._manager
        assert isinstance(server, HttpServer)
        super().connection_made(transport)
        server.connections_open += 1
        if server.connections_open > self._limits.connections_max:
            self._reject(503, "overloaded", "too many connections")

    def connection_lost(self, exc: BaseException | None) -> None:
        if isinstance(self._manager, HttpServer):
            self._manager.connections_open -= 1
        self._stop_receive_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._request_count > before:
            self._stop_receive_timer()
        elif self._receive_timer is None and not self._request_in_progress:
            self._receive_timer = self._loop.call_later(self._limits.receive_s, self._too_slow)

    def _too_slow(self) -> None:
        self._receive_timer = None
        if not self._request_in_progress:
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
        """What aiohttp calls for a request it cannot parse, and for a bug in the handler."""
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
    """Makes a `Connection` for each client."""

    def __init__(self, handler: _RequestHandler, limits: Limits) -> None:
        super().__init__(handler, request_factory=self._request)
        self.limits = limits
        self.connections_open = 0

    def __call__(self) -> RequestHandler:
        return Connection(self, loop=self._loop)

    def _request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "asyncio.Task[None]",
    ) -> BaseRequest:
        return BaseRequest(
            message,
            payload,
            protocol,
            writer,
            task,
            self._loop,
            client_max_size=self.limits.body_bytes_max,
        )
