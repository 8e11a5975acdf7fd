"""This module plays journeys with Locust, and alone imports it: only for a Locust process.

Locust's own HTTP session is passed by: it costs more CPU than the gateway does, and the client
below it sends a DELETE a second time when the connection breaks, which a history must not hide.
"""

import random
import socket
import time
from argparse import ArgumentParser
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import gevent
from geventhttpclient._parser import HTTPParseError
from geventhttpclient.response import HTTPSocketResponse
from locust import FastHttpUser, constant, events
from locust.env import Environment
from locust.exception import StopUser
from locust.user.task import LOCUST_STATE_STOPPING, LOCUST_STATE_WAITING

from bench.records import samples
from bench.records.request_log import Writer, body_of
from bench.workload.answer import Received
from bench.workload.journey import Call, Journey, Reply, WrongAnswerError, advance, broken
from bench.workload.scenarios import CREDIT_ROUTINE_WEIGHT, JourneyOf, Mix
from bench.workload.shop import CREDIT, Shop, create_user, credit_routine, outcome, problem
from bench.workload.sources import KEY_HEADER
from system.credentials import shop_headers

REPLY_TIMEOUT_S = 15.0
"""A reply is waited for so long, well above the gateway's usual timeout: whoever waits longer has
lost the connection."""


FLUSH_S = 0.1
"""Whoever watches the samples sees one after at most this long."""
WATCH_S = 1.0
"""Locust's process looks at itself this often."""


class Connection:
    """This is one keep-alive HTTP/1.1 connection, which never sends anything twice."""

    def __init__(
        self, host: str, timeout_s: float = REPLY_TIMEOUT_S, *, has_token: bool = True
    ) -> None:
        """`has_token` sends the shop's token along, if there is one."""
        url = urlsplit(host)
        self._timeout_s = timeout_s
        self._address = (url.hostname or "127.0.0.1", url.port or 80)
        self._prefix = url.path.rstrip("/")
        fields = {"Host": url.netloc} | (shop_headers() if has_token else {})
        self._head = " HTTP/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields.items())
        self._socket: socket.socket | None = None
        self.received_bytes = 0
        """The last answer's body had so many bytes."""

    def request(self, verb: str, path: str, key: str | None = None) -> Reply:
        """`request` returns a reply; its status is 0 when the connection could not be made or
        broke."""
        length = "Content-Length: 0\r\n\r\n" if verb == "POST" else "\r\n"
        own = self._head if key is None else f"{self._head}{KEY_HEADER}: {key}\r\n"
        head = f"{verb} {self._prefix}{path}{own}{length}"
        try:
            answer = self.exchange(head.encode("ascii"))
        except OSError as cause:
            return broken(type(cause).__name__)
        self.received_bytes = sum(map(len, answer.parts))
        return Reply(answer.status, body_of(b"".join(answer.parts)))

    def exchange(self, request: bytes, *, with_head: bool = False) -> Received:
        """`exchange` sends, and returns the answer, its headers where they are asked for.

        It raises `OSError` when the connection could not be made or broke.
        """
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address, self._timeout_s)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket.sendall(request)
            response = HTTPSocketResponse(self._socket, method=request.partition(b" ")[0].decode())
            content = response.read()
        except HTTPParseError as cause:
            self.close()
            raise ConnectionError(str(cause)) from None
        except BaseException:
            self.close()  # also when killed: the reply must not meet the next request
            raise
        if response.should_close():
            self.close()
        lines = [b"HTTP/1.1 %d" % response.get_code()]
        if with_head:
            lines += [f"{name}: {value}".encode() for name, value in response.items()]
        return Received(response.get_code(), b"\r\n".join(lines), [bytes(content)])

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


class Given(NamedTuple):
    """Locust was given this when it was started. Whoever reaches its page, any user of the machine
    and any site that is open in a browser of it, can name others there, and they do not count."""

    host: str | None
    """The shop's token goes to this host alone. None: the page names it, and no token is sent."""
    samples: str
    history: str


