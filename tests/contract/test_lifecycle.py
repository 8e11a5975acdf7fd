"""Starting, draining, losing Kafka, and several workers."""

import asyncio
import os
import signal
import socket

import psutil
import pytest
from aiokafka.errors import KafkaError
from support.contract import NO_SERVICES

from machine.ports import choose
from tests.contract.conftest import WAIT_S, Topics, spawn, until


async def finished(process) -> tuple[int, str]:
    output, _ = await asyncio.wait_for(process.communicate(), WAIT_S)
    return process.returncode, output.decode()


async def test_sigterm_finishes_what_is_in_flight(gateway, topics):
    running = await gateway()
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1"))
    _, request = await topics.next()
    running.process.send_signal(signal.SIGTERM)
    await until(lambda: refuses(running.address))
    await topics.reply(request, user_id="u1")
    status, headers, _ = await asked
    assert (status, headers["Connection"]) == (200, "close")
    assert await asyncio.wait_for(running.process.wait(), WAIT_S) == 0


async def test_what_is_in_flight_has_its_own_timeout_to_finish(gateway, topics):
    running = await gateway("--timeout-s", "4", "--drain-s", "0.2")
    asked = asyncio.create_task(running.ask("GET", "/users/find/u1"))
    _, request = await topics.next()
    running.process.send_signal(signal.SIGTERM)
    await until(lambda: refuses(running.address))
    await asyncio.sleep(1)  # longer than it would drain, and shorter than the request may take
    await topics.reply(request, user_id="u1")
    assert (await asked)[0] == 200
    assert await asyncio.wait_for(running.process.wait(), WAIT_S) == 0


async def refuses(address) -> bool:
    try:
        _, writer = await asyncio.open_connection(*address)
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:  # it was waiting to be accepted when the port was closed
        return False
    writer.close()
    return False


async def test_a_second_signal_ends_at_once(bootstrap_servers, topics):
    process = await spawn("--bootstrap", bootstrap_servers, "--gateway-id", "twice")
    url = (await asyncio.wait_for(process.stdout.readline(), WAIT_S)).decode().split()[-1]
    address = url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(*address)
    writer.write(b"GET /users/find/u1 HTTP/1.1\r\nHost: h\r\n\r\n")
    await topics.next()
    process.send_signal(signal.SIGINT)
    await until(lambda: refuses(address))
    process.send_signal(signal.SIGINT)
    assert (await finished(process))[0] == 130
    writer.close()


async def test_ctrl_c_while_waiting_for_kafka():
    process = await spawn("--bootstrap", "127.0.0.1:1", "--port", str(choose(0, "")))
    await until(lambda: handles_signals(process.pid))
    process.send_signal(signal.SIGINT)
    assert await finished(process) == (0, "")


async def handles_signals(pid: int) -> bool:
    return any(c.status == psutil.CONN_LISTEN for c in psutil.Process(pid).net_connections())


async def test_no_kafka_is_one_line_and_exit_3():
    process = await spawn("--bootstrap", "127.0.0.1:1", "--kafka-wait-s", "0.5")
    code, output = await finished(process)
    assert code == 3
    assert output == "gateway gw: Kafka at 127.0.0.1:1: it does not answer after 0.5 s\n"


async def test_a_taken_port_is_one_line_and_exit_3(bootstrap_servers):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, output = await finished(await spawn("--bootstrap", bootstrap_servers, "--port", port))
    assert code == 3
    assert output.count("\n") == 1
    assert f"127.0.0.1:{port}" in output


@pytest.mark.parametrize(
    "arguments",
    [
        ["--bootstrap", "nowhere"],
        ["--bootstrap", "h:1", "--workers", "0"],
        ["--bootstrap", "h:1", "--timeout-s", "0"],
        ["--bootstrap", "h:1", "--gateway-id", "a b"],
        ["--bootstrap", "h:1", "--port", "70000"],
        ["--bootstrap", "h:1,h:70000"],
        [],
    ],
)
async def test_wrong_usage_is_exit_2(arguments):
    code, output = await finished(await spawn(*arguments))
    assert code == 2
    assert output.startswith("error:")


async def test_kafka_goes_and_comes_back(gateway, own_broker):
    running = await gateway(bootstrap=own_broker.bootstrap_servers)
    own_broker.stop()
    await until(lambda: ready(running, 503))
    status, headers, body = await running.ask("GET", "/users/find/u1")
    assert (status, body["error"]["code"]) == (503, "unavailable")
    assert "Retry-After" in headers
    assert (await running.ask("GET", "/health/live"))[0] == 200
    own_broker.start()
    await until(lambda: ready(running, 200))
    topics = Topics(own_broker.bootstrap_servers)
    await until(lambda: starts(topics))
    asked = asyncio.create_task(running.ask("GET", "/users/find/u2"))
    _, request = await topics.next()
    assert request["params"] == {"user_id": "u2"}
    await topics.reply(request, user_id="u2")
    assert (await asked)[0] == 200
    await topics.stop()


async def ready(running, status: int) -> bool:
    return (await running.ask("GET", "/health/ready"))[0] == status


async def starts(topics: Topics) -> bool:
    try:
        await topics.start()
    except KafkaError:
        return False
    return True


async def test_workers_share_a_port_and_end_together(bootstrap_servers):
    process = await spawn("--bootstrap", bootstrap_servers, "--workers", "2")
    lines = [(await asyncio.wait_for(process.stdout.readline(), WAIT_S)).decode() for _ in "12"]
    assert sorted(line.split()[1] for line in lines) == ["gw-0", "gw-1"]
    assert lines[0].split()[-1] == lines[1].split()[-1]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal's Ctrl-C
    assert await finished(process) == (0, "")


async def test_a_dead_worker_takes_the_others_down(bootstrap_servers):
    process = await spawn("--bootstrap", bootstrap_servers, "--workers", "2")
    for _ in "12":
        await asyncio.wait_for(process.stdout.readline(), WAIT_S)
    victim, other = psutil.Process(process.pid).children()
    victim.kill()
    code, output = await finished(process)
    assert code == 1
    assert output == f"gateway worker {victim.pid} ended with -9: stopping all\n"
    assert not other.is_running()


async def test_workers_end_with_their_parent_whatever_they_wait_for(bootstrap_servers, topics):
    options = (*NO_SERVICES, "--workers", "2", "--timeout-s", str(10 * WAIT_S))
    process = await spawn("--bootstrap", bootstrap_servers, *options)
    for _ in "12":
        url = (await asyncio.wait_for(process.stdout.readline(), WAIT_S)).decode().split()[-1]
    _, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
    writer.write(b"GET /users/find/u1 HTTP/1.1\r\nHost: h\r\n\r\n")
    await topics.next()
    children = psutil.Process(process.pid).children()
    process.kill()
    await finished(process)
    await until(lambda: gone(children))
    writer.close()


async def gone(processes: list[psutil.Process]) -> bool:
    return not any(one.is_running() for one in processes)
