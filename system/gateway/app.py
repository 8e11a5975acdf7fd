"""The gateway itself: an HTTP request in, one of the contract's responses out."""

import asyncio
from asyncio import Future
from collections.abc import Callable
from time import perf_counter, time_ns
from typing import NamedTuple

import orjson
from aiohttp.web import BaseRequest, HTTPRequestEntityTooLarge, RequestPayloadError, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from system import __version__, wire
from system.gateway import request_id as ids
from system.gateway.connection import JSON, error_body
from system.gateway.errors import RefusedError
from system.gateway.kafka import Kafka, Stamps
from system.gateway.limits import Limits
from system.gateway.metrics import Metrics
from system.gateway.pending import Pending
from system.gateway.router import Match, Router
from system.routes import CLAIM, ROUTES

KEY_HEADER = "Idempotency-Key"
TRACE_HEADER = "X-Trace"
"""Asks for the request's trace, where its value is 1."""
EXPIRE_TICK_S = 0.01
"""How late a 504 may be, on an idle machine; it costs 0.1 % of a core. One timer serves all
requests."""


class Answer(NamedTuple):
    status: int
    body: bytes
    trace: tuple[tuple[str, int] | wire.Hop, ...] = ()
    """Of a traced request: the services that it came through, and when its reply came."""