class JourneyUser(FastHttpUser):  # type: ignore[misc]
    """This Locust user's tasks are journeys; each request is recorded where there is a history."""

    abstract = True
    wait_time = constant(0)
    history: Writer | None = None
    samples: "samples.Writer | None" = None
    given: Given
    _state: str | None  # Locust's own

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        own = self.given.host
        self.connection = Connection(own or self.host, has_token=bool(own))

    def on_start(self) -> None:
        if not self.play(self.prepare()):
            raise StopUser
        if JourneyUser.samples:
            JourneyUser.samples.ready()

    def stop(self, force: bool = False) -> bool:
        """`stop` lets the journey end first, also where Locust takes a wait of 0 s for an idle
        user."""
        if not force and self._state == LOCUST_STATE_WAITING:
            self._state = LOCUST_STATE_STOPPING
            return False
        return bool(super().stop(force))

    def prepare(self) -> Journey:
        """`prepare` creates what this user's tasks need."""
        raise NotImplementedError

    def play(self, journey: Journey) -> bool:
        """`play` returns False when an answer was wrong: the journey ended there."""
        try:
            call = next(journey)
            while True:
                call = advance(journey, self.perform(call))
        except StopIteration:
            return True
        except WrongAnswerError as wrong:
            self.environment.stats.log_error("CHECK", call.operation, wrong)
            if JourneyUser.history:
                JourneyUser.history.wrong(f"{call.operation}: {wrong}")
            return False

    def perform(self, call: Call) -> Reply:
        history, recorder = JourneyUser.history, JourneyUser.samples
        reply = broken("interrupted")
        if history and recorder:
            history.scheduled += 1
            recorder.scheduled += 1
        sent_ns = time.monotonic_ns()
        try:
            reply = self.connection.request(call.verb, call.path, call.key)
        finally:
            done_ns = time.monotonic_ns()
            if history and recorder:
                history.append(
                    call.operation,
                    call.path,
                    call.key,
                    sent_ns,
                    done_ns,
                    reply.status,
                    reply.body,
                )
                recorder.sent += 1
                label = recorder.label(call.operation, outcome(call, reply))
                recorder.add((label, sent_ns, sent_ns, done_ns))
        wrong = problem(call, reply)
        self.environment.events.request.fire(
            request_type=call.verb,
            name=call.operation,
            response_time=(done_ns - sent_ns) / 1e6,
            response_length=self.connection.received_bytes if reply.status else 0,
            exception=wrong,
            context={},
        )
        if reply.status == 0:
            gevent.sleep(0.1)  # nobody there: don't spin
        return reply


class ShopUser(JourneyUser):
    """These users share one shop, and play the journeys of a mix: see `tasks_of`."""

    abstract = True
    shop = Shop(random.Random())

    def prepare(self) -> Journey:
        yield from self.shop.prepare()
        self.own_user_id = yield from create_user(CREDIT)

    def credit_routine(self) -> None:
        if self.own_user_id:
            self.play(credit_routine(self.own_user_id))


def tasks_of(mix: Mix) -> list[Callable[[ShopUser], object]]:
    """`tasks_of` returns Locust's tasks: each as often as it is played, under its own name."""

    def task(journey: JourneyOf) -> Callable[[ShopUser], bool]:
        def play(user: ShopUser) -> bool:
            return user.play(journey(user.shop))

        play.__name__ = journey.__name__
        return play

    tasks: list[Callable[[ShopUser], object]] = [
        task(journey) for journey, weight in mix.items() for _ in range(weight)
    ]
    return tasks + [ShopUser.credit_routine] * CREDIT_ROUTINE_WEIGHT


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument("--samples", default="", help="record every latency in this new file")
    parser.add_argument("--history", default="", help="record every request in this new file")
    parser.add_argument("--seed", type=int, default=1, help="seed of every random choice")
    parser.add_argument(
        "--zipf", type=float, default=0.0, help="skew of item popularity (checkout.py; 0: none)"
    )
    parser.add_argument(
        "--basket", type=int, default=0, help="items of each basket (checkout.py; 0: 1 to 10)"
    )


@events.init.add_listener  # type: ignore[untyped-decorator]
def _seed(environment: Environment, **_: Any) -> None:
    options = environment.parsed_options
    JourneyUser.given = Given(environment.host, options.samples, options.history)
    random.seed(options.seed)
    ShopUser.shop.random.seed(options.seed)


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _open(environment: Environment, **_: Any) -> None:
    given = JourneyUser.given
    if given.history and given.samples:
        JourneyUser.history = Writer(Path(given.history))
        JourneyUser.samples = samples.Writer(Path(given.samples))
        recorder = JourneyUser.samples
        gevent.spawn(watch, recorder, lambda: JourneyUser.samples is recorder)


def watch(recorder: samples.Writer, is_open: Callable[[], bool]) -> None:
    """`watch` tells how this process fares, and writes out what was recorded, until the test
    ends."""
    due_ns = time.monotonic_ns()
    written_ns = due_ns
    while is_open():
        gevent.sleep(FLUSH_S)
        if not is_open():
            break
        due_ns += int(FLUSH_S * 1e9)
        now_ns = time.monotonic_ns()
        if now_ns - written_ns < WATCH_S * 1e9:
            recorder.flush()
            continue
        recorder.watch(
            at_ns=now_ns, loop_lag_ns=max(0, now_ns - due_ns), cpu_ns=time.process_time_ns()
        )
        due_ns = written_ns = now_ns


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def _close(environment: Environment, **_: Any) -> None:
    recorder, JourneyUser.samples = JourneyUser.samples, None
    if recorder and JourneyUser.history:
        recorder.close()
        JourneyUser.history.close()
        JourneyUser.history = None
