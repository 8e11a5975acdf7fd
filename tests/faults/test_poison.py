"""Records that no service can handle, and sinks that are not there: nobody else notices."""

import asyncio
import json
import random
import uuid
from collections import Counter
from itertools import count
from typing import Any
from urllib.request import ProxyHandler, build_opener

import aiohttp
import orjson
from support.kafka_client import KafkaClient

from system.flink_job.pipeline import METADATA_BACKOFF
from system.routes import SERVICES
from system.runtime.stack import Stack
from system.wire import WireError, dead_topic, decode_request, input_topic

RECORDS = 10_000
SEED = 12
ASKED_AT_ONCE = 4
TIMEOUT_S = 60
"""Ends a test that hangs."""
POLL_S = 0.2
STALLED_MS = 200
"""A flush that sees nothing written for so long asks for its topics, see OutboxWriter."""
SINKS = 20
"""So many sinks are deleted at most, until a record is on its way to one."""
LATE = "Received invalid metadata error in produce request on partition {}-0"
"""The producer says so of a record for a topic that is gone; it has it for two minutes then."""
REFUSED_MAX = 50
"""A request is refused so often at most as no broker answers: for some ten seconds."""


def asked(stack: Stack, path: str) -> Any:
    """Flink's answer about the job."""
    opener = build_opener(ProxyHandler({}))
    url = f"http://{stack.flink_rest}/jobs/{stack.job_id}/{path}"
    with opener.open(url, timeout=TIMEOUT_S) as response:
        return json.load(response)


def restarts(stack: Stack) -> int:
    """How often the job has failed, and so been restarted."""
    return len(asked(stack, "exceptions?maxExceptions=100")["exceptionHistory"]["entries"])


def checkpoints(stack: Stack) -> int:
    """How many checkpoints the job has completed."""
    return int(asked(stack, "checkpoints")["counts"]["completed"])


async def until_checkpoint(stack: Stack, more: int = 2) -> None:
    """Returns when one has begun and been completed, or that many have been."""
    wanted = checkpoints(stack) + more
    async with asyncio.timeout(TIMEOUT_S):
        for _ in count():
            if await asyncio.to_thread(checkpoints, stack) >= wanted:
                return
            await asyncio.sleep(POLL_S)


class Others:
    """Clients that ask on while something else happens, each for a user of its own.

    What takes longer than the gateway waits, as on a busy machine, is asked again by the key that
    the answer names, and what was not sent, as no broker answered, is sent again: what counts is
    how it ends.
    """

    def __init__(self, stack: Stack) -> None:
        self._url = stack.url
        self._stopping = False
        self.statuses: list[int] = []

    async def __aenter__(self) -> "Others":
        self._session = aiohttp.ClientSession(self._url)
        self._clients = [asyncio.create_task(self._ask()) for _ in range(ASKED_AT_ONCE)]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._stopping = True
        await asyncio.gather(*self._clients)
        await self._session.close()

    async def _ask(self) -> None:
        _, created = await self._ended("POST", "/users/create")
        user_id = created["user_id"]
        while not self._stopping:
            for verb, path in (("POST", f"credit/add/{user_id}/1"), ("GET", f"find/{user_id}")):
                status, _ = await self._ended(verb, f"/users/{path}")
                self.statuses.append(status)

    async def _ended(self, verb: str, path: str) -> tuple[int, Any]:
        headers: dict[str, str] = {}
        refused = 0
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                async with self._session.request(verb, path, headers=headers) as response:
                    answer = await response.json()
                    if response.status == 504:
                        headers = {"Idempotency-Key": answer["request_id"]}
                    elif (answer.get("error") or {}).get("code") != "unavailable":
                        return response.status, answer
                    else:
                        refused += 1
                        assert refused <= REFUSED_MAX
                await asyncio.sleep(POLL_S)


def request(sink: str, method: str = "find_user", **params: object) -> bytes:
    return orjson.dumps({"request_id": uuid.uuid4().hex, "sink": sink, "method": method,
                         "params": params})  # fmt: skip


async def answered(client: KafkaClient) -> dict[str, Any]:
    """The reply to a request of this client's."""
    record = request(client.sink, user_id="e")
    await client.produce("user_in", record, b"e")
    return await client.reply(orjson.loads(record)["request_id"])


def fuzzed(chance: random.Random, sink: str) -> tuple[str, bytes | None, bytes | None]:
    """Topic, key and value: bytes, JSON, and requests with a part of them wrong."""
    topic = input_topic(chance.choice(SERVICES))
    key = chance.choice([None, b"", b"e", chance.randbytes(chance.randrange(80))])
    value: bytes | None = chance.randbytes(chance.randrange(200))
    methods = ["charge", "uncharge", "take", "untake", "stepped", "saga_expired", "quoted", "claim",
               "refund", "restock", "attach_order", "checkout", "no_such_method", 7]  # fmt: skip
    names = ["user_id", "order_id", "item_id", "amount", "quantity", "participant", "refusal",
             "undone", "price", "service", "key", "method", "params"]  # fmt: skip
    things = ["e", 1, -1, 2**53, 1.5, None, True, [], {}, "x" * 300, ["a", "b"], [1, 2, 3]]
    match chance.randrange(8):
        case 0:
            key, value = key or b"e", None  # a client's library wants one of them
        case 1:
            value = chance.choice([b"[]", b"{}", b"null", b"[" * 5000, b"{" * 5000, b'"\\ud800"'])
        case 2:
            value = b"x" * chance.choice([65_536, 65_537, 500_000])
        case 3 | 4 | 5 | 6:
            any_id = uuid.UUID(int=chance.getrandbits(128)).hex
            some = {name: chance.choice(things) for name in names if chance.random() < 0.6}
            fields = {
                "request_id": chance.choice(["e", "", 7, None, "a b", any_id, any_id]),
                "sink": chance.choice([sink, sink, f"no-{chance.randrange(50)}", "user_in", 7]),
                "method": chance.choice(methods),
                "params": chance.choice([some, some, dict.fromkeys(names, "e"), None]),
            }
            left = {name: field for name, field in fields.items() if chance.random() < 0.95}
            value = orjson.dumps(left)
    return topic, key, value


