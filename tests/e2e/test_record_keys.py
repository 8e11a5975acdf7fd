"""Records straight from Kafka: their keys, and the form of clients that know no keys."""

import uuid
from pathlib import Path
from types import ModuleType

import orjson
import pytest
from support.kafka_client import KafkaClient

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


async def test_the_client_of_the_page_is_answered(stack):
    code = PAGE.read_text().partition("```python\n")[2].partition("```")[0]
    client = ModuleType("client")
    exec(code, client.__dict__)
    request = {"request_id": uuid.uuid4().hex, "sink": f"replies_{uuid.uuid4().hex}",
               "method": "create_user", "params": {"user_id": 1}}  # fmt: skip
    reply = await client.ask(stack.bootstrap_servers, "user_in", request)
    assert reply == {"request_id": request["request_id"], "user_id": "1", "credit": 0}
