"""The services without Kafka and Flink: state in dicts, topics in a list that a test delivers from.

The model of delivery is weaker than Kafka's: any record may come in any order, late and many times.
"""

import importlib
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from system.routes import SERVICES
from system.service import Entity, Memory, Record, Service, Window, handle, ring
from system.wire import Request, decode, decode_request, encode_request, input_topic

SINK = "gateway_out_test"
OUTAGE_CHANCE = 0.2


def minted(now_ms: int, number: int) -> str:
    """A request id as a gateway makes it at that time."""
    return f"kf_{now_ms // 60_000:07x}_{number:016}_{'f' * 16}"


def load(name: str) -> Service:
    service = getattr(importlib.import_module(f"system.services.{name}"), name.upper())
    assert isinstance(service, Service)
    return service


HOSTED = {input_topic(name): load(name) for name in SERVICES}


@dataclass
class Shop:
    entities: dict[tuple[str, str], Entity] = field(default_factory=dict)
    memory: dict[tuple[str, str, str], tuple[int, Memory]] = field(default_factory=dict)
    """Step of an entity → when its record was written, and what is remembered."""
    log: list[Record] = field(default_factory=list)
    alarms: list[tuple[str, str]] = field(default_factory=list)
    replies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    window: Window = field(default_factory=Window)
    now_ms: int = 1_000_000 * 60_000
    """When a record that is delivered now was written to its topic."""

    def produce(self, topic: str, key: str, request: Request) -> None:
        self.log.append(Record(topic, key, encode_request(request)))

    def deliver(self, record: Record) -> None:
        service = HOSTED.get(record.topic)
        if service is None:
            reply = decode(record.value)
            self.replies.setdefault(reply["request_id"], []).append(reply)
            return
        place = (record.topic, record.key)
        request = decode_request(record.value)
        effect = handle(
            service,
            self.entities.get(place),
            lambda step: self.recall(*place, step),
            request,
            self.now_ms,
            self.window,
        )
        if effect.entity is None:
            self.entities.pop(place, None)
        else:
            self.entities[place] = effect.entity
        for step, value in effect.memory.items():
            self.memory[*place, step] = self.now_ms, value
        self.log.extend(effect.records)
        if effect.wake_after_s is not None:
            self.alarms.append(place)

    def recall(self, *step: str) -> Memory | None:
        handled_ms, found = self.memory.get((step[0], step[1], step[2]), (0, None))
        is_recent = self.now_ms - handled_ms <= self.window.window_ms
        return None if found is None else found._replace(is_recent=is_recent)

    def pass_time(self, ms: int) -> None:
        """Forgets what may be forgotten by then."""
        self.now_ms += ms
        limit_ms = self.now_ms - self.window.kept_ms
        self.memory = {step: kept for step, kept in self.memory.items() if kept[0] >= limit_ms}

    def fire(self, place: tuple[str, str]) -> None:
        self.log.extend(ring(HOSTED[place[0]], place[1], self.entities.get(place)))

    def settle(self) -> None:
        """Delivers what is under way, in order, and nothing twice."""
        while self.log:
            self.deliver(self.log.pop(0))

    def ask(
        self, service: str, method: str, request_id: str, key: str, /, **params: Any
    ) -> dict[str, Any]:
        """One request, answered before the next."""
        name = HOSTED[input_topic(service)].key
        request = Request(request_id, SINK, method, {name: key, **params})
        self.produce(input_topic(service), key, request)
        self.settle()
        return self.replies[request_id][-1]

    def entity(self, service: str, key: str) -> Entity:
        return self.entities[input_topic(service), key]

    def storm(
        self, seed: int, duplicates: float, early_alarms: float, outages_ms: Sequence[int] = ()
    ) -> None:
        """Delivers in random order, again and again, with alarms that come at any time. Outages
        come between: whatever is under way then comes later by so much."""
        chance = random.Random(seed)
        outages = [*outages_ms]
        for _ in range(20_000):
            if outages and chance.random() < OUTAGE_CHANCE:
                self.pass_time(outages.pop())
            if self.alarms and (not self.log or chance.random() < early_alarms):
                self.fire(self.alarms.pop(chance.randrange(len(self.alarms))))
            elif self.log:
                index = chance.randrange(len(self.log))
                if chance.random() < duplicates:
                    self.deliver(self.log[index])
                else:
                    self.deliver(self.log.pop(index))
            else:
                return
        raise AssertionError("the storm does not end")
