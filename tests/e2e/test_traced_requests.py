"""Traced requests through gateway, Kafka and Flink: where each millisecond went."""

import json
import time
from collections.abc import Iterator
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from bench.stats.stages import Stage, Traced, stages_of, summarize, wall_ahead_ns
from bench.workload.sources import TRACE_HEADER
from system.runtime.stack import Stack

REQUEST_TIMEOUT_S = 30.0
BEFORE = ["schedule lag", "client send", "gateway in", "produce", "request topic"]
AFTER = ["reply topic", "gateway out", "client receive"]


class Client:
    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        assert address.hostname
        self._http = HTTPConnection(address.hostname, address.port, timeout=REQUEST_TIMEOUT_S)
        self._http.connect()

    def ask(self, verb: str, path: str, **headers: str) -> tuple[int, dict[str, object]]:
        """Status and body."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self._http.request(verb, path, headers=named)
        response = self._http.getresponse()
        return response.status, json.loads(response.read())

    def trace(self, verb: str, path: str) -> tuple[int, dict[str, object], Traced, int]:
        """Status, body and trace, and what the client measured by itself, in ns."""
        ahead_ns, sent_ns = wall_ahead_ns(), time.monotonic_ns()
        status, body = self.ask(verb, path, **{TRACE_HEADER: "1"})
        done_ns = time.monotonic_ns()
        wall_ns = sent_ns + ahead_ns, sent_ns + ahead_ns, done_ns + ahead_ns
        traced = Traced(path, *wall_ns, body.pop("trace"))
        return status, body, traced, done_ns - sent_ns

    def create(self, path: str, name: str) -> str:
        status, body = self.ask("POST", path)
        assert status == 200, body
        return str(body[name])

    def close(self) -> None:
        self._http.close()


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    client = Client(stack.url)
    yield client
    client.close()


def add_up(traced: Traced, total_ns: int) -> list[str]:
    """The names of the stages, which are the whole time and never negative."""
    stages: list[Stage] | None = stages_of(traced)
    assert stages is not None, traced.trace
    assert all(stage.duration_ns >= 0 for stage in stages), stages
    assert sum(stage.duration_ns for stage in stages) == pytest.approx(total_ns, rel=0.05)
    return [stage.name for stage in stages]


@pytest.mark.parametrize("service", ["user", "echo"])
def test_one_service(client: Client, service: str) -> None:
    path = "/echo/hello"
    if service == "user":
        path = f"/users/find/{client.create('/users/create', 'user_id')}"
    status, body, traced, total_ns = client.trace("GET", path)
    assert status == 200
    assert add_up(traced, total_ns) == [*BEFORE, service, *AFTER]
    _, untraced = client.ask("GET", path)
    assert untraced.keys() == body.keys()
    summary = summarize([traced])
    assert (summary["requests"], summary["disordered"], summary["incomplete"]) == (1, 0, 0)


def filled_order(client: Client, price: int, stock: int) -> str:
    user_id = client.create("/users/create", "user_id")
    client.create(f"/users/credit/add/{user_id}/100", "credit")
    item_id = client.create(f"/stock/item/create?price={price}&stock={stock}", "item_id")
    order_id = client.create(f"/orders/create/{user_id}", "order_id")
    client.create(f"/orders/addItem/{order_id}/{item_id}", "order_id")
    return order_id


def test_a_checkout_shows_who_completed_it(client: Client) -> None:
    path = f"/orders/checkout/{filled_order(client, price=1, stock=1)}"
    status, _, traced, total_ns = client.trace("POST", path)
    assert status == 200
    hops = add_up(traced, total_ns)[len(BEFORE) : -len(AFTER)]
    last = hops[2]
    assert last in ("user", "stock")
    assert hops == ["order", f"topic {last}", last, "topic order 2", "order 2"]


@pytest.mark.parametrize(
    ("price", "stock", "refused_by", "undone_by"),
    [(1, 0, "stock", "user"), (101, 1, "user", "stock")],
)
def test_a_refused_checkout_shows_every_hop(
    client: Client, price: int, stock: int, refused_by: str, undone_by: str
) -> None:
    path = f"/orders/checkout/{filled_order(client, price, stock)}"
    status, _, traced, total_ns = client.trace("POST", path)
    assert status == 409
    assert add_up(traced, total_ns)[len(BEFORE) : -len(AFTER)] == [
        "order",
        *(f"topic {refused_by}", refused_by, "topic order 2", "order 2"),
        *(f"topic {undone_by}", undone_by, "topic order 3", "order 3"),
    ]


@pytest.mark.parametrize("path", ["/users/create", "/orders/checkout/{order_id}"])
def test_a_resend_is_answered_alike_but_for_its_own_trace(client: Client, path: str) -> None:
    if "{" in path:
        path = path.format(order_id=filled_order(client, price=1, stock=1))
    _, body, traced, _ = client.trace("POST", path)
    key = {"Idempotency_Key": str(body["request_id"])}
    assert client.ask("POST", path, **key) == (200, body)
    _, again = client.ask("POST", path, **key, X_Trace="1")
    trace = again.pop("trace")
    assert again == body
    first_ns, again_ns = traced.trace[0][1], trace[0][1]
    assert all(stamp[1] >= again_ns > first_ns for stamp in trace)
    assert len([stamp for stamp in trace if len(stamp) == 3]) == 1, "from the memory"
