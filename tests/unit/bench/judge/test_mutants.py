"""Sound histories are never blamed, and every one that was broken is found out."""

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.broken_history import Broken
from support.false_refusals import REFUSALS
from support.recorded_shop import SURE, UNSURE, RecordedShop

from bench.judge.invariants import check
from bench.judge.reply_contract import DONE, outcome_of
from bench.records.request_log import Row

ROUNDS = 80
SEEDS = range(40)

Breaks = Callable[[Broken], bool]


def moved(broken: Broken, times: int) -> bool:
    """The effect of one request is in the final state once more, or not at all."""
    place = broken.pick("add_credit", "subtract_credit", "add_stock", "subtract_stock")
    if place is None:
        return False
    outcome = outcome_of(broken.rows[place])
    assert outcome.verdict == DONE
    sign = 1 if outcome.operation.startswith("add") else -1
    if "user_id" in outcome.params:
        entity, name = broken.final.users[outcome.params["user_id"]], "credit"
    else:
        entity, name = broken.final.items[outcome.params["item_id"]], "stock"
    if entity is None:
        return False
    entity[name] += times * sign * int(outcome.params["amount"])
    return True


def lost_effect(broken: Broken) -> bool:
    return moved(broken, -1)


def doubled_effect(broken: Broken) -> bool:
    return moved(broken, 1)


def lost_charge(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, paid=True)
    user = broken.final.users.get(order["user_id"]) if order else None
    if user is None:
        return False
    user["credit"] += order["total_cost"]
    return True


def charged_twice(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, paid=True)
    user = broken.final.users.get(order["user_id"]) if order else None
    if user is None:
        return False
    user["credit"] -= order["total_cost"]
    return True


def told_twice_that_it_was_charged(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, status="completed")
    if order is None:
        return False
    body = {"order_id": order["order_id"], "paid": True, "total_cost": order["total_cost"]}
    broken.append("checkout", f"/orders/checkout/{order['order_id']}", body)
    return True


def refund_doubled(broken: Broken) -> bool:
    place = broken.pick("cancel_payment")
    if place is None:
        return False
    order = broken.final.orders[broken.rows[place].body["order_id"]]
    user = broken.final.users.get(order["user_id"]) if order else None
    if user is None:
        return False
    user["credit"] += broken.rows[place].body["amount"]
    return True


def stock_of_a_sale_is_back(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, status="completed")
    if order is None:
        return False
    line = order["items"][0]
    broken.final.items[line["item_id"]]["stock"] += line["quantity"]  # type: ignore[index]
    return True


def refused_and_done(broken: Broken) -> bool:
    place = broken.pick("subtract_stock", status=409, code="out_of_stock")
    if place is None:
        return False
    outcome = outcome_of(broken.rows[place])
    item = broken.final.items[outcome.params["item_id"]]
    assert item is not None
    item["stock"] -= int(outcome.params["amount"])
    return True


def negative_read(broken: Broken) -> bool:
    place = broken.pick("find_user", "get_credit", "get_availability")
    if place is None:
        return False
    body = broken.rows[place].body
    body["stock" if "stock" in body else "credit"] = -1
    return True


def crossed_reply(broken: Broken) -> bool:
    """Two requests for different entities got each other's answer."""
    places = [broken.pick("find_user", "get_credit", "add_credit") for _ in range(2)]
    if None in places:
        return False
    one, other = (broken.rows[place] for place in places if place is not None)
    if one.body["user_id"] == other.body["user_id"]:
        return False
    first, second = (place for place in places if place is not None)
    broken.rows[first] = one._replace(body=other.body)
    broken.rows[second] = other._replace(body=one.body)
    return True


def answer_of_another(broken: Broken) -> bool:
    """An answer came to two requests."""
    place = broken.pick("find_user", "get_availability", "find_order")
    if place is None:
        return False
    row = broken.rows[place]
    broken.append(row.operation, row.path, row.body)
    return True


def stale_credit(broken: Broken) -> bool:
    """A read after a definite write does not show it."""
    user = broken.entity(broken.final.users)
    if user is None:
        return False
    path = f"/users/credit/add/{user['user_id']}/7"
    broken.append("add_credit", path, {"user_id": user["user_id"], "credit": user["credit"] + 7})
    stale = {"user_id": user["user_id"], "credit": user["credit"]}
    broken.append("get_credit", f"/users/credit/{user['user_id']}", stale)
    user["credit"] += 7
    return True


