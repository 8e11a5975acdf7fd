"""Under load two TaskManagers share the work, a job is rescaled, and gateways come and go."""

import asyncio
import os
import signal
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import orjson
import psutil
import pytest
from support.kafka_client import KafkaClient
from support.running_up import SMALL, Adding, Up, get, own_up

from machine.http import call_json
from system.flink_job.host import SENT_ON

USERS = 500
"""So many keys are in two parts that differ by a fifth once in a hundred thousand times."""
REQUEST_S = 60.0
"""Ends a request that hangs."""


@pytest.fixture
def up(until) -> Iterator[Up]:
    with own_up(until) as up:
        yield up


def taken(flink_rest: str) -> Counter[str]:
    """How many records the services of each TaskManager took."""
    (job,) = get(f"http://{flink_rest}/jobs/overview")["jobs"]
    vertices = f"http://{flink_rest}/jobs/{job['jid']}/vertices"
    plan: Any = get(f"http://{flink_rest}/jobs/{job['jid']}")
    (services,) = (each for each in plan["vertices"] if each["name"].startswith("services"))
    counts: Counter[str] = Counter()
    for task in get(f"{vertices}/{services['id']}")["subtasks"]:
        counts[task["taskmanager-id"]] += task["metrics"]["read-records"]
    return counts


def taskmanagers(up: Up) -> set[int]:
    """The processes, also while the stack is busy and tells of none."""
    assert up.process is not None
    found = set()
    for child in psutil.Process(up.process.pid).children():
        with suppress(psutil.Error):
            if any("TaskManagerRunner" in word for word in child.cmdline()):
                found.add(child.pid)
    return found


async def in_any_partition(bootstrap_servers: str) -> list[Any]:
    """What a user's credit is after each of ten requests, which take turns between partitions."""
    user_id, found = uuid.uuid4().hex, list[Any]()
    async with KafkaClient(bootstrap_servers) as client:
        for number in range(11):
            request = {"request_id": uuid.uuid4().hex, "sink": client.sink}
            method = "add_credit" if number else "create_user"
            params = {"user_id": user_id, **({"amount": 1} if number else {})}
            record = orjson.dumps({**request, "method": method, "params": params})
            await client.produce("user_in", record, user_id.encode(), partition=number % 2)
            found.append((await client.reply(request["request_id"]))["credit"])
        sent_on = [
            record
            for partition in range(2)
            for record in await client.read("user_in", partition)
            if record.key == user_id.encode() and record.headers
        ]
    assert len({record.partition for record in sent_on}) == 1, "where the key's records are"
    first_ms = {int(told.removeprefix(SENT_ON)) for ((_, told),) in map(headers, sent_on)}
    assert len(first_ms) == len(sent_on), "each as old as it was"
    assert len(sent_on) in (5, 6), "each that was elsewhere, once"
    return found


def headers(record: Any) -> tuple[tuple[str, bytes], ...]:
    ((name, _),) = record.headers
    assert name == "reason"
    return tuple(record.headers)


def test_a_job_is_rescaled_under_load_and_shares_its_work(up: Up, until, tmp_path) -> None:
    chosen = ("--data-dir", str(tmp_path / "data"), *SMALL)
    up.start("--partitions", "2", "--gateways", "2", *chosen)
    status = up.until_up()
    first, second = status["urls"]
    rest = str(status["flink_rest"])
    with Adding(first) as adding, Adding(second) as beside:

        def both_go_on() -> None:
            answered = adding.answered, beside.answered
            until(lambda: adding.answered >= answered[0] + 20)
            until(lambda: beside.answered >= answered[1] + 20)

        both_go_on()
        assert up.run("rescale", "--parallelism", "5", "--taskmanagers", "1") == (
            3,
            "",
            "error: parallelism 5 is more than 4 task slots of each TaskManager: "
            "choose --taskmanagers 2 or more\n",
        )
        with ThreadPoolExecutor(1) as pool:
            rescaling = pool.submit(up.run, "rescale", "--parallelism", "2", "--taskmanagers", "2")
            until(lambda: len(taskmanagers(up)) == 2)
            (known,) = up.pids("flink_taskmanager")
            (added,) = taskmanagers(up) - {known}
            os.kill(added, signal.SIGKILL)
            told = "error: flink_taskmanager_2 ended, and the job stays as it is\n"
            assert rescaling.result() == (3, "", told)
        both_go_on()
        assert taskmanagers(up) == {known}  # it has not even noticed

        code, output, errors = up.run("rescale", "--parallelism", "2", "--taskmanagers", "2")
        assert (code, errors) == (0, "")
        assert output.startswith(f"the stack {up.name} is rescaled, after a pause of ")
        both_go_on()
        assert len({*up.pids("flink_taskmanager"), *up.pids("flink_taskmanager_2")}) == 2

        # A client's own choice of a partition changes nothing, whichever task reads that.
        asked = asyncio.run(in_any_partition(str(status["bootstrap_servers"])))
        assert asked == [*range(11)]

        # A gateway's replies reach it, whatever becomes of the other.
        (killed,) = up.pids("gateway_2")
        os.kill(killed, signal.SIGKILL)
        for number in range(50):
            assert get(f"{first}/echo/{number}")["echo_id"] == str(number)
        until(lambda: up.pids("gateway_2") not in ([], [killed]))
        both_go_on()
        adding.stop()
        beside.stop()

        before = taken(rest)
        for _ in range(USERS):
            call_json("POST", f"{first}/users/create", REQUEST_S)
        until(lambda: (taken(rest) - before).total() >= USERS)
        shares = taken(rest) - before
        assert len(shares) == 2
        assert min(shares.values()) / shares.total() >= 0.4
        assert up.run("rescale", "--parallelism", "1")[0] == 0
        assert up.pids("flink_taskmanager_2") == []
        for each in (adding, beside):
            assert get(f"{first}/users/find/{each.user_id}")["credit"] == each.answered
    assert up.run("down")[0] == 0
    assert up.ended()[0] == 0
    assert up.run("rescale", "--parallelism", "1") == (1, "", f"no stack named {up.name} is up\n")

    code, _, errors = up.run("up", "--port", "0", "--partitions", "3", *chosen)
    assert code == 3
    assert "has 2 partitions, not 3, and keeps them: leave --partitions out" in errors
    up.start("--parallelism", "2", "--taskmanagers", "2", *chosen)
    status = up.until_up()
    for each in (adding, beside):
        assert get(f"{status['url']}/users/find/{each.user_id}")["credit"] == each.answered
    assert up.run("down")[0] == 0
    assert up.ended()[0] == 0
