"""A service is methods that turn (entity, call) into an `Outcome`, and nothing else.

No clock, no randomness, no input or output: the same calls in the same order, the same outcomes.
So replies that left before a crash agree with the state that is rebuilt after it.

Every outcome of an effect is remembered under (request_id, method), beside the entity that it
belongs to. A step that comes again sends again what it sent before, and does nothing else: "exactly
once" is made of at-least-once delivery and this memory. A read has no effect and is not remembered.

The memory has an end. The times here are those at which records were written to their topics, so a
record that is read again meets the same decision; what is too old to be known from memory, if it
came before, is refused. Whoever hosts the service says beside that what is recent for certain.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import orjson

from system.wire import (
    AMOUNT_MAX,
    HTTP_STATUS,
    ID_PATTERN,
    TIMEOUT_S,
    Request,
    born_ms,
    encode,
    encode_request,
    error,
    input_topic,
)

WINDOW_S = 15 * 60
"""A request may be sent again for so long, and has no second effect: longer than a client tries."""
WINDOW_S_MIN = 60
"""A shorter window can't be kept: an id tells its minute only."""
WINDOW_S_MAX = 24 * 60 * 60
"""The window is at most this long: a day of remembered steps is more disk than anybody should need
for it."""

TRANSIT_S = 5 * 60
"""A request may take so long through all its services: an outage between two of them. What takes
longer is refused by the next one that it would have an effect on."""

SKEW_S = 60
"""The clocks of gateways and broker may differ by so much."""

WAKE_AFTER_S_MAX = TRANSIT_S
"""An alarm is at most so far away: one that is much further was set by a clock that was ahead, and
rings at once."""

TEXT_CHARACTERS_MAX = 256
"""A text between services has at most this many characters, as the reason of a refusal."""

Entity = dict[str, Any]
"""A service knows this of one user, order or item. It is never mutated: a method returns a new
one."""


class Reply(NamedTuple):
    """A reply goes to the request's sink, or to `sink` where that is named."""

    body: dict[str, Any]
    sink: str | None = None


class Send(NamedTuple):
    """A `Send` is a request to a service; the request_id and the sink of the call travel along."""

    service: str
    key: str
    method: str
    params: dict[str, Any]


Output = Reply | Send


class Outcome(NamedTuple):
    """An outcome's `also` is remembered for other steps of the same request: a final reply, a
    tombstone.

    `wake_after_s` asks for a call of the service's alarm, up to `WAKE_AFTER_S_MAX` ahead; a later
    one replaces an earlier one.
    """

    entity: Entity | None
    outputs: tuple[Output, ...] = ()
    remember: bool = True
    also: Mapping[str, tuple[Output, ...]] = {}
    wake_after_s: float | None = None


class Refused(Exception):  # noqa: N818 (an answer, not an error of the program)
    """The request can't be done: replied as an error, without any effect."""

    def __init__(self, code: str, message: str) -> None:
        """It raises `ValueError` for a code that is none of `HTTP_STATUS`: no gateway knows it."""
        if code not in HTTP_STATUS:
            raise ValueError(f"no error has the code {code!r}: see system.wire.HTTP_STATUS")
        super().__init__(message)
        self.code = code


class Window(NamedTuple):
    """Requests are remembered for this long, in ms: `window_ms` is what is promised, see
    `WINDOW_S`. Their replies are waited for up to `timeout_ms`."""

    window_ms: int = WINDOW_S * 1000
    timeout_ms: int = round(TIMEOUT_S * 1000)

    @property
    def remembered_ms(self) -> int:
        """This is the time between the first time of a request and the last one at which it is
        known again: an id may be used for the window from the end of its minute on, and come from a
        clock that is behind."""
        return self.window_ms + (60 + SKEW_S) * 1000

    @property
    def kept_ms(self) -> int:
        """This is the time between a step's record and that of the last one which may ask for its
        memory."""
        return self.remembered_ms + TRANSIT_S * 1000

    def is_late(self, request: Request, at_ms: int, logged_ms: int) -> bool:
        """`is_late` returns whether the memory may have forgotten the request, if it came
        before."""
        return logged_ms - at_ms > TRANSIT_S * 1000 or self.is_outlived(request, at_ms)

    def is_outlived(self, request: Request, at_ms: int) -> bool:
        """`is_outlived` returns whether the request is older than its id may be: then it is refused
        even where the memory has it yet."""
        made_ms = born_ms(request.request_id)
        if made_ms is None:
            return False
        return not -SKEW_S * 1000 <= at_ms - made_ms <= self.window_ms + 60_000


