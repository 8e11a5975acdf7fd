"""Refusals for no reason, put into sound histories: each mutant says whether it found a place."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from bench.judge.reads import size_of
from bench.judge.reply_contract import CHARGES, outcome_of
from support.broken_history import Broken


def refused(broken: Broken, entity: Any, operation: str, code: str, **params: Any) -> bool:
    """A request for the entity is refused, where there is one."""
    if entity is None:
        return False
    broken.refuse(operation, code, **entity, **params)
    return True


def checked_out(broken: Broken, code: str) -> bool:
    """A checkout of an order with items, all there and not too dear, is refused."""
    orders = {key: each for key, each in broken.final.orders.items() if each and each["items"]}
    order = broken.entity(orders, status="open")
    if order is None or broken.final.users[order["user_id"]] is None:
        return False
    bought: Counter[str] = Counter()
    for row in broken.rows:  # those that were taken out again are in the judge's bound
        outcome = outcome_of(row)
        if row.operation == "add_item" and outcome.params["order_id"] == order["order_id"]:
            bought[outcome.params["item_id"]] += 1
    items = broken.final.items
    cost = sum(n * items[each]["price"] for each, n in bought.items())  # type: ignore[index]
    user_id = order["user_id"]
    credit = {"user_id": user_id, "credit": broken.final.users[user_id]["credit"] + cost}  # type: ignore[index]
    broken.append("add_credit", f"/users/credit/add/{user_id}/{cost}", credit)
    broken.final.users[user_id]["credit"] += cost  # type: ignore[index]
    for item_id, quantity in bought.items():
        item = items[item_id]
        assert item is not None
        item["stock"] += quantity
        stock = {"item_id": item_id, "stock": item["stock"]}
        broken.append("add_stock", f"/stock/add/{item_id}/{quantity}", stock)
    return refused(broken, order, "checkout", code)


def refused_for_lack_of_credit(broken: Broken) -> bool:
    return checked_out(broken, "insufficient_credit")


def refused_for_lack_of_stock(broken: Broken) -> bool:
    return checked_out(broken, "out_of_stock")


def refused_as_empty(broken: Broken) -> bool:
    return checked_out(broken, "order_empty")


def refused_as_under_way(broken: Broken) -> bool:
    return checked_out(broken, "checkout_in_progress")


def refused_as_of_nobody(broken: Broken) -> bool:
    return checked_out(broken, "not_found")


def not_added(broken: Broken, order: Any, code: str) -> bool:
    item_id = broken.chance.choice([*broken.final.items])
    return refused(broken, order, "add_item", code, item_id=item_id)


def refused_as_paid(broken: Broken) -> bool:
    orders = {key: order for key, order in broken.final.orders.items() if order}
    for row in broken.rows:
        if row.operation in CHARGES:
            orders.pop(outcome_of(row).params["order_id"], None)
    return not_added(broken, broken.entity(orders), "already_paid")


def refused_as_full(broken: Broken) -> bool:
    sizes = [size_of(row.body) for row in broken.rows if "items" in row.body]
    largest = max(sizes, default=(0, 0, 0))
    dearest = max(item["price"] for item in broken.final.items.values() if item)
    orders = {key: order for key, order in broken.final.orders.items() if order}
    for key, order in [*orders.items()]:
        then = 1 + sum(f"/addItem/{key}/" in row.path for row in broken.rows)
        is_small = then <= min(largest[:2]) and then * dearest <= largest[2]
        if order["status"] != "open" or not is_small:
            del orders[key]
    return not_added(broken, broken.entity(orders), "limit_reached")


def refused_for_stock_that_it_does_not_take(broken: Broken) -> bool:
    return refused(broken, broken.entity(broken.final.orders), "pay", "out_of_stock")


def not_taken_out_as_full(broken: Broken) -> bool:
    return refused(broken, broken.entity(broken.final.orders), "remove_order", "limit_reached")


def none_of_two_began(broken: Broken) -> bool:
    """Two requests of one order are refused at once, each as if the other were under way."""
    order = broken.entity(broken.final.orders, status="open")
    if order is None:
        return False
    for operation in ("checkout", "pay"):
        broken.refuse(operation, "checkout_in_progress", **order)
    sent_ns, done_ns = broken.rows[-2].sent_ns, broken.rows[-1].done_ns
    broken.rows[-2:] = [row._replace(sent_ns=sent_ns, done_ns=done_ns) for row in broken.rows[-2:]]
    return True


def a_new_key_refused_as_used(broken: Broken) -> bool:
    user = broken.entity(broken.final.users)
    if not refused(broken, user, "add_credit", "idempotency_key_reused", amount=1):
        return False
    broken.rows[-1] = broken.rows[-1]._replace(key=broken.rows[-1].request_id)
    return True


def no_refund_of_what_is_paid(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, paid=True)
    return refused(broken, order, "cancel_payment", "not_paid")


def no_order_for_a_user(broken: Broken) -> bool:
    return refused(broken, broken.entity(broken.final.users), "create_order", "not_found")


def nothing_for_credit(broken: Broken) -> bool:
    user = broken.entity(broken.final.users)
    if user is None or not user["credit"]:
        return False
    return refused(broken, user, "subtract_credit", "insufficient_credit", amount=user["credit"])


def nothing_of_the_stock(broken: Broken) -> bool:
    item = broken.entity(broken.final.items)
    if item is None or not item["stock"]:
        return False
    return refused(broken, item, "subtract_stock", "out_of_stock", amount=item["stock"])


def not_taken_out(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, status="open")
    if order is None or not order["items"]:
        return False
    item_id = order["items"][0]["item_id"]
    return refused(broken, order, "remove_item", "not_found", item_id=item_id)


REFUSALS: tuple[Callable[[Broken], bool], ...] = (
    *(refused_for_lack_of_credit, refused_for_lack_of_stock, refused_as_empty, refused_as_paid),
    *(refused_as_under_way, refused_as_of_nobody, no_refund_of_what_is_paid, no_order_for_a_user),
    *(nothing_for_credit, nothing_of_the_stock, not_taken_out, refused_as_full),
    *(refused_for_stock_that_it_does_not_take, not_taken_out_as_full, none_of_two_began),
    a_new_key_refused_as_used,
)
