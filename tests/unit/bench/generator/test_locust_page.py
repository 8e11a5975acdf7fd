"""What whoever reaches Locust's page can do with it, against a real one."""

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

from bench.project import PROJECT_DIR
from machine.ports import HOST, choose, is_free
from machine.processes import Supervisor
from system.wire import SHOP_TOKEN

TOKEN = "not-for-others"
WAIT_S = 60


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.create_server((HOST, 0)) as server:
        server.settimeout(0.2)
        yield server


def url_of(server: socket.socket) -> str:
    return f"http://{HOST}:{server.getsockname()[1]}"


@contextmanager
def page(folder: Path, *arguments: str) -> Iterator[str]:
    port = choose(0, "")
    command = [sys.executable, "-m", "locust", "--locustfile", "locustfiles/shop.py"]
    command += ["--web-host", HOST, "--web-port", str(port), *arguments]
    with closing(Supervisor()) as supervisor:
        own = {SHOP_TOKEN: TOKEN}
        supervisor.start("locust", command, log=folder / "locust.log", env=own, cwd=PROJECT_DIR)
        supervisor.wait_for(lambda: not is_free(port), "Locust's web UI", WAIT_S)
        yield f"http://{HOST}:{port}"
        supervisor.stop(["locust"], WAIT_S)


def swarm(page: str, **fields: str) -> None:
    form = urlencode({"user_count": "1", "spawn_rate": "1", **fields}).encode()
    with build_opener(ProxyHandler({})).open(Request(f"{page}/swarm", form), timeout=30) as answer:
        assert answer.status == 200


def first_request(*servers: socket.socket) -> tuple[socket.socket, bytes]:
    """Which of these is asked first, and what."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        for server in servers:
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(WAIT_S)
                return server, connection.recv(65_536)
    raise AssertionError("nobody was asked")


def test_the_page_can_not_send_the_shops_token_elsewhere(tmp_path: Path) -> None:
    """Any user of the machine, or a site in a browser of it, could name another host and file."""
    history, recorded = tmp_path / "history.jsonl", tmp_path / "samples.bin"
    with listening() as shop, listening() as other, page(tmp_path, "--host", url_of(shop)) as found:
        swarm(found, host=url_of(other), history=str(history), samples=str(recorded))
        asked, request = first_request(shop, other)
    assert asked is shop
    assert f"Authorization: Bearer {TOKEN}\r\n".encode() in request
    assert not history.exists()
    assert not recorded.exists()


def test_where_the_page_names_the_host_no_token_is_sent(tmp_path: Path) -> None:
    with listening() as other, page(tmp_path) as found:
        swarm(found, host=url_of(other))
        _, request = first_request(other)
    assert request.startswith((b"GET ", b"POST "))
    assert TOKEN.encode() not in request