class Memory(NamedTuple):
    """The memory of a step is what it sent."""

    at_ms: int
    """Its request was first written to a topic at this time."""
    is_recent: bool
    """It was handled within the window by a clock that nobody can set, so it counts, whatever the
    times say at which records were written: a broker's clock may be set."""
    outputs: bytes


Recall = Callable[[str], Memory | None]
"""`Recall` looks a step up in the entity's memory."""


class Call:
    """A call is a request as a method sees it: its parameters checked, its own earlier steps
    readable."""

    __slots__ = ("_earlier", "_is_late", "params", "request_id", "sink", "timeout_s")

    def __init__(
        self,
        request: Request,
        earlier: Callable[[str], bytes | None],
        is_late: bool,
        timeout_s: float,
    ) -> None:
        self.request_id = request.request_id
        self.sink = request.sink
        self.params = request.params
        self.timeout_s = timeout_s
        """A gateway waits for the reply for so long."""
        self._earlier = earlier
        self._is_late = is_late

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

    def text(self, name: str) -> str:
        """`text` returns a short text between services."""
        value = self.params.get(name)
        if not isinstance(value, str) or len(value) > TEXT_CHARACTERS_MAX:
            raise Refused("bad_request", f"{name} is not a text")
        return value

    def refusal(self, name: str) -> tuple[str, str] | None:
        """`refusal` returns code and message of a `Refused` between services, or None."""
        match self.params.get(name):
            case None:
                return None
            case [str(code), str(message)] if code in HTTP_STATUS:
                return code, message[:TEXT_CHARACTERS_MAX]
        raise Refused("bad_request", f"{name} is not a code and a message")

    def in_time(self) -> None:
        """`in_time` raises `Refused` where the memory may have forgotten this request, if it came
        before."""
        if self._is_late:
            raise Refused("idempotency_key_expired", "the request is too old to be known as new")

    def earlier(self, method: str) -> tuple[Output, ...] | None:
        """`earlier` returns what another step of this request sent from here, or None where it has
        not come yet."""
        remembered = self._earlier(step(self.request_id, method))
        return None if remembered is None else decode_outputs(remembered)


Method = Callable[[Entity | None, Call], Outcome]
Alarm = Callable[[str, Entity], Request | None]
UnderWay = Callable[[Entity | None, str], bool]


class Service:
    """A service is a named set of methods; `key` is the parameter that holds the entity's id.

    A stateless service reads and keeps nothing: neither an entity nor a memory.
    """

    def __init__(self, name: str, key: str, *, stateless: bool = False) -> None:
        self.name = name
        self.key = key
        self.stateless = stateless
        self.methods: dict[str, Method] = {}
        self.reads: set[str] = set()
        self.steps: set[str] = set()
        self.wake: Alarm | None = None
        self.is_under_way: UnderWay | None = None

    def method(self, function: Method) -> Method:
        """The decorated function answers requests whose method is its name."""
        self.methods[function.__name__] = function
        return function

    def read(self, function: Method) -> Method:
        """The decorated method has no effect; it is not remembered, and never too late."""
        self.reads.add(function.__name__)
        return self.method(function)

    def step(self, function: Method) -> Method:
        """The decorated method is called between services, however late it comes. Where it must not
        come late, it asks `Call.in_time`."""
        self.steps.add(function.__name__)
        return self.method(function)

    def under_way(self, function: UnderWay) -> UnderWay:
        """The decorated function says of an entity and a request_id whether it knows the request
        yet: one that comes again meanwhile is never too late."""
        self.is_under_way = function
        return function

    def alarm(self, function: Alarm) -> Alarm:
        """The decorated function makes what the service sends to itself when the time that it asked
        for has come."""
        self.wake = function
        return function


