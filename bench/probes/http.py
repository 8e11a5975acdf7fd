"""These probes need HTTP alone: a service with state, one without, a route of the gateway's."""

from itertools import count

from bench.probes.echo_requests import echoes
from bench.probes.probe import WARM_UP_S, Found, Result, crossed, latencies, unlike
from bench.probes.sender import Answer, Sender
from bench.probes.target import Control, Target
from bench.workload.journey import Call

HTTP_PER_S = 100.0
"""The probe `http` sends at this rate: unloaded."""
USERS = 32
"""So many users are asked in turn, so that requests under way at a time are for different ones."""
GATEWAY_PER_S = 200.0
"""The probe `gateway` sends at this rate, far below what one gateway answers."""
ECHO_PER_S = 500.0
"""The probe `echo` sends at this rate. In 7 s it sends 3,500 requests: where 1 reply in 1,000 is
lost at random, 97 probes of 100 see it."""


async def http(target: Target) -> Result:
    async with Sender(target) as sender:
        created = [
            await sender.ask(Call("create_user", "POST", "/users/create")) for _ in range(USERS)
        ]
        users = [str(answer.row.body.get("user_id", "-")) for answer in created]
        finds = (
            Call("find_user", "GET", f"/users/find/{users[number % USERS]}") for number in count()
        )
        answers = await sender.pace(finds, HTTP_PER_S, target.options.duration_s)
        return await _result("http", target.control, sender, answers)


async def echo(target: Target) -> Result:
    async with Sender(target) as sender:
        answers = await sender.pace(echoes(), ECHO_PER_S, target.options.duration_s)
        return await _result("echo", target.control, sender, answers)


async def gateway(target: Target) -> Result:
    async with Sender(target) as sender:
        calls = (Call("index", "GET", "/") for _ in count())
        answers = await sender.pace(calls, GATEWAY_PER_S, target.options.duration_s)
        result = await _result("gateway", target.control, sender, answers)
        nameless = sum(
            answer.status == 200 and "version" not in answer.row.body for answer in answers
        )
        if nameless:
            result.reasons.append(f"{nameless:,} of {len(answers):,} answers name no version")
        risen = await sender.risen()
        records = 0 if risen is None else risen.records.total()
        if records:
            result.reasons.append(f"the gateway sent {records:,} records to Kafka")
        return result


async def _result(name: str, control: Control, sender: Sender, answers: list[Answer]) -> Result:
    """All must be answered 200, each with its own reply."""
    risen = await sender.settled()
    begin_ns = min((answer.intended_ns for answer in answers), default=0) + int(WARM_UP_S * 1e9)
    measured = [answer.timed for answer in answers if answer.intended_ns >= begin_ns]
    rows = sender.rows
    found = Found(crossed(rows) + sender.faults(risen), sender.unsent)
    found.timed(unlike(rows, 200), control)
    return found.result(name, control, len(rows), latencies(measured))
