"""Refusals for no reason, put into sound histories: each mutant says whether it found a place."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from bench.judge.reads import size_of
from bench.judge.reply_contract import CHARGES, outcome_of
from support.broken_history import Broken


def checked_out(broken: Broken, code: str, **wanted: Any) -> bool:
    """A checkout of an order with items, all there and not too dear, is refused."""
    orders = {key: each for key, each in broken.final.orders.items() if each and each["items"]}
    order = broken.entity(orders, **wanted)
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
    broken.refuse("checkout", f"/orders/checkout/{order['order_id']}", code)
    return True


def refused_for_lack_of_credit(broken: Broken) -> bool:
    return checked_out(broken, "insufficient_credit", status="open")


def refused_for_lack_of_stock(broken: Broken) -> bool:
    return checked_out(broken, "out_of_stock", status="open")


def refused_as_empty(broken: Broken) -> bool:
    return checked_out(broken, "order_empty", status="open")


def refused_as_under_way(broken: Broken) -> bool:
    return checked_out(broken, "checkout_in_progress", status="open")


def refused_as_of_nobody(broken: Broken) -> bool:
    return checked_out(broken, "not_found", status="open")


def refused_as_paid(broken: Broken) -> bool:
    orders = {key: order for key, order in broken.final.orders.items() if order}
    for row in broken.rows:
        if row.operation in CHARGES:
            orders.pop(outcome_of(row).params["order_id"], None)
    order = broken.entity(orders)
    if order is None:
        return False
    item_id = broken.chance.choice([*broken.final.items])
    broken.refuse("add_item", f"/orders/addItem/{order['order_id']}/{item_id}", "already_paid")
    return True


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
    order = broken.entity(orders)
    if order is None:
        return False
    item_id = broken.chance.choice([*broken.final.items])
    broken.refuse("add_item", f"/orders/addItem/{order['order_id']}/{item_id}", "limit_reached")
    return True


def refused_for_stock_that_it_does_not_take(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders)
    if order is None:
        return False
    broken.refuse("pay", f"/payment/pay/{order['order_id']}", "out_of_stock")
    return True


def not_taken_out_as_full(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders)
    if order is None:
        return False
    broken.refuse("remove_order", f"/orders/remove/{order['order_id']}", "limit_reached")
    return True


def none_of_two_began(broken: Broken) -> bool:
    """Two requests of one order are refused at once, each as if the other were under way."""
    order = broken.entity(broken.final.orders, status="open")
    if order is None:
        return False
    for operation, path in (("checkout", "orders/checkout"), ("pay", "payment/pay")):
        broken.refuse(operation, f"/{path}/{order['order_id']}", "checkout_in_progress")
    sent_ns, done_ns = broken.rows[-2].sent_ns, broken.rows[-1].done_ns
    broken.rows[-2:] = [row._replace(sent_ns=sent_ns, done_ns=done_ns) for row in broken.rows[-2:]]
    return True


def a_new_key_refused_as_used(broken: Broken) -> bool:
    user = broken.entity(broken.final.users)
    if user is None:
        return False
    path = f"/users/credit/add/{user['user_id']}/1"
    broken.refuse("add_credit", path, "idempotency_key_reused")
    broken.rows[-1] = broken.rows[-1]._replace(key=broken.rows[-1].request_id)
    return True


def no_refund_of_what_is_paid(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, paid=True)
    if order is None:
        return False
    broken.refuse("cancel_payment", f"/payment/cancelPayment/{order['order_id']}", "not_paid")
    return True


def no_order_for_a_user(broken: Broken) -> bool:
    user = broken.entity(broken.final.users)
    if user is None:
        return False
    broken.refuse("create_order", f"/orders/create/{user['user_id']}", "not_found")
    return True


def nothing_for_credit(broken: Broken) -> bool:
    user = broken.entity(broken.final.users)
    if user is None or not user["credit"]:
        return False
    path = f"/users/credit/subtract/{user['user_id']}/{user['credit']}"
    broken.refuse("subtract_credit", path, "insufficient_credit")
    return True


def nothing_of_the_stock(broken: Broken) -> bool:
    item = broken.entity(broken.final.items)
    if item is None or not item["stock"]:
        return False
    path = f"/stock/subtract/{item['item_id']}/{item['stock']}"
    broken.refuse("subtract_stock", path, "out_of_stock")
    return True


def not_taken_out(broken: Broken) -> bool:
    order = broken.entity(broken.final.orders, status="open")
    if order is None or not order["items"]:
        return False
    path = f"/orders/removeItem/{order['order_id']}/{order['items'][0]['item_id']}"
    broken.refuse("remove_item", path, "not_found")
    return True


REFUSALS: tuple[Callable[[Broken], bool], ...] = (
    *(refused_for_lack_of_credit, refused_for_lack_of_stock, refused_as_empty, refused_as_paid),
    *(refused_as_under_way, refused_as_of_nobody, no_refund_of_what_is_paid, no_order_for_a_user),
    *(nothing_for_credit, nothing_of_the_stock, not_taken_out, refused_as_full),
    *(refused_for_stock_that_it_does_not_take, not_taken_out_as_full, none_of_two_began),
    a_new_key_refused_as_used,
)
