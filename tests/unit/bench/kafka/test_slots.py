"""Slots find the request that each reply is for, and count those that are for none."""

from typing import Any

import orjson
import pytest

from bench.judge.ledger import balance
from bench.kafka import slots as module
from bench.kafka.link import Record as Read
from bench.kafka.requests import Record, Requests
from bench.kafka.slots import Slot, Slots
from bench.workload.journey import Call
from system.wire import decode_request


class Owner:
    def __init__(self) -> None:
        self.free: list[Slot] = []
        self.done: list[tuple[Any, int, bytes]] = []

    def opened(self, slot: Slot) -> None:
        self.free.append(slot)

    def answered(self, slot: Slot) -> None:
        self.done.append((slot.context, slot.status, b"".join(slot.parts)))
        self.free.append(slot)

    def broken(self, slot: Slot, outcome: str) -> None:
        self.done.append((slot.context, 0, outcome.encode()))


class Harness:
    """Slots whose records go nowhere."""

    def __init__(self) -> None:
        self.slots, self.owner = Slots("nowhere:1"), Owner()

    async def send(self, request_id: str) -> Slot:
        await self.slots.open(self.owner)
        slot = self.owner.free.pop()
        slot.context = request_id
        slot.send(Record(request_id, "user_in", "7f", b"{}"))
        return slot

    def reply(self, request_id: str, **fields: Any) -> bytes:
        value = orjson.dumps({"request_id": request_id, **fields})
        self.slots.take(Read(value, 0, 0))
        return value


async def test_a_reply_comes_to_its_request() -> None:
    made = Harness()
    for request_id in ("a", "b"):
        await made.send(request_id)
    b = made.reply("b", credit=1)
    a = made.reply("a", error={"code": "not_found", "message": "no"})
    assert made.owner.done == [("b", 200, b), ("a", 404, a)]
    assert made.slots.replies == {"matched": 2}


async def test_replies_for_nobody_are_counted_by_kind() -> None:
    made = Harness()
    await made.send("a")
    late = await made.send("b")
    late.abort()
    made.reply("a")
    for request_id in ("a", "b", "c"):
        made.reply(request_id)
    for broken in (b"", b"[]", b'{"error": {}}', b'{"request_id": "a", "error": 1}'):
        made.slots.take(Read(broken, 0, 0))
    assert made.slots.replies == {
        "matched": 1, "duplicate": 1, "late": 1, "unknown": 1, "malformed": 4,
    }  # fmt: skip
    assert [context for context, *_ in made.owner.done] == ["a"]


async def test_one_id_that_is_sent_twice_at_a_time_is_answered_twice() -> None:
    made = Harness()
    await made.send("a")
    await made.send("a")
    made.reply("a")
    made.reply("a")
    made.reply("a")
    assert len(made.owner.done) == 2
    assert made.slots.replies == {"matched": 2, "duplicate": 1}


async def test_what_is_remembered_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED_MAX", 2)
    made = Harness()
    for request_id in ("a", "b", "c"):
        await made.send(request_id)
        made.reply(request_id)
    for request_id in ("a", "b", "c"):
        made.reply(request_id)
    assert made.slots.replies == {"matched": 3, "unknown": 1, "duplicate": 2}


async def test_an_idle_slot_is_closed_without_a_word() -> None:
    made = Harness()
    slot = await made.send("a")
    made.reply("a")
    slot.abort()
    assert made.slots.replies == {"matched": 1}


def test_a_call_is_the_record_of_a_gateway() -> None:
    requests = Requests("gateway_out_bench-1")
    record = requests.encode(Call("add_credit", "POST", "/users/credit/add/7f/20"))
    assert record is not None
    request = decode_request(record.value)
    assert (record.topic, record.key, record.request_id) == ("user_in", "7f", request.request_id)
    assert request.params == {"user_id": "7f", "amount": 20}
    assert requests.encode(Call("index", "GET", "/")) is None


def test_replies_are_accounted_for() -> None:
    assert (
        not balance([], [], None, {"matched": 0, "late": 3, "duplicate": 1}).entries[-1].remainder
    )
    (fault,) = balance([], [], None, {"matched": 1}).faults[1:]
    assert "matched replies from Kafka" in fault
    assert any("2 replies from Kafka were unknown" in each
               for each in balance([], [], None, {"unknown": 2}).missing)  # fmt: skip