class Gateway:
    """One gateway instance: one reply topic, one table of requests in flight."""

    def __init__(self, gateway_id: str, bootstrap: str, limits: Limits) -> None:
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._sink = wire.reply_topic(gateway_id)
        self._router = Router(ROUTES)
        self._mint = ids.Mint()
        self.pending: Pending[Answer] = Pending(limits, self._loop.create_future)
        self.metrics = Metrics(gateway_id, self.pending.__len__)
        self.kafka = Kafka(
            bootstrap,
            self._sink,
            {wire.input_topic(service) for service in (CLAIM, *(r.service for r in ROUTES))},
            on_reply=self._on_reply,
            on_not_sent=self._on_not_sent,
            on_fate=self._on_fate,
        )
        self.draining = False
        self._own: dict[str, Callable[[], Response]] = {
            "/": self._index,
            "/health/live": self._live,
            "/health/ready": self._ready,
            "/metrics": self._metrics,
        }
        self._json_retry = JSON | {"Retry-After": str(limits.retry_after_s)}
        self._expire()

    def close(self) -> None:
        """Stops the timer; what is in flight stays unanswered."""
        self._expire_timer.cancel()

    async def handle(self, request: BaseRequest) -> Response:
        """Answers one HTTP request."""
        started_s = perf_counter()
        own = self._own.get(request.raw_path)
        if own is not None and request.method == "GET":
            return own()
        traced = request.headers.get(TRACE_HEADER) == "1"
        stamps: Stamps | None = [("gateway_in", time_ns())] if traced else None
        method = "none"
        try:
            match = self._router.match(request.method, request.raw_path)
            method = match.route.method
            if request.body_exists:
                await self._check_body(request)
            answer = await self._forward(match, request.headers.getall(KEY_HEADER, []), stamps)
        except RefusedError as refusal:
            body = error_body(refusal.code, refusal.message, refusal.request_id)
            answer = Answer(wire.HTTP_STATUS[refusal.code], body)
        self.metrics.responses[method, answer.status] += 1
        self.metrics.observe(perf_counter() - started_s)
        if request.transport is None:
            self.metrics.abandoned += 1
        if stamps is not None:
            answer = _with_trace(answer, stamps)
        headers = self._json_retry if answer.status == 503 else JSON
        response = Response(status=answer.status, body=answer.body, headers=headers)
        if self.draining or answer.status == 413:
            response.force_close()
        return response

    def _forward(self, match: Match, keys: list[str], stamps: Stamps | None) -> "Future[Answer]":
        """Sends the request on unless it is in flight already. Raises `RefusedError`."""
        route, params = match
        fingerprint = ids.fingerprint(route.service, route.method, params)
        claimed = False
        if not keys:
            request_id = self._mint(fingerprint)
        else:
            request_id = keys[0]
            if len(keys) > 1 or not wire.ID_PATTERN.fullmatch(request_id):
                raise RefusedError("bad_request", f"{KEY_HEADER}: one, of 1 to 64 of [A-Za-z0-9_-]")
            claimed = not ids.is_minted(request_id)
            if not claimed and not ids.certifies(request_id, fingerprint):
                raise RefusedError(
                    "idempotency_key_reused", "this key belongs to another request", request_id
                )
        if self.draining:
            raise RefusedError("unavailable", "this gateway is shutting down", request_id)
        if route.key not in params:
            params[route.key] = ids.entity_id(route.service, request_id)
        service, key, method = route.service, params[route.key], route.method
        if claimed:
            params = {"service": service, "key": key, "method": method, "params": params}
            service, key, method = CLAIM, request_id, CLAIM
        trace: wire.Trace | None = None if stamps is None else []
        record = wire.encode_request(wire.Request(request_id, self._sink, method, params, trace))
        future, is_new = self.pending.register(request_id, fingerprint, self._loop.time())
        if is_new:
            if stamps is not None:
                stamps.append(("queued", time_ns()))
            try:
                self.kafka.send(wire.input_topic(service), key, record, request_id, future, stamps)
            except RefusedError as refusal:
                self.pending.withdraw(
                    request_id, future, _failed(refusal.code, refusal.message, request_id)
                )
        return future

    async def _check_body(self, request: BaseRequest) -> None:
        """No route takes a body: nothing, or an empty JSON object, is all that may be in it."""
        limit = self._limits.body_bytes_max
        if (request.content_length or 0) > limit:
            raise RefusedError("too_large", f"a body of at most {limit} bytes is allowed")
        try:
            async with asyncio.timeout(self._limits.receive_s):
                body = await request.read()
            if not body or orjson.loads(body) == {}:
                return
        except HTTPRequestEntityTooLarge:
            raise RefusedError("too_large", f"a body of at most {limit} bytes is allowed") from None
        except TimeoutError:
            raise RefusedError("bad_request", "the body did not arrive in time") from None
        except (RequestPayloadError, orjson.JSONDecodeError):
            pass  # malformed, as is any other value
        raise RefusedError("bad_request", "the body must be empty, or an empty JSON object")

    def _on_reply(self, record: bytes) -> None:
        try:
            fields = wire.decode(record)
            request_id, error = fields["request_id"], fields.get("error")
            if not isinstance(request_id, str):
                raise TypeError("request_id is not a string")
            status = 200 if error is None else wire.HTTP_STATUS.get(error["code"], 500)
            answer = Answer(status, record)
            if "trace" in fields:  # also of one who joined a traced request, and gets no trace
                hops = wire.decode_trace(fields.pop("trace")) or ()
                came = ("reply_in", self.kafka.fetched_ns)
                answer = Answer(status, orjson.dumps(fields), (*hops, came))
            kind = self.pending.settle(request_id, answer)
        except (wire.WireError, KeyError, TypeError):
            kind = "malformed"
        self.metrics.replies[kind] += 1

    def _on_not_sent(self, request_id: str, future: "Future[Answer]") -> None:
        answer = _failed("unavailable", "Kafka is not reachable", request_id)
        self.pending.withdraw(request_id, future, answer)

    def _on_fate(self, fate: str, count: int) -> None:
        self.metrics.records[fate] += count

    def _expire(self) -> None:
        self.metrics.timeouts += self.pending.expire(self._loop.time(), _timed_out)
        self._expire_timer = self._loop.call_later(EXPIRE_TICK_S, self._expire)

    def _index(self) -> Response:
        return Response(
            body=orjson.dumps({"name": "kaflinkshop", "version": __version__}), headers=JSON
        )

    def _live(self) -> Response:
        return Response(body=orjson.dumps({"live": True}), headers=JSON)

    def _ready(self) -> Response:
        if self.kafka.reachable and not self.draining:
            return Response(body=orjson.dumps({"ready": True}), headers=JSON)
        why = "shutting down" if self.draining else "Kafka is not reachable"
        return Response(status=503, body=error_body("unavailable", why), headers=self._json_retry)

    def _metrics(self) -> Response:
        return Response(body=self.metrics.text(), headers={"Content-Type": CONTENT_TYPE_LATEST})


def _with_trace(answer: Answer, stamps: Stamps) -> Answer:
    """The answer to who asked for the trace."""
    trace = (*stamps, *answer.trace, ("gateway_out", time_ns()))
    return Answer(answer.status, orjson.dumps(orjson.loads(answer.body) | {"trace": trace}))


def _failed(code: str, message: str, request_id: str) -> Answer:
    return Answer(wire.HTTP_STATUS[code], error_body(code, message, request_id))


def _timed_out(request_id: str) -> Answer:
    return _failed(
        "timeout",
        "no reply in time, so the outcome is unknown; sending the request again with "
        f"{KEY_HEADER}: {request_id} gives the outcome, and never a second effect",
        request_id,
    )
