"""Each row of the contract's status table over real HTTP."""

import asyncio

import pytest

from system import wire
from system.routes import ROUTES
from system.wire import AMOUNT_MAX

REQUEST = b"GET /users/find/u1 HTTP/1.1\r\nHost: h\r\n"
CREATE = b"POST /users/create HTTP/1.1\r\nHost: h\r\n"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.method)
async def test_200_each_route(shared_gateway, topics, route):
    running = shared_gateway
    asked = asyncio.create_task(running.ask(route.verb, route.path.format_map(Ones())))
    record, request = await topics.next()
    assert record.topic == wire.input_topic(route.service)
    assert record.key.decode() == request["params"][route.key]
    assert request["sink"] == running.sink
    assert request["method"] == route.method
    await topics.reply(request, user_id="u1", credit=20)
    status, _, body = await asked
    assert (status, body) == (
        200,
        {"request_id": request["request_id"], "user_id": "u1", "credit": 20},
    )


class Ones(dict):
    def __missing__(self, name):
        return "1"


async def test_400_sends_nothing(gateway, topics):
    running = await gateway("--receive-s", "1")
    for verb, path, options in [
        ("GET", "/users/find/a.b", {}),
        ("POST", "/users/credit/add/u/0", {}),
        ("POST", f"/users/credit/add/u/{AMOUNT_MAX + 1}", {}),
        ("POST", "/users/credit/add/u/1e3", {}),
        ("POST", "/stock/item/create?price=0", {}),
        ("POST", "/stock/item/create?price=1&price=1", {}),
        ("POST", "/stock/item/create?other=1", {}),
        ("GET", "/users/find/u?x=1", {}),
        ("POST", "/users/create", {"data": b"{"}),
        ("POST", "/users/create", {"json": {"a": 1}}),
        ("POST", "/users/create", {"data": b"[]"}),
        ("POST", "/users/create", {"headers": {"Idempotency-Key": "a b"}}),
        ("POST", "/users/create", {"headers": {"Idempotency-Key": ""}}),
        ("POST", "/users/create", {"headers": [("Idempotency-Key", "a")] * 2}),
        ("POST", "/users/create", {"headers": {"Idempotency-Key": "a" * 65}}),
    ]:
        status, headers, body = await running.ask(verb, path, **options)
        assert (status, body["error"]["code"]) == (400, "bad_request"), path
        assert headers["Content-Type"] == "application/json"
    for parts in [
        [b"garbage\r\n\r\n"],
        [b"\x16\x03\x01\x02\x00\x01"],
        [b"GET /users/find/u1 HTTP/9.9\r\n\r\n"],
        [REQUEST + b"no colon\r\n\r\n"],
        [CREATE + b"Content-Length: x\r\n\r\n"],
        [CREATE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"],
        [CREATE + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
        [REQUEST + b"X-Slow: "],
        [CREATE + b"Connection: close\r\nContent-Length: 2\r\n\r\n{"],
    ]:
        status, body = await running.raw(*parts)
        assert (status, body["error"]["code"]) == (400, "bad_request"), parts
    assert await topics.end_offsets() == topics.ends


async def test_404_unknown_route_sends_nothing(shared_gateway, topics):
    running = shared_gateway
    for verb, path in [("GET", "/nope"), ("POST", "/users/find/u"), ("POST", "/metrics")]:
        status, _, body = await running.ask(verb, path)
        assert (status, body["error"]["code"]) == (404, "not_found")
    assert await topics.end_offsets() == topics.ends


@pytest.mark.parametrize("code", [*wire.HTTP_STATUS, "never_heard_of"])
async def test_errors_of_services(shared_gateway, topics, code):
    running = shared_gateway
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1"))
    _, request = await topics.next()
    await topics.reply(request, error={"code": code, "message": "why"})
    status, headers, body = await asked
    assert status == wire.HTTP_STATUS.get(code, 500)
    assert ("Retry-After" in headers) == (status == 503)
    assert body == {
        "request_id": request["request_id"],
        "error": {"code": code, "message": "why"},
    }


async def test_409_an_id_of_the_gateway_with_another_request_sends_nothing(shared_gateway, topics):
    running = shared_gateway
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1"))
    _, request = await topics.next()
    await topics.reply(request)
    await asked
    ends = await topics.end_offsets()
    key = {"Idempotency-Key": request["request_id"]}
    for verb, path in [("GET", "/users/find/u2"), ("DELETE", "/users/remove/u1")]:
        status, _, body = await running.ask(verb, path, headers=key)
        assert (status, body["error"]["code"]) == (409, "idempotency_key_reused")
        assert body["request_id"] == request["request_id"]
    assert await topics.end_offsets() == ends


async def test_413_and_431_send_nothing(gateway, topics):
    running = await gateway("--body-bytes-max", "100", "--line-bytes-max", "1000")
    for parts in [
        [CREATE + b"Content-Length: 101\r\n\r\n"],
        [CREATE + b"Transfer-Encoding: chunked\r\n\r\n65\r\n" + b" " * 101 + b"\r\n0\r\n\r\n"],
    ]:
        status, body = await running.raw(*parts)
        assert (status, body["error"]["code"]) == (413, "too_large")
    for parts in [
        [REQUEST + b"X-Long: " + b"x" * 2000 + b"\r\n\r\n"],
        [REQUEST + b"X" * 2000 + b": x\r\n\r\n"],
        [REQUEST + b"A: b\r\n" * 100 + b"\r\n"],
        [b"GET /" + b"x" * 2000 + b" HTTP/1.1\r\nHost: h\r\n\r\n"],
    ]:
        status, body = await running.raw(*parts)
        assert (status, body["error"]["code"]) == (431, "too_large")
    assert await topics.end_offsets() == topics.ends


async def test_what_is_as_large_as_its_limit_is_answered(gateway, topics):
    limits = ("--body-bytes-max", "100", "--line-bytes-max", "1000", "--headers-max", "5")
    running = await gateway(*limits)
    whole = b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"  # two headers
    for more, expected in [(3, 200), (4, 431)]:
        assert (await running.raw(whole + b"A: b\r\n" * more + b"\r\n"))[0] == expected
    for length, expected in [(1000, 200), (1001, 431)]:
        value = b"X-Long: " + b"x" * length
        assert (await running.raw(whole + value + b"\r\n\r\n"))[0] == expected
    for length, expected in [(1000, 404), (1001, 431)]:
        target = b"/" + b"x" * (length - 1)
        assert (await running.raw(whole.replace(b"/", target, 1) + b"\r\n"))[0] == expected
    create = CREATE + b"Connection: close\r\nContent-Length: %d\r\n\r\n"
    asked = asyncio.create_task(running.raw(create % 100 + b"{}" + b" " * 98))
    _, request = await topics.next()
    await topics.reply(request, user_id="u1")
    assert (await asked)[0] == 200
    assert (await running.raw(create % 101 + b"{}" + b" " * 99))[0] == 413


async def test_503_when_full_sends_nothing(gateway, topics):
    running = await gateway("--in-flight-max", "1", "--retry-after-s", "7")
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1"))
    _, request = await topics.next()
    ends = await topics.end_offsets()
    status, headers, body = await running.ask("GET", "/users/find/u2")
    assert (status, body["error"]["code"], headers["Retry-After"]) == (503, "overloaded", "7")
    assert await topics.end_offsets() == ends
    await topics.reply(request)
    assert (await asked)[0] == 200


async def test_504_says_how_to_learn_the_outcome_and_a_resend_gives_it(gateway, topics):
    running = await gateway("--timeout-s", "0.3")
    status, _, body = await running.ask("POST", "/users/create")
    first, request = await topics.next()
    assert (status, body["error"]["code"]) == (504, "timeout")
    assert body["request_id"] == request["request_id"]
    assert f"Idempotency-Key: {request['request_id']}" in body["error"]["message"]
    assert await running.metric("timeouts_total") == 1
    key = {"Idempotency-Key": request["request_id"]}
    while True:
        asked = asyncio.create_task(running.ask("POST", "/users/create", headers=key))
        again, resent = await topics.next()
        assert (again.key, again.value) == (first.key, first.value)
        await topics.reply(resent, user_id="u9")
        status, _, body = await asked
        if status == 200:  # a loaded machine may take longer than 0.3 s
            break
    assert body == {"request_id": request["request_id"], "user_id": "u9"}


async def test_health_and_index(gateway):
    running = await gateway()
    assert (await running.ask("GET", "/"))[2]["name"] == "kaflinkshop"
    assert (await running.ask("GET", "/health/live"))[0] == 200
    assert (await running.ask("GET", "/health/ready"))[0] == 200
    assert await running.metric("build_info") == 1
