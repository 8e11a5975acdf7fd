"""A batch of records goes through Python in one call, and comes back as all that is to be done.

Each crossing between Java and Python costs more than the service behind it. So HostOperator.java
collects the records and timers that are there, and keeps the state: it is told what to do, in
order. Only what a task does not know of its state (`state_cache`) is asked for in between.

    there  for each of them: length; frame, as in frames.py
    back   KEY     number             of one in the batch, whose key the next four are for
           VALUE   length             (-1: none any more); the key's value
           PUT     lengths            of name and value; name, value: an entry of the key's map
           REMOVE  length             name: of an entry of the key's map
           TIMER   ms since 1970      a timer of the key, by the machine's clock
           SEND    length             frame: a record to write
           DEAD                       a dead letter is counted
"""

import json
from collections.abc import Iterable, Sequence
from struct import Struct
from typing import Protocol

from system.catalog import catalog
from system.flink_job.clocks import CLOCKS, Clocks
from system.flink_job.frames import rung
from system.flink_job.host import Host
from system.flink_job.state_cache import Knowledge
from system.service import Service, Window

KEY, VALUE, PUT, REMOVE, TIMER, SEND, DEAD = range(7)
_LENGTH = Struct(">i")
_OP = Struct(">Bi")
_PUT = Struct(">Bii")
_TIMER = Struct(">Bq")
_DEAD = bytes([DEAD])


class Operator(Protocol):
    """This is HostOperator.java: both methods do what is `done` so far, and then read the state of
    the key that number has, None for what is not there."""

    def read(self, done: bytes, number: int) -> bytes | None: ...
    def get(self, done: bytes, number: int, name: str) -> bytes | None: ...


def configured(
    services: Sequence[str], window: Window, topic_prefix: str, known_bytes_max: int
) -> str:
    """`configured` returns what `batches` needs to know, for Java to hand over."""
    told = (services, window, topic_prefix, known_bytes_max)
    return json.dumps(told)


def batches(configured: str, operator: Operator) -> "Batches":
    """`batches` is where Java begins."""
    names, window, topic_prefix, known_bytes_max = json.loads(configured)
    services, knowledge = map(catalog().load, names), Knowledge(known_bytes_max)
    return Batches(services, knowledge, Window(*window), operator, topic_prefix=topic_prefix)


class Batches:
    """One task's records go through `Host` here; it is Flink's state and timers to it."""

    def __init__(
        self,
        services: Iterable[Service],
        knowledge: Knowledge,
        window: Window,
        operator: Operator,
        clocks: Clocks = CLOCKS,
        topic_prefix: str = "",
    ) -> None:
        self._operator = operator
        self._done: list[bytes] = []
        self._sent: list[bytes] = []
        """What is to be written goes back last: none waits for Kafka while it has the lock."""
        self._number = 0
        self._keyed: int | None = None
        """The last KEY in what is done named this number."""
        self._host = Host(services, self, knowledge, window, self._count_dead, clocks, topic_prefix)

    def take(self, batch: bytes) -> bytes:
        """`take` handles records that came from the input topics, and timers, in order."""
        self._number = 0
        at, end = 0, len(batch)
        while at < end:
            (length,) = _LENGTH.unpack_from(batch, at)
            at += _LENGTH.size
            frame = batch[at : at + length]
            timer = rung(frame)
            frames = self._host.ring(*timer, self) if timer else self._host.take(frame, self)
            for sent in frames:
                self._sent += (_OP.pack(SEND, len(sent)), sent)
            at += length
            self._number += 1
        self._done += self._sent
        self._sent.clear()
        return self._flushed()

    def end(self) -> None:
        """`end` lets go of the operator, whose task has ended: else all that the task had would
        live until Python collects cycles."""
        del self._host, self._operator

    def _flushed(self) -> bytes:
        done = b"".join(self._done)
        self._done.clear()
        self._keyed = None
        return done

    def _key(self) -> None:
        if self._keyed != self._number:
            self._keyed = self._number
            self._done.append(_OP.pack(KEY, self._number))

    def _count_dead(self) -> None:
        self._done.append(_DEAD)

    # ---- State and Timers of host.py

    def read(self) -> bytes | None:
        return self._operator.read(self._flushed(), self._number)

    def get(self, name: str) -> bytes | None:
        return self._operator.get(self._flushed(), self._number, name)

    def write(self, value: bytes | None) -> None:
        self._key()
        if value is None:
            self._done.append(_OP.pack(VALUE, -1))
        else:
            self._done += (_OP.pack(VALUE, len(value)), value)

    def put(self, name: str, value: bytes) -> None:
        self._key()
        key = name.encode()
        self._done += (_PUT.pack(PUT, len(key), len(value)), key, value)

    def remove(self, name: str) -> None:
        self._key()
        key = name.encode()
        self._done += (_OP.pack(REMOVE, len(key)), key)

    def register_processing_time_timer(self, timestamp: int) -> None:
        self._key()
        self._done.append(_TIMER.pack(TIMER, timestamp))
