"""What a service is: methods that turn (entity, call) into an `Outcome`, and nothing else.

No clock, no randomness, no input or output: the same calls in the same order, the same outcomes.
So replies that left before a crash agree with the state that is rebuilt after it.

Every outcome that has an effect or a reply is remembered under (request_id, method), beside the
entity that it belongs to. A step that comes again sends again what it sent before, and does nothing
else: "exactly once" is made of at-least-once delivery and this memory.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from system.wire import AMOUNT_MAX, ID_PATTERN, Request, encode, encode_request, error, input_topic

Entity = dict[str, Any]
"""What a service knows of one user, order or item. Never mutated: a method returns a new one."""


class Reply(NamedTuple):
    """Goes to the request's sink, or to `sink` where that is named."""

    body: dict[str, Any]
    sink: str | None = None


class Send(NamedTuple):
    """A request to a service; the request_id and the sink of the call travel along."""

    service: str
    key: str
    method: str
    params: dict[str, Any]


Output = Reply | Send


class Outcome(NamedTuple):
    """`also` is remembered for other steps of the same request: a final reply, a tombstone.

    `wake_after_s` asks for a call of the service's alarm; a later one replaces an earlier one.
    """

    entity: Entity | None
    outputs: tuple[Output, ...] = ()
    remember: bool = True
    also: Mapping[str, tuple[Output, ...]] = {}
    wake_after_s: float | None = None


class Refused(Exception):  # noqa: N818 (an answer, not an error of the program)
    """The request can't be done: replied as an error, without any effect."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Call:
    """A request as a method sees it: its parameters checked, its own earlier steps readable."""

    __slots__ = ("_recall", "params", "request_id", "sink")

    def __init__(self, request: Request, recall: Callable[[str], bytes | None]) -> None:
        self.request_id = request.request_id
        self.sink = request.sink
        self.params = request.params
        self._recall = recall

    def id(self, name: str) -> str:
        value = self.params.get(name)
        if not isinstance(value, str) or not ID_PATTERN.fullmatch(value):
            raise Refused("bad_request", f"{name} is not an id")
        return value

    def integer(self, name: str, minimum: int = 1) -> int:
        value = self.params.get(name)
        if type(value) is not int or not minimum <= value <= AMOUNT_MAX:
            raise Refused("bad_request", f"{name} is not an integer from {minimum} to {AMOUNT_MAX}")
        return value

    def earlier(self, method: str) -> tuple[Output, ...] | None:
        """What another step of this request sent from here, or None where it has not come yet."""
        remembered = self._recall(step(self.request_id, method))
        return None if remembered is None else decode_outputs(remembered)


Method = Callable[[Entity | None, Call], Outcome]
Alarm = Callable[[str, Entity], Request | None]


class Service:
    """A named set of methods; `key` is the parameter that holds the entity's id.

    A stateless service reads and keeps nothing: neither an entity nor a memory.
    """

    def __init__(self, name: str, key: str, *, stateless: bool = False) -> None:
        self.name = name
        self.key = key
        self.stateless = stateless
        self.methods: dict[str, Method] = {}
        self.wake: Alarm | None = None

    def method(self, function: Method) -> Method:
        """Decorator: the function answers requests whose method is its name."""
        self.methods[function.__name__] = function
        return function

    def alarm(self, function: Alarm) -> Alarm:
        """Decorator: what the service sends to itself when the time that it asked for has come."""
        self.wake = function
        return function


class Record(NamedTuple):
    """A Kafka record to produce."""

    topic: str
    key: str
    value: bytes


class Effect(NamedTuple):
    """What a handled request changes: the adapter stores and sends exactly this."""

    entity: Entity | None
    records: list[Record]
    memory: dict[str, bytes]
    wake_after_s: float | None


def step(request_id: str, method: str) -> str:
    """The name under which the memory keeps a step."""
    return f"{request_id}:{method}"


def handle(
    service: Service,
    entity: Entity | None,
    recall: Callable[[str], bytes | None],
    request: Request,
) -> Effect:
    """One request against one entity. `recall` looks a step up in the entity's memory."""
    this_step = step(request.request_id, request.method)
    remembered = None if service.stateless else recall(this_step)
    if remembered is not None:
        return Effect(entity, to_records(request, decode_outputs(remembered)), {}, None)
    method = service.methods.get(request.method)
    try:
        if method is None:
            raise Refused("bad_request", f"{service.name} has no method {request.method!r}")
        outcome = method(entity, Call(request, recall))
    except Refused as refusal:
        outcome = Outcome(entity, (Reply(error(refusal.code, str(refusal))),))
    memory = {
        step(request.request_id, name): encode_outputs(outputs)
        for name, outputs in outcome.also.items()
    }
    if outcome.remember and not service.stateless:
        memory[this_step] = encode_outputs(outcome.outputs)
    return Effect(
        outcome.entity, to_records(request, outcome.outputs), memory, outcome.wake_after_s
    )


def ring(service: Service, key: str, entity: Entity | None) -> list[Record]:
    """The time that the entity asked for has come. The alarm goes through the service's own topic,
    so that it is ordered among all other requests, before and after a crash alike."""
    request = service.wake(key, entity) if service.wake and entity is not None else None
    if request is None:
        return []
    return [Record(input_topic(service.name), key, encode_request(request))]


def refuse_malformed(request: Request) -> list[Record]:
    """The answer to a request that names no entity, or has come to another one's state."""
    reply = Reply(error("bad_request", "the record's key must be the id of the request's entity"))
    return to_records(request, (reply,))


def to_records(request: Request, outputs: tuple[Output, ...]) -> list[Record]:
    return [to_record(request, output) for output in outputs]


def to_record(request: Request, output: Output) -> Record:
    if isinstance(output, Reply):
        body = encode({"request_id": request.request_id, **output.body})
        return Record(output.sink or request.sink, request.request_id, body)
    fields = {
        "request_id": request.request_id,
        "sink": request.sink,
        "method": output.method,
        "params": output.params,
    }
    return Record(input_topic(output.service), output.key, encode(fields))


def encode_outputs(outputs: tuple[Output, ...]) -> bytes:
    """Sinks are left out: a step that comes again is answered to the sink that it names."""
    return orjson.dumps(
        [[output.body] if isinstance(output, Reply) else list(output) for output in outputs]
    )


def decode_outputs(remembered: bytes) -> tuple[Output, ...]:
    return tuple(
        Reply(*fields) if len(fields) == 1 else Send(*fields) for fields in orjson.loads(remembered)
    )