def is_request(value: bytes) -> bool:
    try:
        decode_request(value)
    except WireError:
        return False
    return True


def last_of(service: str, sink: str) -> bytes:
    """A dead letter that is answered."""
    return orjson.dumps({"sink": sink, "request_id": f"last-{service}"})


async def test_ten_thousand_fuzzed_records_stop_nobody(stack: Stack) -> None:
    chance, before = random.Random(SEED), restarts(stack)
    async with KafkaClient(stack.bootstrap_servers) as client:
        dead_before = {
            name: len(await client.read(dead_topic(input_topic(name)))) for name in SERVICES
        }
        async with Others(stack) as others:
            records = [fuzzed(chance, client.sink) for _ in range(RECORDS)]
            for begin in range(0, RECORDS, 500):
                await client.produce_all(records[begin : begin + 500])
            for name in SERVICES:  # behind all of them
                await client.produce(input_topic(name), last_of(name, client.sink), b"e")
            for name in SERVICES:
                last = await client.reply(f"last-{name}")
                assert last["error"]["code"] == "bad_request"
        assert set(others.statuses) == {200}
        for name in SERVICES:
            topic = input_topic(name)
            dead = await client.read_until(dead_topic(topic), last_of(name, client.sink))
            letters = dead[dead_before[name] :]
            assert all(dict(letter.headers)["reason"] for letter in letters)
            found = Counter(letter.value for letter in letters)
            produced = Counter(value or b"" for each, _, value in records if each == topic)
            produced[last_of(name, client.sink)] += 1
            assert found <= produced, "once each"
            unreadable = {value: produced[value] for value in produced if not is_request(value)}
            assert len(unreadable) > RECORDS / len(SERVICES) / 4, name
            assert {value: found[value] for value in unreadable} == unreadable
    assert restarts(stack) == before


async def test_a_sink_that_does_not_exist_costs_its_own_reply_only(stack: Stack) -> None:
    before = restarts(stack)
    async with KafkaClient(stack.bootstrap_servers) as client:
        async with Others(stack) as others:
            for number in range(2_000):
                await client.produce("user_in", request(f"missing-{number}", user_id="e"), b"e")
            await answered(client)
            await until_checkpoint(stack)  # which waits until each was asked for once
        assert set(others.statuses) == {200}
    assert restarts(stack) == before


async def test_a_sink_that_is_deleted_costs_its_own_replies_only(stack: Stack) -> None:
    before = restarts(stack)
    async with KafkaClient(stack.bootstrap_servers) as client:
        gone = f"gone-{uuid.uuid4().hex}"
        await client.create(gone)
        async with Others(stack) as others:
            for number in range(600):
                await client.produce("user_in", request(gone, user_id="e"), b"e")
                if number == 200:
                    await client.delete(gone)
            await answered(client)
            await until_checkpoint(stack)  # which waits for all that is on its way
        assert set(others.statuses) == {200}
    assert restarts(stack) == before


async def test_a_record_for_a_deleted_sink_holds_up_one_checkpoint(stack: Stack) -> None:
    log = stack.log_dir / "flink_taskmanager.log"
    deleted = []
    async with KafkaClient(stack.bootstrap_servers) as client:
        for _ in range(SINKS):
            async with KafkaClient(stack.bootstrap_servers) as leaving:
                await answered(leaving)
            deleted.append(LATE.format(leaving.sink))
            await client.produce("user_in", request(leaving.sink, user_id="e"), b"e")
            await answered(client)
            said = log.read_text()
            if any(late in said for late in deleted):  # or it had heard of all, and sent nothing
                break
        else:
            raise AssertionError("no record was on its way to a sink that is deleted")
    await until_checkpoint(stack)  # the one that finds out
    await until_checkpoint(stack, 3)
    history = asked(stack, "checkpoints")["history"]
    done = [each for each in history if each["status"] == "COMPLETED"]
    durations_ms = [each["end_to_end_duration"] for each in done[:3]]
    assert min(durations_ms) < STALLED_MS


def test_the_producer_asks_for_a_deleted_topic_without_long_pauses(stack: Stack) -> None:
    log = (stack.log_dir / "flink_taskmanager.log").read_text()
    _, _, said = log.partition("ProducerConfig values:")
    for name, value in METADATA_BACKOFF.items():
        assert f"\t{name} = {value}\n" in said


async def test_a_sink_that_is_made_just_before_the_request_is_written_to(stack: Stack) -> None:
    for _ in range(10):
        async with KafkaClient(stack.bootstrap_servers) as client:
            reply = await answered(client)
            assert reply["error"]["code"] == "not_found"
