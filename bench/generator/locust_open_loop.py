"""The open loop inside Locust is one user that walks a schedule, and a greenlet for each request.

The schedule, the requests and the recorder are those of `bench.generator.process`, so Locust's page
and the report say the same. It costs five times as much CPU (see docs/measuring.md).
"""

import time
from argparse import ArgumentParser
from dataclasses import replace
from pathlib import Path
from typing import Any

import gevent
from gevent.pool import Pool
from locust import User, constant, events, task
from locust.env import Environment
from locust.exception import StopUser

from bench.generator.engine import may_send
from bench.generator.locust_users import Connection, watch
from bench.generator.process import GO_POLL_S, source_of
from bench.generator.spec import Spec
from bench.records.samples import CONNECTION, TIMEOUT, Writer
from bench.workload.address import Address
from bench.workload.answer import Received
from bench.workload.sources import Source

NOTHING = Received(0, b"", [])
LEFT_S_MIN = 0.001
"""A request that is sent when its time is nearly over still has this much."""


class Dispatcher(User):  # type: ignore[misc]
    """The dispatcher plays what `--spec` says; Locust's response time counts from the intended time
    too."""

    fixed_count = 1
    wait_time = constant(0)
    given: Spec
    spec: Spec
    samples: Writer | None = None
    source: Source

    def on_start(self) -> None:
        spec = self.spec
        self.free = [Connection(spec.url, spec.timeout_s) for _ in range(spec.in_flight_max)]
        self.pool = Pool(spec.in_flight_max)
        self.times = spec.intended_ns()
        at_a_time = self.source.prepare()
        preparing = Pool(at_a_time)
        while (step := self.source.next_prepared()) is not None or len(preparing):
            if step is None:
                gevent.sleep(0.001)
            else:
                self.recorder.scheduled += 1
                preparing.spawn(self.play, *step, time.monotonic_ns())
        self.recorder.ready()

    @property
    def recorder(self) -> Writer:
        assert Dispatcher.samples is not None
        return Dispatcher.samples

    @task  # type: ignore[untyped-decorator]
    def walk(self) -> None:
        begin_ns = self.begin()
        for offset_ns in self.times:
            intended_ns = begin_ns + offset_ns
            gevent.sleep(max(0.0, (intended_ns - time.monotonic_ns()) / 1e9))
            self.due(intended_ns)
        self.pool.join()
        raise StopUser

    def begin(self) -> int:
        """`begin` returns when the schedule begins: at once where nobody says when, as on Locust's
        page."""
        if not self.spec.go:
            return time.monotonic_ns()
        go = Path(self.spec.go)
        while not go.exists():
            gevent.sleep(GO_POLL_S)
        return int(go.read_text())

    def due(self, intended_ns: int) -> None:
        if may_send(self.recorder, intended_ns, time.monotonic_ns(), self.pool.full()):
            self.pool.spawn(self.play, *self.source.next(), intended_ns)

    def play(self, context: Any, request: bytes, intended_ns: int) -> None:
        connection = self.free.pop()
        self.recorder.sent += 1
        sent_ns, answer, problem = time.monotonic_ns(), NOTHING, None
        left_s = (intended_ns - sent_ns) / 1e9 + self.spec.timeout_s
        try:
            with gevent.Timeout(max(left_s, LEFT_S_MIN), TimeoutError()):
                answer = connection.exchange(request, with_head=True)
        except TimeoutError:
            problem = TIMEOUT
        except OSError as cause:
            problem = f"{CONNECTION} {type(cause).__name__}"
        finally:
            times_ns = (intended_ns, sent_ns, time.monotonic_ns())
            self.free.append(connection)
        if problem is None:
            label = self.source.answered(context, answer, times_ns)
        else:
            label = self.source.failed(context, problem, times_ns)
        self.recorder.add((label, *times_ns))
        self.environment.events.request.fire(
            request_type="OPEN",
            name=self.recorder.operation_of(label),
            response_time=(times_ns[2] - intended_ns) / 1e6,
            response_length=sum(map(len, answer.parts)),
            exception=problem or (f"{answer.status}" if answer.status >= 500 else None),
            context={},
        )


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def _arguments(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--spec", required=True, help="what to send; see bench/generator/process.py"
    )


@events.init.add_listener  # type: ignore[untyped-decorator]
def _read(environment: Environment, **_: Any) -> None:
    """Once: whoever reaches Locust's page could name another file."""
    Dispatcher.given = Spec.of_json(Path(environment.parsed_options.spec).read_bytes())


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def _open(environment: Environment, **_: Any) -> None:
    spec = Dispatcher.given
    if not spec.go:  # Locust's page can start it again and again
        begun = str(time.time_ns())
        spec = replace(
            spec,
            samples=spec.samples.replace(".bin", f"-{begun}.bin"),
            history=f"{spec.history}-{begun}",
            traces=f"{spec.traces}-{begun}",
        )
    Dispatcher.spec = spec
    recorder = Dispatcher.samples = Writer(Path(spec.samples))
    Dispatcher.source = source_of(spec, Address.of(spec.url), recorder)
    gevent.spawn(watch, recorder, lambda: Dispatcher.samples is recorder)


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def _close(environment: Environment, **_: Any) -> None:
    recorder, Dispatcher.samples = Dispatcher.samples, None
    if recorder:
        Dispatcher.source.close()
        recorder.close()
