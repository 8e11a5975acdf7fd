"""/health/ready tells whether the services answer; live, whether the gateway does."""

import asyncio

from support.contract import NO_SERVICES, TOPIC_PREFIX

from system.gateway.readiness import PREFIX
from tests.contract.conftest import WAIT_S, spawn, until

SERVICES = ("--ready-by", "services")


def readiness(running, status: int):
    async def is_so() -> bool:
        return (await running.ask("GET", "/health/ready"))[0] == status

    return is_so


async def test_ready_while_the_services_answer(gateway, topics):
    running = await gateway(*SERVICES)
    status, headers, body = await running.ask("GET", "/health/ready")
    assert (status, body["ready"], body["error"]["code"]) == (503, False, "unavailable")
    assert body["error"]["message"] == "the services have not answered yet"
    assert "Retry-After" in headers
    serving = asyncio.create_task(topics.serve())
    await until(readiness(running, 200))
    assert (await running.ask("GET", "/health/ready"))[2] == {"ready": True}
    serving.cancel()
    await until(readiness(running, 503))
    body = (await running.ask("GET", "/health/ready"))[2]
    assert "the services have not answered for " in body["error"]["message"]
    assert (await running.ask("GET", "/health/live"))[0] == 200
    serving = asyncio.create_task(topics.serve())
    await until(readiness(running, 200))
    serving.cancel()


async def test_own_echoes_are_counted_under_their_own_name(gateway, topics):
    running = await gateway(*SERVICES)
    record, request = await topics.next()
    assert (record.topic, request["method"], request["sink"]) == ("echo_in", "echo", running.sink)
    assert request["request_id"].startswith(PREFIX)
    await topics.reply(request)
    await topics.reply(request)  # as a service does that sends twice
    await running.until_metric(2, "replies_total", kind="own_echo")
    assert await running.metric("records_total", kind="own_echo") >= 1
    for kind in ("matched", "late", "duplicate", "unknown", "malformed"):
        assert await running.metric("replies_total", kind=kind) == 0
    for kind in ("acknowledged", "not_sent", "unknown"):
        assert await running.metric("records_total", kind=kind) == 0
    for name in ("in_flight", "timeouts_total", "responses_total"):
        assert await running.metric(name) == 0


async def test_without_echoes_nothing_is_sent(gateway, topics):
    running = await gateway(*NO_SERVICES)
    assert (await running.ask("GET", "/health/ready"))[0] == 200
    assert await topics.end_offsets() == topics.ends


async def test_a_gateway_started_anew_has_the_same_reply_topic(bootstrap_servers, topics):
    """And an answer to its former self is no sign of life of the services."""
    requests = []
    for _ in range(2):
        process = await spawn("--bootstrap", bootstrap_servers, "--gateway-id", "stays")
        await asyncio.wait_for(process.stdout.readline(), WAIT_S)
        _, request = await topics.next()
        requests.append(request)
        process.terminate()
        await asyncio.wait_for(process.communicate(), WAIT_S)
    first, second = requests
    assert first["sink"] == second["sink"] == TOPIC_PREFIX + "gateway_out_stays"
    assert first["request_id"] != second["request_id"]


async def test_a_gateway_may_refuse_while_the_services_are_silent(gateway, topics):
    running = await gateway(*SERVICES, "--when-silent", "refuse")
    for _ in range(2):
        status, headers, body = await running.ask("POST", "/users/create")
        assert (status, body["error"]["code"]) == (503, "unavailable")
        assert "the services have not answered" in body["error"]["message"]
        assert headers["Retry-After"] == "1"
        serving = asyncio.create_task(topics.serve())
        await until(readiness(running, 200))
        assert (await running.ask("POST", "/users/create"))[0] == 200
        serving.cancel()
        await until(readiness(running, 503))
    assert await running.metric("records_total", kind="acknowledged") == 2  # what was not refused
