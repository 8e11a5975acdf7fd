"""The journeys, played against a shop of a few dictionaries."""

from collections import Counter
from random import Random
from typing import Any

import pytest

from bench.judge.reply_contract import ROUTE_OF, params_of
from bench.workload.journey import Call, Journey, Reply, WrongAnswerError
from bench.workload.scenarios import CREDIT_ROUTINE_WEIGHT, SHOP, STEADY
from bench.workload.shop import (
    ORDERS_KEPT_MAX,
    Order,
    Sale,
    Shop,
    create_user,
    credit_routine,
    problem,
)


class FakeShop:
    """Grants every request, and each key once; `calls` is what was asked."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[Call, Reply]] = {}
        self.calls: list[Call] = []
        self.credit: Counter[str] = Counter()

    def answer(self, call: Call) -> Reply:
        self.calls.append(call)
        if call.key is None:
            return self.grant(call)
        first, reply = self.known.setdefault(call.key, (call, self.grant(call)))
        same = (first.operation, first.path) == (call.operation, call.path)
        return reply if same else Reply(409, {"error": {"code": "idempotency_key_reused"}})

    def grant(self, call: Call) -> Reply:
        params = params_of(call.operation, call.path)
        new_id = f"{call.operation}-{len(self.calls)}"
        body: dict[str, Any] = {"user_id": new_id, "item_id": new_id, "order_id": new_id} | params
        if call.operation in ("add_credit", "subtract_credit"):
            sign = 1 if call.operation == "add_credit" else -1
            self.credit[params["user_id"]] += sign * int(params["amount"])
        body["credit"] = self.credit[body["user_id"]]
        return Reply(200, {**body, "paid": True, "version": "1"})

    def play(self, journey: Journey) -> None:
        try:
            call = next(journey)
            while True:
                call = journey.send(self.answer(call))
        except StopIteration:
            return


def test_every_call_of_the_mixes_is_a_route() -> None:
    fake, shop = FakeShop(), Shop(Random(1))
    fake.play(shop.prepare())
    for journey in SHOP.keys() | STEADY.keys():
        for _ in range(20):
            fake.play(journey(shop))
    fake.play(credit_routine("u"))
    operations = {call.operation for call in fake.calls}
    assert operations >= {"checkout", "remove_item", "remove_order", "remove_user", "get_credit"}
    for call in fake.calls:
        if call.operation != "index":
            route = ROUTE_OF[call.operation]
            assert call.verb == route.verb
            wanted = route.path.split("/")
            given = call.path.partition("?")[0].split("/")
            assert len(given) == len(wanted)
            for segment, place in zip(given, wanted, strict=True):
                assert segment == place or (place.startswith("{") and segment)


def test_the_mix_is_that_of_the_issue() -> None:
    assert sum(SHOP.values()) + CREDIT_ROUTINE_WEIGHT == 61
    assert SHOP[Shop.pay] == SHOP[Shop.resend] == SHOP[Shop.resend_late] == 1, "a small share"
    assert SHOP[Shop.add_item] == 20
    assert SHOP[Shop.checkout] == 5


def test_a_seed_repeats_the_calls() -> None:
    def calls(seed: int) -> list[Call]:
        fake, shop = FakeShop(), Shop(Random(seed))
        fake.play(shop.prepare())
        for journey in SHOP:
            fake.play(journey(shop))
        return [call._replace(key=None) for call in fake.calls]

    assert calls(7) == calls(7) != calls(8)


def test_what_is_sent_again_is_the_same_and_of_no_other_load() -> None:
    fakes = FakeShop(), FakeShop()
    for fake in fakes:
        shop = Shop(Random(5))
        fake.play(shop.prepare())
        for _ in range(50):
            fake.play(shop.resend())
            fake.play(shop.resend_late())
    keyed = [call for call in fakes[0].calls if call.key]
    sent = Counter((call.key, call.operation, call.path) for call in keyed)
    firsts = {call.key: call for call in reversed(keyed)}
    assert {call.operation for call in firsts.values()} > {"create_user", "add_stock", "checkout"}
    assert all(sent[call.key, call.operation, call.path] >= 2 for call in firsts.values())
    assert max(sent.values()) > 2, "some come late"
    refused = [call for call in keyed if firsts[call.key]._replace(key=call.key) != call]
    assert refused
    assert all("idempotency_key_reused" in call.expected for call in refused)
    others = {call.key for call in fakes[1].calls if call.key}
    assert not others & firsts.keys(), "a seed repeats the requests, not their keys"


def test_a_key_that_is_not_honoured_is_a_wrong_answer() -> None:
    shop = Shop(Random(1))
    shop.items.append("i")
    resends = shop.resend(), shop.resend()
    for resend in resends:
        key = next(resend).key
        resend.send(Reply(200, {"stock": 1}))
    with pytest.raises(WrongAnswerError, match="had another answer"):
        resends[0].send(Reply(200, {"stock": 2}))
    other = resends[1].send(Reply(200, {"stock": 1}))
    assert (other.key, other.path) == (key, "/stock/add/i/3")
    with pytest.raises(WrongAnswerError, match="with a key that was used"):
        resends[1].send(Reply(200, {"stock": 4}))


def test_a_payment_that_is_not_kept_is_a_wrong_answer() -> None:
    shop = Shop(Random(1))
    shop.orders.append(Order("o"))
    pay = shop.pay()
    next(pay)
    pay.send(Reply(200, {"paid": True, "amount": 7}))
    with pytest.raises(WrongAnswerError, match="says that it is not"):
        pay.send(Reply(200, {"paid": False}))


@pytest.mark.parametrize(("customers", "kept"), [(1, 4), (16, 64), (200, ORDERS_KEPT_MAX)])
def test_as_many_orders_stay_in_play_as_were_prepared(customers: int, kept: int) -> None:
    """Else a faster system meets more checkouts under way, and seems to refuse more."""
    fake, shop = FakeShop(), Shop(Random(1))
    for _ in range(customers):
        fake.play(shop.prepare())
    fewest = len(shop.orders)
    for journey in Random(2).choices([*SHOP], weights=[*SHOP.values()], k=25_000):
        fake.play(journey(shop))
        fewest = min(fewest, len(shop.orders))
    assert fewest == kept - 1
    done = Counter(call.operation for call in fake.calls)
    assert done["checkout"] > 0.7 * done["create_order"], "and they are checked out"


def test_what_the_steady_mix_creates_goes_again() -> None:
    """But for what resends create and buy, with keys: a small part."""
    fake, shop = FakeShop(), Shop(Random(1))
    for _ in range(16):
        fake.play(shop.prepare())
    prepared = len(shop.orders)
    fake.calls.clear()
    for journey in Random(2).choices([*STEADY], weights=[*STEADY.values()], k=25_000):
        fake.play(journey(shop))
    done = Counter(call.operation for call in fake.calls if call.key is None)
    assert done["create_item"] == done["create_user"] == done["remove_user"] == 0
    assert done["create_order"] > 3_000
    keyed = {call.key for call in fake.calls if call.key and call.operation == "checkout"}
    gone = done["remove_order"] + len(keyed)
    assert prepared + done["create_order"] - gone == len(shop.orders)
    assert done["cancel_payment"] == done["checkout"] > 2_000
    assert len({call.key for call in fake.calls if call.key}) < 0.02 * len(fake.calls)


def test_an_order_that_could_not_be_paid_is_removed_too() -> None:
    shop = Shop(Random(1))
    shop.orders.append(Order("o"))
    journey = shop.give_back()
    next(journey)
    removal = journey.send(Reply(409, {"error": {"code": "insufficient_credit"}}))
    assert (removal.verb, removal.path) == ("DELETE", "/orders/remove/o")


def test_a_shop_forgets_the_oldest() -> None:
    fake, shop = FakeShop(), Shop(Random(1), pool_max=3)
    for _ in range(5):
        fake.play(shop.create_item())
    assert list(shop.items) == ["create_item-3", "create_item-4", "create_item-5"]


@pytest.mark.parametrize(("zipf", "first_share"), [(0.0, 1 / 200), (1.0, 1 / 5.88)])
def test_the_popularity_of_items(zipf: float, first_share: float) -> None:
    fake, sale = FakeShop(), Sale(Random(1), zipf)
    fake.play(sale.prepare(Sale.ITEMS))
    chosen = Counter(sale.choose_item() for _ in range(20_000))
    assert chosen[sale.items[0]] / 20_000 == pytest.approx(first_share, abs=0.005)


@pytest.mark.parametrize(("basket", "least", "most"), [(0, 1, Sale.BASKET_MAX), (50, 50, 50)])
def test_a_basket_is_bought(basket: int, least: int, most: int) -> None:
    fake, sale = FakeShop(), Sale(Random(1), 1.0, basket)
    fake.play(sale.prepare(10))
    fake.calls.clear()
    fake.play(sale.buy("u"))
    first, *adds, last = [call.operation for call in fake.calls]
    assert (first, last) == ("create_order", "checkout")
    assert least <= len(adds) <= most


def test_wrong_answers_are_found() -> None:
    routine = credit_routine("u")
    next(routine)
    routine.send(Reply(200, {"credit": 10}))
    routine.send(Reply(200, {"credit": 30}))
    with pytest.raises(WrongAnswerError, match="10 \\+ 20 - 15 is 16"):
        routine.send(Reply(200, {"credit": 16}))
    funding = create_user(100)
    next(funding)
    funding.send(Reply(200, {"user_id": "u", "credit": 0}))
    with pytest.raises(WrongAnswerError, match="given 100 has 99"):
        funding.send(Reply(200, {"credit": 99}))


def test_what_a_journey_causes_itself_is_no_problem() -> None:
    call = Call("find_user", "GET", "/users/find/u", frozenset({"not_found"}))
    assert problem(call, Reply(200, {})) is None
    assert problem(call, Reply(404, {"error": {"code": "not_found"}})) is None
    assert problem(call, Reply(504, {"error": {"code": "timeout"}})) == "504 timeout"
    assert problem(call, Reply(500, {})) == "500 no error code"
