"""The host runs services over Flink's keyed state: it takes each record, and returns what to send.

Knows no PyFlink: `batches.py` gives it the state and the timers of the current key, or, in process
mode, `process_mode.py`.

    frame ─→ which request? ─→ its entity and steps ─→ system.service.handle ─→ frames
                  └ none that can be handled: to <topic>_dead, and bad_request to its sink

State of a key, which is ``topic/entity``: a value that holds the entity and the names of its
newest steps (`state_cache.Kept`), and a map, from step to what it sent, and from ``#number`` to
a chunk of older names.

Steps are forgotten by a timer of their key, the oldest first, and only so many at a time. Flink's
own time-to-live goes by the clock of the machine: after an outage it would forget what records that
were written before it may still ask for. Here a step is forgotten when the records of its own
partition have come so far, see `Window.kept_ms`, and a clock that nobody can set agrees: a broker's
may be an hour ahead for a minute, and then all seems to be old.
"""

import time
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol
from zlib import crc32

import orjson

from system.catalog import catalog
from system.flink_job.clocks import CLOCKS, Clocks
from system.flink_job.frames import Arrived, arrived, to_send
from system.flink_job.state_cache import Kept, Knowledge
from system.service import (
    TRANSIT_S,
    Effect,
    Memory,
    Record,
    Service,
    Window,
    handle,
    ring,
)
from system.wire import (
    ID_PATTERN,
    TOPIC_PATTERN,
    Request,
    Trace,
    WireError,
    dead_topic,
    decode_request,
    encode,
    error,
    input_topic,
    with_trace,
)

CHUNK = 16
"""One entry of the map has so many names of steps: the value that is written for each request has
up to so many of them."""
SWEEP_STEPS_MAX = 500
"""One timer forgets at most this many steps, which takes some milliseconds."""
SWEEP_AGAIN_MS = 50
"""The next timer rings after this time, where there are more steps to forget."""
SWEEP_PAUSE_MS = 5 * 60 * 1000
"""The next timer rings after this time at least, where there are no steps to forget yet: a
partition to which nobody writes keeps what it has, and is not to be asked all the time."""
AHEAD_MS_MAX = 24 * 60 * 60 * 1000
"""A step that was written so far in the future, by the broker's clock, is kept until then; one
further away counts by when it was handled alone."""
SENT_ON = b"sent on, first written at "
"""A record that had no key, or was in another partition than its key's, says so where it is sent
on, with its first time in ms since 1970: it is handled there, whatever became of the number of
partitions. Its request is as old as it was (InputRecord.java): one that counted from the copy's
time would be too new to be known again after an outage."""
TRANSIT_MS = TRANSIT_S * 1000
"""`TRANSIT_S`, in ms."""
REASON_CHARACTERS_MAX = 500
"""The reason with a dead letter has at most this many characters."""
DEAD_BYTES_MAX = 512 * 1024
"""A dead letter's value has at most this many bytes, the rest is cut off: a broker takes 1 MiB,
with headers and all."""
DEAD_KEY_BYTES_MAX = 1024
"""A dead letter's key has at most this many bytes."""
TIME_DIGITS, ELAPSED_DIGITS = 14, 19
TIMES_DIGITS = TIME_DIGITS + ELAPSED_DIGITS
"""So many digits come before what a step sent: ms since 1970, and of `Clocks.elapsed_ms`."""


class State(Protocol):
    """Flink keeps this state of the current key: a value, and a map of names."""

    def read(self) -> bytes | None: ...
    def write(self, value: bytes | None) -> None: ...
    def get(self, name: str) -> bytes | None: ...
    def put(self, name: str, value: bytes) -> None: ...
    def remove(self, name: str) -> None: ...


class Timers(Protocol):
    """These are the timers of the current key."""

    def register_processing_time_timer(self, timestamp: int) -> None: ...


class StateError(BaseException):
    """Flink's state can't be read. It is no fault of a service's, so nothing that catches those may
    catch it: the task fails, and is restored."""


NOT_A_SERVICES = (StateError, KeyboardInterrupt)
"""All else that is raised is a service's fault: SystemExit too, which a library may have raised."""


