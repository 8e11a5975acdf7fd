"""A source gives the generator its requests: a workload file's templates, or journeys.

A source gives the next request, and is told how it ended. It turns that into the label of a sample,
which is what the generator records.
"""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from bench.records import request_log
from bench.records.samples import Writer, kind_of
from bench.stats.stages import Traced, wall_ahead_ns
from bench.stats.stages import encode as encode_trace
from bench.workload.address import Address
from bench.workload.answer import Answer, Show, excerpt, forget
from bench.workload.draws import Draws
from bench.workload.journey import Call, Journey, Reply, WrongAnswerError, advance, broken
from bench.workload.shop import outcome
from bench.workload.template import Template, encode
from system.credentials import metrics_headers, shop_headers

KEY_HEADER = "Idempotency-Key"
"""The reference system has this header, and many others have: what comes twice with it has one
effect."""
TRACE_HEADER = "X-Trace"
"""The reference system has this header: it asks for the stages of this request
(docs/semantics.md)."""


class Source(Protocol):
    """A source gets `context` back with the answer."""

    def prepare(self) -> int:
        """`prepare` makes ready what must be sent before the load; it returns how many requests can
        go at once.

        They come from `next_prepared`, until it gives None with nothing under way."""

    def next_prepared(self) -> tuple[Any, Any] | None: ...

    @property
    def next(self) -> Callable[[], tuple[Any, Any]]:
        """`next` gives the next request; it is never none: the schedule does not wait for
        answers."""

    def answered(self, context: Any, answer: Answer, times_ns: tuple[int, int, int]) -> int:
        """`answered` returns the label; `times_ns` are intended, sent and done."""

    def failed(self, context: Any, outcome: str, times_ns: tuple[int, int, int]) -> int: ...

    def close(self) -> None: ...


class Templates:
    """The requests of a workload file are independent of each other; of an answer only its status
    counts.

    Nothing is made before it is sent, but requests without places are made only once.
    """

    def __init__(
        self,
        draws: Draws,
        address: Address,
        label: Callable[[str, str], int],
        show: Show = forget,
    ) -> None:
        self._label = label
        self._show = show
        self._operations = [_Operation(flow.steps[0]) for flow in draws.workload.flows]
        self.next: Callable[[], tuple[_Operation, bytes]] = self._requests(draws, address).__next__

    def _requests(self, draws: Draws, address: Address) -> Iterator[tuple["_Operation", bytes]]:
        made: list[Any] = [
            None if operation.template.names else (operation, operation.template.request(address))
            for operation in self._operations
        ]
        while not draws.has_values:
            for chosen in draws.flows():
                yield made[chosen]
        while True:
            for chosen, texts in draws.block():
                request = made[chosen]
                if request is None:
                    operation = self._operations[chosen]
                    request = operation, operation.template.request(address, texts)
                yield request

    def prepare(self) -> int:
        return 0

    def next_prepared(self) -> None:
        return None

    def answered(
        self, context: "_Operation", answer: Answer, times_ns: tuple[int, int, int]
    ) -> int:
        try:
            return context[answer.status]
        except KeyError:
            return self._first(context, answer)

    def failed(self, context: "_Operation", outcome: str, times_ns: tuple[int, int, int]) -> int:
        return self._label(context.template.operation, outcome)

    def close(self) -> None:
        pass

    def _first(self, operation: "_Operation", answer: Answer) -> int:
        template, status = operation.template, answer.status
        outcome = template.outcome(status)
        label = operation[status] = self._label(template.operation, outcome)
        if kind_of(outcome) == "failed":
            self._show(template.operation, outcome, excerpt(answer, template.secrets))
        return label


class _Operation(dict[int, int]):
    """Status → label, filled as statuses come up."""

    def __init__(self, template: Template) -> None:
        super().__init__()
        self.template = template


class Customers(Protocol):
    """The customers play journeys: see `bench.workload.scenarios`."""

    def prepare(self) -> Iterable[Journey]: ...

    def start(self) -> Journey: ...


Encode = Callable[[Call, bool], Any]
"""`encode(call, traced)` makes the request; None for a call that can't be sent this way."""


class _Step(NamedTuple):
    """A call of a journey that is, or waits to be, under way."""

    journey: Generator[Call, Reply, Any]
    call: Call
    traced: bool


