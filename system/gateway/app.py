"""The gateway itself takes an HTTP request, and gives one of the contract's responses."""

import asyncio
from asyncio import Future
from collections.abc import Callable, Mapping
from functools import partial
from time import perf_counter, time_ns
from typing import TYPE_CHECKING, NamedTuple

import orjson
from aiohttp.hdrs import AUTHORIZATION, EXPECT
from aiohttp.http import HttpVersion11, RawRequestMessage
from aiohttp.web import BaseRequest, HTTPRequestEntityTooLarge, RequestPayloadError, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from system import __version__, wire
from system import request_id as ids
from system.catalog import catalog
from system.gateway.connection import Connection, error_body
from system.gateway.heads import JSON
from system.gateway.kafka import Kafka
from system.gateway.limits import Limits
from system.gateway.metrics import Metrics, Scrapes
from system.gateway.pending import Pending
from system.gateway.readiness import OWN_ECHO, Readiness
from system.gateway.readiness import SERVICE as ECHO
from system.gateway.record import Record, Stamps
from system.gateway.tokens import Tokens
from system.kafka_security import KafkaSecurity
from system.requests import KEY_HEADER, outgoing
from system.router import Match, Router
from system.routes import OWN, OWN_ROUTES
from system.wire import RefusedError

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

TRACE_HEADER = "X-Trace"
"""A request with this header asks for its trace, where the value is 1."""
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class Answer(NamedTuple):
    status: int
    body: bytes
    trace: tuple[tuple[str, int] | wire.Hop, ...] = ()
    """A traced request has here the services that it came through, and when its reply came."""


class Asked:
    """This is known of an HTTP request while it is under way."""

    __slots__ = ("headers", "may_close", "method", "stamps", "started_s")

    def __init__(self, headers: "CIMultiDictProxy[str]") -> None:
        self.headers = headers
        self.started_s = perf_counter()
        self.method = "none"
        self.may_close = False
        """Whoever waits for leave to send a body may keep it now: what comes next is not known."""
        self.stamps: Stamps | None = None
        """A traced request has stamps."""
        if headers.get(TRACE_HEADER) == "1":
            self.stamps = [("gateway_in", time_ns())]