class Record(NamedTuple):
    """A `Record` is a Kafka record to produce."""

    topic: str
    key: str
    value: bytes


class Effect(NamedTuple):
    """A handled request changes this: the adapter stores and sends exactly this."""

    entity: Entity | None
    records: list[Record]
    memory: Mapping[str, Memory] = MappingProxyType({})
    wake_after_s: float | None = None
    fault: str | None = None
    """The fault says why the record is none that the service can handle; there is no effect
    then."""


def step(request_id: str, method: str) -> str:
    """`step` returns the name under which the memory keeps a step."""
    return f"{request_id}:{method}"


def handle(
    service: Service,
    entity: Entity | None,
    recall: Recall,
    request: Request,
    logged_ms: int,
    window: Window,
) -> Effect:
    """`handle` applies a request to an entity; its record came to the topic at `logged_ms`.

    It raises what the method does, and `ValueError` for an outcome that nobody can keep.
    """
    at_ms = logged_ms if request.at_ms is None else min(request.at_ms, logged_ms)
    request = Request(*request[:-1], at_ms)
    name = request.method
    own = step(request.request_id, name)
    reads, is_step = name in service.reads, name in service.steps
    remembers = not reads and not service.stateless
    # Who remembers nothing could refuse it now, and not know of that when it comes again.
    is_late = remembers and window.is_late(request, at_ms, logged_ms)
    is_known = service.is_under_way is not None and service.is_under_way(entity, request.request_id)

    def outputs_of(found: Memory | None) -> bytes | None:
        if found is None:
            return None
        is_kept = found.is_recent or is_step or at_ms - found.at_ms <= window.remembered_ms
        return found.outputs if is_kept else None

    def earlier(wanted: str) -> bytes | None:
        return outputs_of(recall(wanted))

    known = recall(own) if remembers else None
    remembered = outputs_of(known)
    if remembered is not None:  # however long it was on its way
        is_late = window.is_outlived(request, at_ms)
    try:
        if name not in service.methods:
            raise Refused("bad_request", f"{service.name} has no method of this name")
        call = Call(request, earlier, is_late, window.timeout_ms / 1000)
        if not is_step and not is_known and not (known and known.is_recent):
            call.in_time()
        if remembered is not None:
            return Effect(entity, to_records(request, decode_outputs(remembered)))
        outcome = service.methods[name](entity, call)
    except Refused as refusal:
        reply = Reply(error(refusal.code, str(refusal)))
        if refusal.code == "bad_request":
            return Effect(entity, to_records(request, (reply,)), fault=str(refusal))
        # What was refused as too late stays refused, also for who sends it again in time.
        is_first = refusal.code != "idempotency_key_expired" or known is None
        outcome = Outcome(entity, (reply,), remember=is_first)
    wake_after_s = outcome.wake_after_s
    if wake_after_s is not None and not 0 <= wake_after_s <= WAKE_AFTER_S_MAX:
        raise ValueError(f"wake_after_s is {wake_after_s}, not from 0 to {WAKE_AFTER_S_MAX}")
    memory = {
        step(request.request_id, also): Memory(at_ms, True, encode_outputs(outputs))
        for also, outputs in outcome.also.items()
    }
    if outcome.remember and remembers:
        memory[own] = Memory(at_ms, True, encode_outputs(outcome.outputs))
    records = to_records(request, outcome.outputs)
    return Effect(outcome.entity, records, memory, wake_after_s)


def ring(service: Service, key: str, entity: Entity | None) -> list[Record]:
    """The time that the entity asked for has come. The alarm goes through the service's own topic,
    so that it is ordered among all other requests, before and after a crash alike."""
    request = service.wake(key, entity) if service.wake and entity is not None else None
    if request is None:
        return []
    return [Record(input_topic(service.name), key, encode_request(request))]


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
        "at": request.at_ms,
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
