"""Idempotency keys, and the kinds of replies."""

import asyncio
import socket
import struct

import orjson
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from system.kafka_admin import kafka_admin
from tests.contract.conftest import until


async def test_replies_are_counted_by_kind(gateway, topics):
    running = await gateway("--timeout-s", "0.3")
    await running.ask("GET", "/users/find/u1")
    _, timed_out = await topics.next()
    await topics.reply(timed_out)
    await running.until_metric(1, "replies_total", kind="late")
    await topics.reply(timed_out)
    await running.until_metric(1, "replies_total", kind="duplicate")
    await topics.put(running.sink, orjson.dumps({"request_id": "never-sent"}))
    await running.until_metric(1, "replies_total", kind="unknown")
    malformed = [b"{", b"[]", b"{}", b"\xff", b'{"request_id": 7}', b'{"request_id": []}']
    malformed += [b'{"request_id": "a", "error": 1}', b'{"request_id": "a", "error": {"code": []}}']
    for record in malformed:
        await topics.put(running.sink, record)
    await running.until_metric(len(malformed), "replies_total", kind="malformed")
    assert await running.metric("replies_total", kind="matched") == 0
    assert (await running.ask("GET", "/health/ready"))[0] == 200


async def test_the_same_key_in_flight_joins_and_is_sent_once(gateway, topics):
    running = await gateway("--waiters-max", "2")
    asked = asyncio.create_task(running.ask("POST", "/users/create"))
    _, request = await topics.next()
    ends = await topics.end_offsets()
    key = {"Idempotency-Key": request["request_id"]}
    joined = [
        asyncio.create_task(running.ask("POST", "/users/create", headers=key)) for _ in range(2)
    ]
    (crowded,), joined = await asyncio.wait(joined, return_when=asyncio.FIRST_COMPLETED)
    status, headers, body = crowded.result()
    assert (status, body["error"]["code"]) == (503, "overloaded")
    assert "Retry-After" in headers
    assert await topics.end_offsets() == ends
    await topics.reply(request, user_id="u")
    (other,) = joined
    assert (
        (await asked)[2]
        == (await other)[2]
        == {
            "request_id": request["request_id"],
            "user_id": "u",
        }
    )
    assert await running.metric("replies_total", kind="matched") == 1


async def test_a_clients_own_key_is_claimed(gateway, topics):
    running = await gateway()
    key = {"Idempotency-Key": "my-key"}
    path = "/users/credit/add/u1/20"
    asked = asyncio.create_task(running.ask("POST", path, headers=key))
    record, request = await topics.next()
    assert (record.topic, record.key) == ("claim_in", b"my-key")
    assert request == {
        "request_id": "my-key",
        "sink": running.sink,
        "method": "claim",
        "params": {
            "service": "user",
            "key": "u1",
            "method": "add_credit",
            "params": {"user_id": "u1", "amount": 20},
        },
    }
    other = await running.ask("POST", "/users/credit/add/u1/21", headers=key)
    assert (other[0], other[2]["error"]["code"]) == (409, "idempotency_key_reused")
    await topics.reply(request, credit=20)
    assert (await asked)[2] == {"request_id": "my-key", "credit": 20}


async def test_a_read_under_a_client_s_own_key_claims_nothing(gateway, topics):
    running = await gateway()
    key = {"Idempotency-Key": "my-read"}
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1", headers=key))
    record, request = await topics.next()
    assert (record.topic, record.key, request["method"]) == ("user_in", b"u1", "find_user")
    assert request["request_id"] == "my-read"
    await topics.reply(request, credit=20)
    assert (await asked)[0] == 200


async def test_a_client_that_goes_away_is_counted(gateway, topics):
    running = await gateway()
    _, writer = await asyncio.open_connection(*running.address)
    writer.write(b"GET /users/find/u1 HTTP/1.1\r\nHost: h\r\n\r\n")
    _, request = await topics.next()
    assert await running.metric("in_flight") == 1
    # A reset: a client that only says that it sends no more still waits for its answer.
    writer.get_extra_info("socket").setsockopt(
        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
    )
    writer.transport.abort()
    # Its end is seen before this answer: the loop reads both connections in turn.
    assert (await running.ask("GET", "/health/live"))[0] == 200
    await topics.reply(request)
    await running.until_metric(1, "abandoned_total")
    assert await running.metric("replies_total", kind="matched") == 1
    assert await running.metric("in_flight") == 0


async def test_what_the_brokers_compress_deafens_nobody(gateway, topics, bootstrap_servers):
    """It fetched a reply in lz4, which it can't read, again and again: "not reachable"."""
    running = await gateway()

    async def compress(by: str) -> None:
        async with kafka_admin(bootstrap_servers=bootstrap_servers) as admin:
            await admin.alter_configs(
                [ConfigResource(ConfigResourceType.TOPIC, running.sink, {"compression.type": by})]
            )

    async def comes_as(kind: str) -> None:
        async def is_counted() -> bool:
            before = await running.metric("replies_total", kind=kind)
            await topics.put(running.sink, orjson.dumps({"request_id": "never-sent"}))
            await asyncio.sleep(0.1)
            return await running.metric("replies_total", kind=kind) > before

        await until(is_counted)

    await comes_as("unknown")
    await compress("lz4")
    await comes_as("malformed")
    assert (await running.ask("GET", "/health/ready"))[0] == 200
    await compress("producer")
    await comes_as("unknown")
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1"))
    _, request = await topics.next()
    await topics.reply(request, user_id="u1")
    assert (await asked)[0] == 200
