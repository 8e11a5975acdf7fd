"""The shop with several tasks a service and its state on the heap, and with Python in processes."""

import asyncio
import json
from urllib.request import ProxyHandler, Request, build_opener

import pytest

from system.kafka_admin import kafka_admin
from system.runtime.options import StackOptions
from system.runtime.stack import Stack
from system.wire import input_topic

TIMEOUT_S = 30
"""Far above the gateway's own."""
BUYERS = 8
"""More than partitions and tasks, so that their keys meet several of each."""
SHOP = ("user", "order", "stock", "payment")


async def partitions(bootstrap_servers: str) -> list[int]:
    """Of each input topic of the shop."""
    async with kafka_admin(bootstrap_servers=bootstrap_servers) as admin:
        topics = await admin.describe_topics([input_topic(service) for service in SHOP])
        return [len(topic["partitions"]) for topic in topics]


@pytest.mark.parametrize(
    ("options", "backend"),
    [
        (StackOptions(services=SHOP, parallelism=2, state_backend="hashmap"), "HashMap"),
        (StackOptions(services=SHOP, execution_mode="process"), "EmbeddedRocksDB"),
    ],
    ids=["two tasks on the heap", "processes"],
)
def test_a_checkout_charges_and_takes_stock(options: StackOptions, backend: str) -> None:
    opener = build_opener(ProxyHandler({}))

    def ask(verb: str, path: str) -> dict:
        request = Request(path if "://" in path else stack.url + path, method=verb)
        with opener.open(request, timeout=TIMEOUT_S) as response:
            return json.loads(response.read())

    with Stack(options) as stack:
        found = asyncio.run(partitions(stack.bootstrap_servers))
        assert found == [options.parallelism] * len(SHOP)
        job = f"http://{stack.flink_rest}/jobs/{stack.job_id}"
        assert ask("GET", f"{job}/checkpoints/config")["state_backend"] == f"{backend}StateBackend"
        item_id = ask("POST", f"/stock/item/create?price=3&stock={BUYERS}")["item_id"]
        for bought in range(1, BUYERS + 1):
            user_id = ask("POST", "/users/create")["user_id"]
            ask("POST", f"/users/credit/add/{user_id}/5")
            order_id = ask("POST", f"/orders/create/{user_id}")["order_id"]
            ask("POST", f"/orders/addItem/{order_id}/{item_id}")
            assert ask("POST", f"/orders/checkout/{order_id}")["paid"] is True
            assert ask("GET", f"/orders/find/{order_id}")["status"] == "completed"
            assert ask("GET", f"/users/credit/{user_id}")["credit"] == 2
            assert ask("GET", f"/stock/availability/{item_id}")["stock"] == BUYERS - bought