class Gateway:
    """This is one gateway instance: one reply topic, one table of requests in flight."""

    def __init__(
        self,
        gateway_id: str,
        bootstrap: str,
        limits: Limits,
        tokens: Tokens,
        security: KafkaSecurity,
        *,
        echoes: bool,
        refuses_silence: bool = False,
        topic_prefix: str,
    ) -> None:
        self._limits = limits
        self._refuses_silence = refuses_silence
        self._tokens = tokens
        self._guarded = any(tokens)
        self._loop = asyncio.get_running_loop()
        self._sink = topic_prefix + wire.reply_topic(gateway_id)
        self._topics = {
            service: topic_prefix + wire.input_topic(service) for service in catalog().services
        }
        self._router = Router((*OWN_ROUTES, *catalog().routes))
        self._mint = ids.Mint()
        self.pending: Pending[Answer] = Pending(limits, self._loop.create_future)
        self.metrics = Metrics(gateway_id, self.pending.__len__)
        self.kafka = Kafka(
            bootstrap,
            self._sink,
            self._topics.values(),
            security,
            in_flight=self.pending.__len__,
            on_reply=self._on_reply,
            on_not_sent=self._on_not_sent,
            on_fate=self._on_fate,
            on_produced=self.metrics.produce.observe,
        )
        self.draining = False
        self._echo_topic = topic_prefix + wire.input_topic(ECHO)
        self._readiness = (
            Readiness(gateway_id, self._echo_topic, self._sink, self.kafka.send) if echoes else None
        )
        self._own: dict[str, Callable[[], Response]] = {
            "index": self._index,
            "live": self._live,
            "ready": self._ready,
        }
        self._scrapes = Scrapes(self.metrics.text)
        self.headers: Mapping[int, Mapping[str, str]] = {
            401: JSON | {"WWW-Authenticate": "Bearer"},
            503: JSON | {"Retry-After": str(limits.retry_after_s)},
        }
        """A status leads to its headers, where they are more than `JSON`."""
        self._expire()

    async def start(self) -> "asyncio.Task[None]":
        """`start` connects to Kafka, and returns the task that reads replies. It raises
        `StartError`."""
        reader = await self.kafka.start(self._limits.kafka_wait_s)
        if self._readiness is not None:
            self._readiness.begin()
        return reader

    def drain(self) -> None:
        """The gateway refuses new requests from now on."""
        self.draining = True
        if self._readiness is not None:
            self._readiness.end()

    def close(self) -> None:
        """`close` stops the timer; what is in flight stays unanswered."""
        self._expire_timer.cancel()

    def ask(self, message: RawRequestMessage, client: Connection) -> bool:
        """`ask` has `client` answer a request of a service that has no body, and leaves others to
        `handle`."""
        asked = Asked(message.headers)
        try:
            match = self._admit(message.method, message.path, asked)
            if match.route.service == OWN:
                return False
            self._forward(match, asked).add_done_callback(partial(self._tell, client, asked))
        except RefusedError as refusal:
            self._send(client, asked, self._refused(refusal, asked))
        return True

    def _tell(self, client: Connection, asked: Asked, answer: "Future[Answer]") -> None:
        try:
            self._send(client, asked, answer.result())
        except Exception as bug:  # noqa: BLE001 (whatever it is, this client gets an answer)
            client.fail(bug)

    def _send(self, client: Connection, asked: Asked, answer: Answer) -> None:
        status, body, _ = self._finished(answer, asked)
        self.metrics.abandoned += not client.answer(status, body, closes=self.draining)

    async def handle(self, request: BaseRequest) -> Response:
        """`handle` answers any HTTP request."""
        asked = Asked(request.headers)
        try:
            match = self._admit(request.method, request.raw_path, asked)
            if match.route.service == OWN:
                return await self._answer_own(match.route.method, request)
            if request.body_exists:
                await self._check_body(request)
            answer = await self._forward(match, asked)
        except RefusedError as refusal:
            answer = self._refused(refusal, asked)
        status, body, _ = self._finished(answer, asked)
        self.metrics.abandoned += request.transport is None
        response = Response(status=status, body=body, headers=self.headers.get(status, JSON))
        if asked.may_close or self.draining:
            response.force_close()
        return response

    def _admit(self, verb: str, target: str, asked: Asked) -> Match:
        """The route of a request that may take it. Raises `RefusedError`."""
        match = self._router.match(verb, target)
        if match.route.service == OWN:
            return match
        asked.method = match.route.method
        if self._guarded:
            self._check_token(asked)
        return match

    def _refused(self, refusal: RefusedError, asked: Asked) -> Answer:
        answer = _failed(refusal.code, refusal.message, refusal.request_id)
        asked.may_close = answer.status == 413 or EXPECT in asked.headers
        if asked.stamps is not None:
            given = asked.headers.get(AUTHORIZATION)
            if answer.status == 401 or not self._tokens.allow_metrics(given):
                asked.stamps = None
        return answer

    def _finished(self, answer: Answer, asked: Asked) -> Answer:
        """Counts the answer; what is to be sent to who asked."""
        self.metrics.responses[asked.method, answer.status] += 1
        self.metrics.latency.observe(perf_counter() - asked.started_s)
        return answer if asked.stamps is None else _with_trace(answer, asked.stamps)

    async def _answer_own(self, method: str, request: BaseRequest) -> Response:
        """Answers a route of `OWN_ROUTES`, which /metrics does not count."""
        if method != "metrics":
            return self._own[method]()
        if not self._tokens.allow_metrics(request.headers.get(AUTHORIZATION)):
            body = error_body("unauthorized", "this needs a bearer token")
            return Response(status=401, body=body, headers=self.headers[401])
        text = await self._scrapes.text()
        return Response(body=text, headers={"Content-Type": CONTENT_TYPE_LATEST})

    def _check_token(self, asked: Asked) -> None:
        """Raises `RefusedError`."""
        given = asked.headers.get(AUTHORIZATION)
        if not self._tokens.allow_shop(given):
            raise RefusedError("unauthorized", "this needs a bearer token")
        if asked.stamps is not None and not self._tokens.allow_metrics(given):
            raise RefusedError("unauthorized", f"{TRACE_HEADER} needs the token of /metrics")

    def _forward(self, match: Match, asked: Asked) -> "Future[Answer]":
        """Sends the request on unless it is in flight already. Raises `RefusedError`."""
        stamps = asked.stamps
        out = outgoing(match, asked.headers.getall(KEY_HEADER, ()), self._mint)
        request_id = out.request_id
        if self.draining:
            raise RefusedError("unavailable", "this gateway is shutting down", request_id)
        if self._refuses_silence and self._readiness and (why := self._readiness.silent()):
            raise RefusedError("unavailable", why, request_id)
        record = out.encode(self._sink, None if stamps is None else [])
        future, is_new = self.pending.register(request_id, out.fingerprint, self._loop.time())
        if is_new:
            if stamps is not None:
                stamps.append(("queued", time_ns()))
            try:
                topic = self._topics[out.service]
                self.kafka.send(topic, out.key, record, request_id, future, stamps)
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
        expected = request.headers.get(EXPECT)
        if expected is not None and request.version >= HttpVersion11:
            if expected.lower() != "100-continue":
                raise RefusedError("bad_request", f"{EXPECT}: 100-continue, or nothing")
            await request.writer.write(CONTINUE)
            request.writer.output_size = 0  # nothing of the answer itself is sent
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
            binds = error is None or error["code"] != "idempotency_key_reused"
            kind = self.pending.settle(request_id, answer, binds=binds)
            if kind == "unknown" and self._readiness and self._readiness.settle(request_id):
                kind = OWN_ECHO
        except (wire.WireError, KeyError, TypeError):
            kind = "malformed"
        self.metrics.replies[kind] += 1

    def _on_not_sent(self, request_id: str, future: "Future[Answer] | None") -> None:
        if future is None:
            return
        answer = _failed("unavailable", "Kafka is not reachable", request_id)
        self.metrics.withdrawn += self.pending.withdraw(request_id, future, answer)

    def _on_fate(self, fate: str, records: list[Record]) -> None:
        """All for one topic."""
        count = len(records)
        if records[0].target.topic == self._echo_topic:
            own = sum(record.future is None for record in records)
            self.metrics.records[OWN_ECHO] += own
            count -= own
        self.metrics.records[fate] += count

    def _expire(self) -> None:
        now_s = self._loop.time()
        self.metrics.timeouts += self.pending.expire(now_s, _timed_out)
        self._expire_timer = self._loop.call_at(self.pending.next_look_s(now_s), self._expire)

    def _index(self) -> Response:
        return Response(
            body=orjson.dumps({"name": "kaflinkshop", "version": __version__}), headers=JSON
        )

    def _live(self) -> Response:
        return Response(body=orjson.dumps({"live": True}), headers=JSON)

    def _ready(self) -> Response:
        why = None if self._readiness is None else self._readiness.silent()
        if not self.kafka.reachable:
            why = "Kafka is not reachable"
        if self.draining:
            why = "shutting down"
        if why is None:
            return Response(body=orjson.dumps({"ready": True}), headers=JSON)
        body = orjson.dumps({"ready": False} | wire.error("unavailable", why))
        return Response(status=503, body=body, headers=self.headers[503])


def _with_trace(answer: Answer, stamps: Stamps) -> Answer:
    """The answer to who asked for the trace."""
    trace = (*stamps, *answer.trace, ("gateway_out", time_ns()))
    return Answer(answer.status, orjson.dumps(orjson.loads(answer.body) | {"trace": trace}))


def _failed(code: str, message: str, request_id: str | None) -> Answer:
    return Answer(wire.HTTP_STATUS[code], error_body(code, message, request_id))


def _timed_out(request_id: str) -> Answer:
    return _failed(
        "timeout",
        "no reply in time, so the outcome is unknown; sending the request again with "
        f"{KEY_HEADER}: {request_id} gives the outcome, and never a second effect",
        request_id,
    )