class Host:
    """A host has the services of one task. `count_dead` is called for each dead letter."""

    def __init__(
        self,
        services: Iterable[Service],
        state: State,
        knowledge: Knowledge,
        window: Window,
        count_dead: Callable[[], None],
        clocks: Clocks = CLOCKS,
        topic_prefix: str = "",
    ) -> None:
        self._services = {input_topic(service.name): service for service in services}
        topics = {*map(input_topic, catalog().services)}
        own = topics | {*map(dead_topic, topics)}
        self._own_topics = own | {topic_prefix + topic for topic in own}
        """No reply goes to these topics: it would be a record that can't be handled."""
        self._state = state
        self._window = window
        self._count_dead = count_dead
        self._clocks = clocks
        self._opened_ms = clocks.elapsed_ms()
        self._calm_until_ms = self._opened_ms + TRANSIT_MS
        """Nothing is forgotten before: what others sent before a crash, or a long outage, is still
        to come."""
        self._knowledge = knowledge
        self._logged_ms: dict[tuple[str, int], int] = {}
        """The map leads from topic and partition to when its latest record was written there."""

    def take(self, frame: bytes, timers: Timers) -> list[bytes]:
        """`take` handles one record from an input topic, as Java read it, and returns the frames to
        send for it."""
        in_ns = time.time_ns()
        record = arrived(frame)
        self._logged_ms[record.topic, record.partition] = record.logged_ms
        if self._clocks.now_ms() - record.logged_ms > TRANSIT_MS:
            self._calm_until_ms = self._clocks.elapsed_ms() + self._window.kept_ms
        service = self._services.get(record.topic)
        if service is None:  # what a restored job reads on, of one that hosted more
            return self._dead(record, f"nobody hosts the service of {record.topic} any more")
        try:
            request = decode_request(record.value).first_written(record.first_ms)
            entity_id = self._entity_id(service, request, record.key)
        except WireError as fault:
            return self._dead(record, str(fault))
        if not record.key or record.is_elsewhere:
            when = SENT_ON + b"%d" % record.logged_ms
            return [to_send(record.topic, entity_id.encode(), record.value, when)]
        key = f"{record.topic}/{entity_id}"
        kept = Kept() if service.stateless else self._knowledge.of(key, self._state.read)
        try:
            effect = handle(
                service,
                kept.entity,
                lambda step: self._recall(key, step),
                request,
                record.logged_ms,
                self._window,
            )
            frames = [
                routed(with_hop(sent, request.trace, service.name, in_ns))
                for sent in effect.records
            ]
            entity = None if effect.entity is None else orjson.dumps(effect.entity)
        except NOT_A_SERVICES:
            raise
        except BaseException as fault:  # noqa: BLE001 (whatever it is, it is this record's)
            self._knowledge.drop(key)
            return self._dead(record, described(fault))
        if effect.fault is not None:
            return self._dead(record, effect.fault)
        if not service.stateless:
            self._keep(key, kept, effect, entity, record, timers)
        return frames

    def ring(self, timestamp: int, key: str, timers: Timers) -> list[bytes]:
        """`ring` handles a timer of the key. Only the alarm that was asked for last rings."""
        topic, _, entity_id = key.partition("/")
        kept = self._knowledge.of(key, self._state.read)
        if timestamp == kept.sweep_at_ms:
            self._sweep(key, topic, kept, timers)
        if timestamp != kept.wake_at_ms:
            return []
        try:
            return [*map(routed, ring(self._services[topic], entity_id, kept.entity))]
        except NOT_A_SERVICES:
            raise
        except BaseException:  # noqa: BLE001 (an alarm is no record, and has no letter)
            self._count_dead()
            return []

    # ---- what can't be handled

    def _entity_id(self, service: Service, request: Request, key: bytes | None) -> str:
        """Raises `WireError` where the record is not for this entity, or for none."""
        if request.sink in self._own_topics:
            raise WireError("the sink is a service's own topic")
        named: Any = request.request_id
        if service.key != "request_id":
            named = request.params.get(service.key)
        if not isinstance(named, str) or not ID_PATTERN.fullmatch(named):
            raise WireError(f"{service.key} is not an id")
        if key and key != named.encode():
            raise WireError("the record's key must be the id of the request's entity")
        return named

    def _dead(self, record: Arrived, reason: str) -> list[bytes]:
        """The dead letter, and the answer to the sink that the record names, if it does."""
        self._count_dead()
        reason = " ".join(reason[:REASON_CHARACTERS_MAX].split())
        reason = reason.encode(errors="replace").decode()
        value = record.value[:DEAD_BYTES_MAX]
        key = None if record.key is None else record.key[:DEAD_KEY_BYTES_MAX]
        frames = [to_send(dead_topic(record.topic), key, value, reason.encode())]
        sink, request_id = self._sender(record.value)
        if sink is not None:
            answer = encode({"request_id": request_id, **error("bad_request", reason)})
            frames.append(to_send(sink, str(request_id).encode(), answer))
        return frames

    def _sender(self, value: bytes) -> tuple[str | None, Any]:
        """Whom to tell: sink and request_id of whatever the record is, as far as it names them."""
        try:
            fields = orjson.loads(value)
        except orjson.JSONDecodeError:
            return None, None
        if not isinstance(fields, Mapping):
            return None, None
        sink, request_id = fields.get("sink"), fields.get("request_id")
        if not isinstance(sink, str) or not TOPIC_PATTERN.fullmatch(sink):
            return None, None
        if sink in self._own_topics:
            return None, None
        if not isinstance(request_id, str | int) or len(str(request_id)) > REASON_CHARACTERS_MAX:
            request_id = None
        return sink, request_id

    # ---- state

    def _recall(self, key: str, step: str) -> Memory | None:
        if self._knowledge.lacks(key, step):
            return None
        try:
            value = self._state.get(step)
        except Exception as cause:
            raise StateError(str(cause)) from cause
        if value is None:
            return None
        at_ms, handled_ms = int(value[:TIME_DIGITS]), int(value[TIME_DIGITS:TIMES_DIGITS])
        is_recent = self._age_ms(handled_ms) <= self._window.window_ms
        return Memory(at_ms, is_recent, value[TIMES_DIGITS:])

    def _keep(
        self, key: str, kept: Kept, effect: Effect, entity: bytes | None, record: Arrived,
        timers: Timers,
    ) -> None:  # fmt: skip
        """`entity` is that of the effect, as JSON."""
        wakes = effect.wake_after_s is not None
        are_mended = self._mend_timers(kept, timers)
        if effect.entity is kept.entity and not effect.memory and not wakes:
            if are_mended:
                self._state.write(kept.changed())
            return
        kept.entity = effect.entity
        if effect.wake_after_s is not None:
            self._wake_in(int(effect.wake_after_s * 1000), kept, timers)
        elif effect.entity is None:
            kept.wake_at_ms = 0
        if effect.memory:
            handled_ms = self._clocks.elapsed_ms()
            newest_ms = record.logged_ms
            if kept.names:  # of which one may be from a time when the clock was ahead
                newest_ms = max(newest_ms, kept.newest_ms)
            for step, (at_ms, _, outputs) in effect.memory.items():
                times = b"%0*d%0*d" % (TIME_DIGITS, at_ms, ELAPSED_DIGITS, handled_ms)
                self._state.put(step, times + outputs)
                self._knowledge.remember(key, step)
                kept.names.append(step)
            kept.partition, kept.newest_ms = record.partition, newest_ms
            kept.handled_ms = handled_ms
            if len(kept.names) >= CHUNK:
                chunk = [kept.newest_ms, kept.handled_ms, kept.names]
                self._state.put(f"#{kept.end}", orjson.dumps(chunk))
                kept.end += 1
                kept.names = []
            if not kept.sweep_at_ms:
                self._sweep_in(self._window.kept_ms, kept, timers)
        self._state.write(kept.changed(entity))

    def _sweep(self, key: str, topic: str, kept: Kept, timers: Timers) -> None:
        """Forgets the oldest steps, and comes again for the rest."""
        kept.sweep_at_ms = 0
        calm_ms = self._calm_until_ms - self._clocks.elapsed_ms()
        logged_ms = self._logged_ms.get((topic, kept.partition))
        if calm_ms > 0:
            self._sweep_in(calm_ms + crc32(key.encode()) % TRANSIT_MS, kept, timers)
        elif logged_ms is None:
            self._sweep_in(SWEEP_PAUSE_MS, kept, timers)
        else:
            left_ms = self._forget(kept, logged_ms)
            if left_ms is not None:
                after_ms = max(SWEEP_PAUSE_MS, min(left_ms, self._window.kept_ms))
                self._sweep_in(SWEEP_AGAIN_MS if left_ms < 0 else after_ms, kept, timers)
        self._state.write(kept.changed())

    def _forget(self, kept: Kept, logged_ms: int) -> int | None:
        """Forgets up to `SWEEP_STEPS_MAX` steps; for how long the oldest that is left must stay."""
        count = 0
        while kept.first < kept.end:
            name = f"#{kept.first}"
            newest_ms, handled_ms, steps = orjson.loads(self._state.get(name) or b"[0, 0, []]")
            left_ms = self._left_ms(logged_ms - newest_ms, handled_ms)
            if left_ms >= 0 or count >= SWEEP_STEPS_MAX:
                return left_ms
            self._remove(name, *steps)
            kept.first += 1
            count += CHUNK
        if kept.names:
            left_ms = self._left_ms(logged_ms - kept.newest_ms, kept.handled_ms)
            if left_ms >= 0:
                return left_ms
            self._remove(*kept.names)
            kept.names = []
        return None

    def _left_ms(self, logged_age_ms: int, handled_ms: int) -> int:
        """For how long a step must stay yet: until it is old by both clocks."""
        age_ms = self._age_ms(handled_ms)
        if logged_age_ms < -AHEAD_MS_MAX:
            return self._window.kept_ms - age_ms
        return self._window.kept_ms - min(age_ms, logged_age_ms)

    def _age_ms(self, handled_ms: int) -> int:
        """How long ago a step was handled, by the clock that nobody can set. What another boot of
        the machine has handled, or another machine, is as old as this task."""
        age_ms = self._clocks.since_ms(handled_ms)
        return self._clocks.elapsed_ms() - self._opened_ms if age_ms is None else age_ms

    def _remove(self, *names: str) -> None:
        for name in names:
            self._state.remove(name)

    def _sweep_in(self, after_ms: int, kept: Kept, timers: Timers) -> None:
        kept.sweep_at_ms = self._clocks.now_ms() + after_ms
        timers.register_processing_time_timer(kept.sweep_at_ms)

    def _wake_in(self, after_ms: int, kept: Kept, timers: Timers) -> None:
        kept.wake_at_ms = self._clocks.now_ms() + after_ms
        timers.register_processing_time_timer(kept.wake_at_ms)

    def _mend_timers(self, kept: Kept, timers: Timers) -> bool:
        """Whether any was too far away: a clock that was ahead has set it."""
        far_ms = self._clocks.now_ms() + self._window.kept_ms + 2 * TRANSIT_MS
        if kept.sweep_at_ms <= far_ms and kept.wake_at_ms <= far_ms:
            return False
        if kept.sweep_at_ms > far_ms:
            self._sweep_in(SWEEP_PAUSE_MS, kept, timers)
        if kept.wake_at_ms > far_ms:
            self._wake_in(SWEEP_AGAIN_MS, kept, timers)
        return True


def described(fault: BaseException) -> str:
    """`described` says what failed in a service, and where. A fault whose text can't be had is told
    of too."""
    told = traceback.TracebackException.from_exception(fault, limit=-1, lookup_lines=False)
    (place,) = told.stack
    file = place.filename.rpartition("/")[2]
    return f"{type(fault).__name__} in {file}, line {place.lineno}: {told}"


def with_hop(record: Record, trace: Trace | None, service: str, in_ns: int) -> Record:
    """The trace is not the services' business: it is added to what they send, never remembered."""
    if trace is None:
        return record
    hops = [*trace, (service, in_ns, time.time_ns())]
    return record._replace(value=with_trace(record.value, hops))


def routed(record: Record) -> bytes:
    """`routed` returns the record as OutboxWriter.java reads it."""
    return to_send(record.topic, record.key.encode(), record.value)
