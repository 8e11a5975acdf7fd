"""The services without Kafka and Flink: state in dicts, topics in a list that a test delivers from.

The model of delivery is weaker than Kafka's: any record may come in any order, late and many times.
"""

import importlib
import random
from dataclasses import dataclass, field
from typing import Any

from system.routes import SERVICES
from system.services.service import Entity, Record, Service, handle, ring
from system.wire import Request, decode, decode_request, encode_request, input_topic

SINK = "gateway_out_test"


def load(name: str) -> Service:
    service = getattr(importlib.import_module(f"system.services.{name}"), name.upper())
    assert isinstance(service, Service)
    return service


HOSTED = {input_topic(name): load(name) for name in SERVICES}


@dataclass
class Shop:
    entities: dict[tuple[str, str], Entity] = field(default_factory=dict)
    memory: dict[tuple[str, str, str], bytes] = field(default_factory=dict)
    log: list[Record] = field(default_factory=list)
    alarms: list[tuple[str, str]] = field(default_factory=list)
    replies: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

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
            lambda step: self.memory.get((*place, step)),
            request,
        )
        if effect.entity is None:
            self.entities.pop(place, None)
        else:
            self.entities[place] = effect.entity
        self.memory.update({(*place, step): value for step, value in effect.memory.items()})
        self.log.extend(effect.records)
        if effect.wake_after_s is not None:
            self.alarms.append(place)

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

    def storm(self, seed: int, duplicates: float, early_alarms: float) -> None:
        """Delivers in random order, again and again, with alarms that come at any time."""
        chance = random.Random(seed)
        for _ in range(20_000):
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
