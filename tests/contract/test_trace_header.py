"""`X-Trace: 1` over real HTTP and Kafka: who asks for a trace gets one, and nobody else."""

import asyncio
import time

import orjson
import pytest

TRACE = {"X-Trace": "1"}
HOPS = [["claim", 10, 20], ["user", 30, 40]]


def names(trace: list) -> list[str]:
    return [entry[0] for entry in trace]


async def test_a_traced_request(gateway, topics):
    running = await gateway()
    before_ns = time.time_ns()
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1", headers=TRACE))
    record, request = await topics.next()
    assert record.value.endswith(b'"params":{"user_id":"u1"},"trace":[]}')
    await topics.reply(request, user_id="u1", trace=HOPS, credit=20)
    status, _, body = await asked
    after_ns = time.time_ns()
    trace = body.pop("trace")
    assert (status, body) == (
        200,
        {"request_id": request["request_id"], "user_id": "u1", "credit": 20},
    )
    assert trace[3:-2] == HOPS
    stamps = [*trace[:3], *trace[-2:]]
    assert names(stamps) == ["gateway_in", "queued", "produced", "reply_in", "gateway_out"]
    times_ns = [before_ns, *(ns for _, ns in stamps), after_ns]
    assert times_ns == sorted(times_ns)


@pytest.mark.parametrize("headers", [{}, {"X-Trace": "0"}, {"X-Trace": ""}, {"X-Trace": "true"}])
async def test_whoever_asks_for_no_trace_sends_and_gets_what_there_was_before(
    shared_gateway, topics, headers
):
    running = shared_gateway
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1", headers=headers))
    record, request = await topics.next()
    assert record.value == (
        b'{"request_id":"%b","sink":"%b","method":"find_user","params":{"user_id":"u1"}}'
        % (request["request_id"].encode(), running.sink.encode())
    )
    await topics.reply(request, user_id="u1")
    assert (await asked)[2] == {"request_id": request["request_id"], "user_id": "u1"}


@pytest.mark.parametrize("trace", [None, 1, "user", [1], [["user", 1]], [["user", 1, 2]] * 1000])
async def test_a_malformed_trace_is_left_out(gateway, topics, trace):
    running = await gateway()
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1", headers=TRACE))
    _, request = await topics.next()
    await topics.reply(request, user_id="u1", trace=trace)
    status, _, body = await asked
    assert (status, body["user_id"]) == (200, "u1")
    assert names(body["trace"])[3:] == ["reply_in", "gateway_out"]
    assert await running.metric("replies_total", kind="malformed") == 0


@pytest.mark.parametrize(("first", "second"), [(TRACE, {}), ({}, TRACE), (TRACE, TRACE)])
async def test_who_joins_gets_what_it_asked_for_itself(gateway, topics, first, second):
    running = await gateway("--waiters-max", "2")
    asked = asyncio.create_task(running.ask("POST", "/users/create", headers=first))
    _, request = await topics.next()
    again = {"Idempotency-Key": request["request_id"], **second}
    joined = [
        asyncio.create_task(running.ask("POST", "/users/create", headers=again)) for _ in range(2)
    ]
    (crowded,), (waiting,) = await asyncio.wait(joined, return_when=asyncio.FIRST_COMPLETED)
    assert crowded.result()[0] == 503
    hops = {"trace": HOPS} if first else {}
    await topics.reply(request, user_id="u", **hops)
    own, other = (await asked)[2], (await waiting)[2]
    own_trace, other_trace = own.pop("trace", None), other.pop("trace", None)
    assert own == other == {"request_id": request["request_id"], "user_id": "u"}
    assert bool(own_trace) == bool(first)
    assert bool(other_trace) == bool(second)
    if second:
        expected = ["gateway_in", *names(HOPS), "reply_in", "gateway_out"]
        assert names(other_trace) == (expected if first else ["gateway_in", "gateway_out"])


async def test_answers_of_the_gateway_itself_have_the_stamps_that_there_are(gateway, topics):
    running = await gateway("--timeout-s", "0.3")
    _, _, refused = await running.ask("GET", "/nope", headers=TRACE)
    assert refused["error"]["code"] == "not_found"
    assert names(refused["trace"]) == ["gateway_in", "gateway_out"]
    status, _, expired = await running.ask("GET", "/users/find/u1", headers=TRACE)
    assert (status, expired["error"]["code"]) == (504, "timeout")
    assert names(expired["trace"]) == ["gateway_in", "queued", "produced", "gateway_out"]
    _, request = await topics.next()
    await topics.reply(request, trace=HOPS)
    await running.until_metric(1, "replies_total", kind="late")


async def test_a_clients_own_key_is_traced_through_its_claim(gateway, topics):
    running = await gateway()
    headers = {"Idempotency-Key": "my-key", **TRACE}
    asked = asyncio.create_task(running.ask("POST", "/users/credit/add/u1/20", headers=headers))
    record, request = await topics.next()
    assert (record.topic, request["trace"]) == ("claim_in", [])
    assert "trace" not in orjson.dumps(request["params"]).decode()
    await topics.reply(request, credit=20, trace=HOPS)
    assert [entry for entry in (await asked)[2]["trace"] if len(entry) == 3] == HOPS