class ShopRequests:
    """The shop's requests over HTTP have the tokens of the environment."""

    def __init__(self, address: Address) -> None:
        self._address = address
        own = shop_headers()
        self._headers = list(own.items())
        self._traced_headers = [*(own | metrics_headers()).items(), (TRACE_HEADER, "1")]

    def encode(self, call: Call, traced: bool) -> bytes:
        headers = self._traced_headers if traced else self._headers
        if call.key is not None:
            headers = [*headers, (KEY_HEADER, call.key)]
        return encode(self._address, call.verb, call.path, headers)


class Journeys:
    """Each intended time gets the next call of a journey that can go on, else of a new one. So the
    mix of requests is that of the journeys, and no answer is waited for.

    Each request is written to the history, which is judged afterwards; each `trace_every`-th is
    traced (0: none).
    """

    PREPARING = 32
    """So many journeys are under way at a time before the load."""

    def __init__(
        self,
        customers: Customers,
        encode: Encode,
        samples: Writer,
        record: request_log.Writer,
        traces: Path,
        trace_every: int,
    ) -> None:
        self._customers = customers
        self._encode = encode
        self._samples = samples
        self._record = record
        self._traces = traces.open("xb")
        self._trace_every = trace_every
        self._until_trace = trace_every
        self._labels: dict[tuple[str, int, str | None], int] = {}
        self._ready: deque[tuple[Generator[Call, Reply, Any], Call]] = deque()

    def prepare(self) -> int:
        for journey in self._customers.prepare():
            self._begin(journey)
        return self.PREPARING

    def next_prepared(self) -> tuple[_Step, Any] | None:
        while self._ready:
            if (chosen := self._chosen(traced=False)) is not None:
                return chosen
        return None

    def next(self) -> tuple[_Step, Any]:
        self._until_trace -= 1
        traced = self._until_trace == 0
        if traced:
            self._until_trace = self._trace_every
        while True:
            while not self._ready:
                self._begin(self._customers.start())
            if (chosen := self._chosen(traced)) is not None:
                return chosen

    def answered(self, context: _Step, answer: Answer, times_ns: tuple[int, int, int]) -> int:
        body = request_log.body_of(b"".join(answer.parts))
        if context.traced:
            self._trace(context.call.operation, body.pop("trace", None), times_ns)
        reply = Reply(answer.status, body)
        self._finish(context, reply, times_ns)
        return self._label(context.call, reply)

    def failed(self, context: _Step, outcome: str, times_ns: tuple[int, int, int]) -> int:
        if kind_of(outcome) == "dropped":  # it was never sent, and is no row of the history
            context.journey.close()
        else:
            self._finish(context, broken(outcome), times_ns)
        return self._samples.label(context.call.operation, outcome)

    def close(self) -> None:
        self._record.scheduled = self._samples.scheduled
        self._record.dropped = self._samples.scheduled - self._samples.sent
        self._record.close()
        self._traces.close()

    def _begin(self, journey: Journey) -> None:
        call = next(journey, None)
        if call is not None:
            self._ready.append((journey, call))

    def _chosen(self, traced: bool) -> tuple[_Step, Any] | None:
        """The next call; None where it can't be sent this way, which ends its journey."""
        journey, call = self._ready.popleft()
        request = self._encode(call, traced)
        if request is None:
            journey.close()
            return None
        return _Step(journey, call, traced), request

    def _finish(self, step: _Step, reply: Reply, times_ns: tuple[int, int, int]) -> None:
        call = step.call
        _, sent_ns, done_ns = times_ns
        self._record.append(
            call.operation, call.path, call.key, sent_ns, done_ns, reply.status, reply.body
        )
        try:
            self._ready.append((step.journey, advance(step.journey, reply)))
        except StopIteration:
            pass
        except WrongAnswerError as wrong:
            self._record.wrong(f"{call.operation}: {wrong}")

    def _label(self, call: Call, reply: Reply) -> int:
        code = None if reply.ok else request_log.error_code(reply.body)
        name = (call.operation, reply.status, code)
        label = self._labels.get(name)
        if label is None:
            label = self._labels[name] = self._samples.label(call.operation, outcome(call, reply))
        return label

    def _trace(self, operation: str, trace: Any, times_ns: tuple[int, int, int]) -> None:
        """Stages are stamped with the wall clock, so these times are too."""
        ahead_ns = wall_ahead_ns()
        intended_ns, sent_ns, done_ns = (time + ahead_ns for time in times_ns)
        self._traces.write(encode_trace(Traced(operation, intended_ns, sent_ns, done_ns, trace)))
