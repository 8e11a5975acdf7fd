"""Journeys of an open loop are the same whatever was answered, and in which order."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.generator.spec import SCENARIOS
from bench.workload.journey import Journey, Reply
from bench.workload.scenarios import MIXES, SaleCustomers, ShopCustomers, draws

JOURNEYS = 60
CREATED = {"user_id": "u", "item_id": "i", "order_id": "o", "paid": True, "version": "1"}


def answered(journeys: list[Journey], order: Random) -> None:
    """Plays some of them, each for some steps, so that others draw before and after."""
    for journey in order.sample(journeys, len(journeys) // 2):
        try:
            next(journey)
            for _ in range(order.randint(0, 3)):
                journey.send(Reply(404, {"error": {"code": "not_found"}}))
        except StopIteration:
            continue


def kinds(customers: ShopCustomers | SaleCustomers, order: Random | None) -> list[str]:
    """Of journeys by number; with an `order` some are played meanwhile."""
    prepared, found = list(customers.prepare()), []
    for _ in range(JOURNEYS):
        if order is not None:
            answered(prepared, order)
        journey = customers.start()
        found.append(journey.__name__)
        prepared = [journey]
    return found


@given(st.integers(0, 2**31 - 1), st.integers(0, 1000))
def test_the_kind_of_a_journey_follows_from_seed_and_number(seed: int, order: int) -> None:
    expected = kinds(ShopCustomers(seed, 4), None)
    assert kinds(ShopCustomers(seed, 4), Random(order)) == expected
    assert len(set(expected)) > 5
    assert kinds(ShopCustomers(seed + 1, 4), None) != expected


@pytest.mark.parametrize("customers", [ShopCustomers(7, 4), SaleCustomers(7, 1.0, 4)])
def test_what_a_journey_draws_follows_from_seed_and_number(
    customers: ShopCustomers | SaleCustomers,
) -> None:
    """Here of the items that are prepared: they are played backwards, and have the same prices."""
    other = type(customers)(7, count=4) if isinstance(customers, ShopCustomers) else SaleCustomers(
        7, 1.0, 4
    )  # fmt: skip
    forwards = [paths(journey) for journey in customers.prepare()]
    backwards = [paths(journey) for journey in reversed(list(other.prepare()))]
    assert forwards == backwards[::-1]
    assert any("price=" in path for found in forwards for path in found)


def paths(journey: Journey) -> list[str]:
    """What a journey asks for, as far as it is a new item."""
    found, reply = [], None
    try:
        while True:
            call = next(journey) if reply is None else journey.send(reply)
            if call.operation == "create_item":
                found.append(call.path)
            credit = call.path.rpartition("/")[2]
            body = {**CREATED, "credit": int(credit) if credit.isdigit() else 0}
            reply = Reply(200, body)
    except StopIteration:
        return found


def test_every_scenario_is_played_by_its_own_customers() -> None:
    assert {*MIXES, "checkout"} == {*SCENARIOS}
    steady = kinds(ShopCustomers(7, 4, MIXES["steady"]), None)
    assert "give_back" in steady
    assert {"checkout", "pay", "create_item", "create_user", "remove_user"}.isdisjoint(steady)


def test_no_two_journeys_share_their_random_numbers() -> None:
    first = {draws(seed, number).random() for seed in range(20) for number in range(50)}
    assert len(first) == 1000
