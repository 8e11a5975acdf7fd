"""The load of a study of entities."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.scaling.entities import asking, records
from bench.workload.address import Address
from bench.workload.draws import Draws
from bench.workload.http_file import read_workload
from bench.workload.scenarios import STEADY
from bench.workload.shop import Shop
from system.wire import METRICS_TOKEN, SHOP_TOKEN

ENTITIES = 40


def journeys(file: Path, number: int) -> Iterator[list[bytes]]:
    workload = read_workload(file)
    drawn = Draws(workload, seed=1).block()
    address = Address.of("http://127.0.0.1:1")
    for (flow, texts), _ in zip(drawn, range(number), strict=False):
        values = {**texts, "order": "o"}
        yield [step.request(address, values) for step in workload.flows[flow].steps]


def asked_for(journey: list[bytes]) -> set[tuple[str, str]]:
    """The topic and key of each entity that was filled in."""
    lines = [request.partition(b"\r\n")[0].decode() for request in journey]
    found = [(line, re.search(r"fill-[0-9]+", line)) for line in lines]
    is_item = re.compile("/stock/|/addItem/")
    return {
        ("stock_in" if is_item.search(line) else "user_in", match[0])
        for line, match in found
        if match
    }


def test_whatever_is_asked_for_was_made(tmp_path: Path) -> None:
    made = {(topic, key) for topic, key, _ in records(range(ENTITIES), "out")}
    asked = [asked_for(each) for each in journeys(asking(tmp_path, ENTITIES, {}), 500)]
    assert set().union(*asked) == made


def test_none_comes_again_before_the_others_had_their_turn(tmp_path: Path) -> None:
    turn = journeys(asking(tmp_path, ENTITIES, {}), ENTITIES // 2)
    users = [key for each in turn for topic, key in asked_for(each) if topic == "user_in"]
    assert len(users) == len(set(users)) > 1


def test_the_mix_is_that_of_steady(tmp_path: Path) -> None:
    """Of an order's three lines, as there are 20 for 6 orders there."""
    flows = read_workload(asking(tmp_path, ENTITIES, {})).flows
    by_first = {flow.steps[0].operation: flow for flow in flows}
    assert by_first["find_user"].weight == STEADY[Shop.find_user]
    assert by_first["get_availability"].weight == STEADY[Shop.item_routine]
    order = by_first["create_order"]
    added = sum(step.operation.startswith("add_item") for step in order.steps)
    assert abs(added * order.weight - STEADY[Shop.add_item]) < order.weight


@pytest.mark.parametrize("name", [SHOP_TOKEN, METRICS_TOKEN])
def test_a_token_is_shown_and_not_written(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "s3cret")
    secret = tmp_path / 'a "secret"'
    secret.write_text("s3cret\n")
    for environment in ({name: "s3cret"}, {f"{name}_FILE": str(secret)}):
        file = asking(tmp_path, ENTITIES, environment)
        assert "s3cret" not in file.read_text()
        for journey in journeys(file, 30):
            assert all(b"Authorization: Bearer s3cret\r\n" in request for request in journey)