def stale_stock(broken: Broken) -> bool:
    item = broken.entity(broken.final.items)
    if item is None or not item["stock"]:
        return False
    path, item_id = f"/stock/subtract/{item['item_id']}/1", item["item_id"]
    broken.append("subtract_stock", path, {"item_id": item_id, "stock": item["stock"] - 1})
    broken.append("get_availability", f"/stock/availability/{item_id}", dict(item))
    item["stock"] -= 1
    return True


def stale_order(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, status="completed")
    if order is None:
        return False
    stale = {**order, "status": "open", "paid": False}
    broken.append("find_order", f"/orders/find/{order['order_id']}", stale)
    return True


def stale_lines(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders)
    if order is None or not order["items"]:
        return False
    stale = {**order, "items": [], "total_cost": 0}
    broken.append("find_order", f"/orders/find/{order['order_id']}", stale)
    return True


def read_before_it_was_written(broken: Broken) -> bool:
    user = broken.entity(broken.final.users)
    if user is None:
        return False
    ahead = {"user_id": user["user_id"], "credit": user["credit"] + 7}
    broken.append("get_credit", f"/users/credit/{user['user_id']}", ahead)
    path = f"/users/credit/add/{user['user_id']}/7"
    broken.append("add_credit", path, ahead)
    user["credit"] += 7
    return True


def forgotten_idempotency(broken: Broken) -> bool:
    """A request that was sent again had another answer."""
    place = broken.pick("add_credit", "add_stock")
    if place is None:
        return False
    row = broken.rows[place]
    name = "credit" if "credit" in row.body else "stock"
    again = {**row.body, name: row.body[name] + int(outcome_of(row).params["amount"])}
    broken.append(row.operation, row.path, again, key=row.body["request_id"])
    return True


def refused_for_good_and_granted(broken: Broken) -> bool:
    """A request was refused as too old, and granted when it came again."""
    place = broken.pick("add_credit", "add_stock", "checkout", "pay", "cancel_payment")
    if place is None:
        return False
    row = broken.rows[place]
    key = row.body["request_id"]
    body = {"request_id": key, "error": {"code": "idempotency_key_expired", "message": ""}}
    earlier_ns = row.sent_ns - 2, row.sent_ns - 1
    broken.rows[place] = row._replace(key=key)
    broken.rows.insert(place, Row(row.operation, row.path, key, *earlier_ns, 409, body))
    return True


def checkout_left_open(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, status="open")
    if order is None:
        return False
    order["status"] = "checkout_in_progress"
    return True


def removed_credit_lost(broken: Broken) -> bool:
    place = broken.pick("remove_user")
    if place is None or not broken.rows[place].body["credit"]:
        return False
    broken.rows[place].body["credit"] -= 1
    return True


def order_vanished(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders)
    if order is None:
        return False
    broken.final.orders[order["order_id"]] = None
    return True


def user_vanished(broken: Broken) -> bool:
    user = broken.entity(broken.final.users)
    if user is None:
        return False
    broken.final.users[user["user_id"]] = None
    return True


def not_found_though_there(broken: Broken) -> bool:
    place = broken.pick("find_user", "get_availability", "get_credit")
    if place is None:
        return False
    body = {"error": {"code": "not_found", "message": ""}}
    broken.rows[place] = broken.rows[place]._replace(status=404, body=body)
    return True


def found_after_its_removal(broken: Broken) -> bool:
    place = broken.pick("remove_user")
    if place is None:
        return False
    user_id = broken.rows[place].body["user_id"]
    broken.append("get_credit", f"/users/credit/{user_id}", {"user_id": user_id, "credit": 0})
    return True


def item_twice_in_an_order(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, status="open")
    if order is None or not order["items"]:
        return False
    order["items"][0]["quantity"] += 1
    return True


def unknown_status(broken: Broken) -> bool:
    place = broken.pick("find_user", "add_credit")
    if place is None:
        return False
    broken.rows[place] = broken.rows[place]._replace(status=500, body={})
    return True


