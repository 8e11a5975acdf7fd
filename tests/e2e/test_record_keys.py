"""Records straight from Kafka: their keys, and the form of clients that know no keys."""

import uuid
from pathlib import Path
from types import ModuleType

import orjson
import pytest
from support.kafka_client import KafkaClient

from system.flink_job.host import SENT_ON
from system.runtime.stack import Stack

PAGE = Path(__file__).parents[2] / "docs/semantics.md"


async def ask(stack: Stack, key: bytes | None, method: str, user_id: str | int) -> dict:
    """The reply to a request record with this key."""
    request_id = uuid.uuid4().hex
    async with KafkaClient(stack.bootstrap_servers) as client:
        request = {"request_id": request_id, "sink": client.sink, "method": method}
        record = orjson.dumps({**request, "params": {"user_id": user_id}})
        await client.produce("user_in", record, key)
        fields = await client.reply(request_id)
    assert fields.pop("request_id") == request_id
    return fields


@pytest.mark.parametrize("key", [b"other", b"no id\n", b"k" * 65])
async def test_another_key_is_refused_and_has_no_effect(stack, key):
    user_id = uuid.uuid4().hex
    refusal = await ask(stack, key, "create_user", user_id)
    assert refusal["error"]["code"] == "bad_request"
    found = await ask(stack, user_id.encode(), "find_user", user_id)
    assert found["error"]["code"] == "not_found"


@pytest.mark.parametrize("key", [None, b""])
async def test_a_record_without_a_key_is_as_good_as_one_with_it(stack, key):
    user_id = uuid.uuid4().int % 10**18
    created = await ask(stack, key, "create_user", user_id)
    assert created == {"user_id": str(user_id), "credit": 0}
    found = await ask(stack, str(user_id).encode(), "find_user", str(user_id))
    assert found == {"user_id": str(user_id), "credit": 0, "orders": []}


async def test_a_record_without_a_key_is_as_old_as_it_was(stack):
    """Its copy was as old as itself: after an outage a resend of it was new, and applied again."""
    order_id, request_id = uuid.uuid4().hex, uuid.uuid4().hex
    async with KafkaClient(stack.bootstrap_servers) as client:
        request = {"request_id": request_id, "sink": client.sink, "method": "get_status"}
        record = orjson.dumps({**request, "params": {"order_id": order_id}})
        await client.produce("payment_in", record)
        assert (await client.reply(request_id))["error"]["code"] == "not_found"
        first, copy = [
            each for each in await client.read("payment_in") if request_id.encode() in each.value
        ]
        (asked,) = [
            each for each in await client.read("order_in") if request_id.encode() in each.value
        ]
    assert (first.key, copy.key) == (None, order_id.encode())
    assert copy.headers == (("reason", SENT_ON + b"%d" % first.timestamp),)
    assert orjson.loads(asked.value)["at"] == first.timestamp


async def test_what_only_says_that_it_was_sent_on_is_a_record_like_any_other(stack):
    """A dead letter that is written back has a header of this name, too."""
    user_id, request_id = uuid.uuid4().hex, uuid.uuid4().hex
    async with KafkaClient(stack.bootstrap_servers) as client:
        request = {"request_id": request_id, "sink": client.sink, "method": "create_user"}
        record = orjson.dumps({**request, "params": {"user_id": user_id}})
        headers = [("reason", SENT_ON + b"the beginning")]
        await client.produce("user_in", record, user_id.encode(), headers=headers)
        assert (await client.reply(request_id))["credit"] == 0


async def test_the_client_of_the_page_is_answered(stack):
    code = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    client = ModuleType("client")
    exec(code, client.__dict__)
    request = {"request_id": uuid.uuid4().hex, "sink": f"replies_{uuid.uuid4().hex}",
               "method": "create_user", "params": {"user_id": 1}}  # fmt: skip
    reply = await client.ask(stack.bootstrap_servers, "user_in", request)
    assert reply == {"request_id": request["request_id"], "user_id": "1", "credit": 0}


async def test_an_item_of_a_chosen_id_is_not_added_by_a_request_that_was_refused(stack):
    """The reply to a resend is the first one, also where that said that there is no such item."""
    user_id, order_id, item_id = (uuid.uuid4().hex for _ in range(3))
    async with KafkaClient(stack.bootstrap_servers) as client:

        async def ask(service: str, method: str, request_id: str, **params: object) -> dict:
            request = {"request_id": request_id, "sink": client.sink, "method": method}
            await client.produce(f"{service}_in", orjson.dumps({**request, "params": params}))
            return await client.reply(request_id)

        item, line = {"item_id": item_id}, {"order_id": order_id, "item_id": item_id}
        await ask("user", "create_user", uuid.uuid4().hex, user_id=user_id)
        await ask("order", "create_order", uuid.uuid4().hex, order_id=order_id, user_id=user_id)
        refused = await ask("order", "add_item", again := uuid.uuid4().hex, **line)
        assert refused["error"]["code"] == "not_found"
        await ask("stock", "create_item", uuid.uuid4().hex, **item, price=3, stock=5)
        assert await ask("order", "add_item", again, **line) == refused
        added = await ask("order", "add_item", uuid.uuid4().hex, **line)
        assert added["items"] == [{**item, "price": 3, "quantity": 1}]