def created_with_less(broken: Broken) -> bool:
    place = broken.pick("create_item")
    if place is None or not broken.rows[place].body["stock"]:
        return False
    body = broken.rows[place].body
    body["stock"] -= 1
    item = broken.final.items[body["item_id"]]
    assert item is not None
    item["stock"] -= 1
    return item["stock"] >= 0


def created_at_another_price(broken: Broken) -> bool:
    place = broken.pick("create_item")
    if place is None:
        return False
    broken.rows[place].body["price"] += 1
    return True


def sold_at_another_price(broken: Broken) -> bool:
    """Its order, and what it cost the user, agree with each other."""
    order = broken.entity(broken.final.orders, status="open")
    if order is None or not order["items"]:
        return False
    line = order["items"][0]
    line["price"] += 1
    order["total_cost"] += line["quantity"]
    return True


def sold_and_not_taken(broken: Broken) -> bool:
    """A checkout was answered, and what it sold is still there."""
    orders = {key: order for key, order in broken.final.orders.items() if order}
    for row in broken.rows:
        if row.operation == "pay":
            orders.pop(outcome_of(row).params["order_id"], None)
    order = broken.entity(orders, status="completed")
    if order is None:
        return False
    order["status"] = "paid"
    for line in order["items"]:
        broken.final.items[line["item_id"]]["stock"] += line["quantity"]  # type: ignore[index]
    return True


MUTANTS: tuple[Breaks, ...] = (
    *REFUSALS,
    *(created_with_less, created_at_another_price, sold_at_another_price, sold_and_not_taken),
    *(lost_effect, doubled_effect, lost_charge, charged_twice, told_twice_that_it_was_charged),
    *(refund_doubled, stock_of_a_sale_is_back, refused_and_done, negative_read, crossed_reply),
    *(answer_of_another, stale_credit, stale_stock, stale_order, stale_lines),
    *(read_before_it_was_written, forgotten_idempotency, refused_for_good_and_granted),
    *(checkout_left_open, removed_credit_lost),
    *(order_vanished, user_vanished, not_found_though_there, found_after_its_removal),
    *(item_twice_in_an_order, unknown_status),
)


OTHER_ORDER: tuple[Breaks, ...] = (stale_stock, removed_credit_lost)
"""Where requests for one entity are under way at once, another order of theirs may explain these:
how much a checkout took while a line was added, or whether a charge came back before the user
went."""


@pytest.fixture(scope="module")
def sequential() -> list[RecordedShop]:
    return [RecordedShop(seed, ROUNDS, SURE, at_once_max=1) for seed in SEEDS]


@pytest.fixture(scope="module")
def concurrent() -> list[RecordedShop]:
    return [RecordedShop(seed, ROUNDS, SURE, at_once_max=3) for seed in SEEDS]


def missed(shops: Sequence[RecordedShop], mutant: Breaks, made_min: int = 3) -> list[int]:
    """The seeds of the histories that were broken, and of which the checker says that they hold."""
    broken = [Broken(shop, seed) for seed, shop in enumerate(shops)]
    made = {seed: each for seed, each in enumerate(broken) if mutant(each)}
    assert len(made) >= made_min, "too few histories have what the mutant breaks"
    return [seed for seed, each in made.items() if check(each.rows, each.final).holds]


@pytest.mark.parametrize("mutant", MUTANTS)
def test_every_mutant_is_found_out(sequential: list[RecordedShop], mutant: Breaks) -> None:
    assert missed(sequential, mutant) == []


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each not in OTHER_ORDER])
def test_it_is_found_out_among_concurrent_requests(
    concurrent: list[RecordedShop], mutant: Breaks
) -> None:
    assert missed(concurrent, mutant) == []


@pytest.mark.parametrize("mutant", OTHER_ORDER)
def test_what_another_order_may_explain_is_mostly_found_out(
    concurrent: list[RecordedShop], mutant: Breaks
) -> None:
    assert len(missed(concurrent, mutant, made_min=20)) <= 2


@given(
    seed=st.integers(0, 2**32), rounds=st.integers(1, 60), unsure=st.sets(st.sampled_from(UNSURE))
)
def test_a_sound_history_is_never_blamed(seed: int, rounds: int, unsure: set[str]) -> None:
    shop = RecordedShop(seed, rounds, ("ok", *sorted(unsure)))
    report = check(shop.rows, shop.final)
    assert report.violations == []
