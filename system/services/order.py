"""An order has its items, and leads the sagas that pay for them.

    checkout   charge the user and take every item       → completed
    pay        charge the user                           → paid
    refund     refund the user, restock what was taken   → open

While a saga is under way the order can't be changed. It ends with one reply, which goes to every
sink that asked for it and is remembered for those that ask again.
"""

from collections import Counter
from typing import Any, NamedTuple

from system.service import Call, Entity, Outcome, Refused, Reply, Send, Service
from system.services.saga import time_s
from system.wire import AMOUNT_MAX, Request, error

LINES_PER_ORDER_MAX = 100
"""An order has at most this many different items; that bounds the records that one checkout
sends."""

SINKS_PER_SAGA_MAX = 16
"""A saga has at most this many gateways waiting for its reply; of more, those that asked first are
answered."""

ORDER = Service("order", key="order_id")


def existing(order: Entity | None, call: Call) -> Entity:
    if order is None:
        raise Refused("not_found", f"no order {call.params['order_id']}")
    return order


def status_of(order: Entity) -> str:
    return "checkout_in_progress" if order["saga"] is not None else str(order["status"])


def settled(order: Entity | None, call: Call) -> Entity:
    order = existing(order, call)
    if order["saga"] is not None:
        raise Refused("checkout_in_progress", f"order {call.params['order_id']} is being paid")
    return order


def changeable(order: Entity | None, call: Call) -> Entity:
    order = settled(order, call)
    if order["status"] != "open":
        raise Refused("already_paid", f"order {call.params['order_id']} is {order['status']}")
    return order


def items_reply(order: Entity, call: Call) -> tuple[Reply]:
    body = {"order_id": call.params["order_id"], "items": order["items"]}
    return (Reply({**body, "total_cost": order["total_cost"]}),)


@ORDER.method
def create_order(order: Entity | None, call: Call) -> Outcome:
    """The user answers the client; where there is none, it has the order discarded.

    A client that names its orders itself may create one twice, by two requests: the order belongs
    to the later one, and only that one's refusal discards it.
    """
    order_id, user_id = call.id("order_id"), call.id("user_id")
    new = {"user_id": user_id, "items": [], "total_cost": 0, "status": "open", "saga": None}
    attach = Send("user", user_id, "attach_order", {"user_id": user_id, "order_id": order_id})
    if order is not None and order["user_id"] != user_id:
        raise Refused("bad_request", f"order {order_id} is another user's")
    wanted = {name: value for name, value in (order or new).items() if name != "discarded"}
    return Outcome({**wanted, "created_by": call.request_id}, (attach,))


@ORDER.step
def discard_order(order: Entity | None, call: Call) -> Outcome:
    """The user did not take the order. A saga that began meanwhile ends first: where the user does
    not have the order it can only be undone; where it was charged the order is the user's."""
    if order is None or order["status"] != "open" or order["created_by"] != call.request_id:
        return Outcome(order, remember=False)
    return Outcome({**order, "discarded": True} if order["saga"] else None)


@ORDER.read
def find_order(order: Entity | None, call: Call) -> Outcome:
    order = existing(order, call)
    body = {
        "order_id": call.params["order_id"],
        "user_id": order["user_id"],
        "items": order["items"],
        "total_cost": order["total_cost"],
        "paid": order["status"] != "open",
        "status": status_of(order),
    }
    return Outcome(order, (Reply(body),))


@ORDER.method
def remove_order(order: Entity | None, call: Call) -> Outcome:
    """The user answers the client, once the order is not among its orders any more."""
    user_id = changeable(order, call)["user_id"]
    params = {"user_id": user_id, "order_id": call.params["order_id"]}
    return Outcome(None, (Send("user", user_id, "detach_order", params),))


@ORDER.method
def add_item(order: Entity | None, call: Call) -> Outcome:
    """The order asks the stock for the price; `quoted` adds the item, or refuses."""
    order, item_id = changeable(order, call), call.id("item_id")
    params = {"item_id": item_id, "order_id": call.params["order_id"]}
    return Outcome(order, (Send("stock", item_id, "quote", params),))


@ORDER.method
def quoted(order: Entity | None, call: Call) -> Outcome:
    """The order has one unit more, in the line of its item and price, unless the stock refused."""
    order = changeable(order, call)
    if (refusal := call.refusal("refusal")) is not None:
        raise Refused(*refusal)
    item_id, price = call.id("item_id"), call.integer("price")
    if order["total_cost"] + price > AMOUNT_MAX:
        raise Refused("limit_reached", f"an order's total is at most {AMOUNT_MAX}")
    items, found = [], False
    for line in order["items"]:
        if line["item_id"] == item_id and line["price"] == price:
            line, found = {**line, "quantity": line["quantity"] + 1}, True
        items.append(line)
    if not found:
        if len(items) >= LINES_PER_ORDER_MAX:
            raise Refused("limit_reached", f"an order has at most {LINES_PER_ORDER_MAX} lines")
        items.append({"item_id": item_id, "price": price, "quantity": 1})
    order = {**order, "items": items, "total_cost": order["total_cost"] + price}
    return Outcome(order, items_reply(order, call))


@ORDER.method
def remove_item(order: Entity | None, call: Call) -> Outcome:
    """The order has one unit less, of the line that was added last."""
    order, item_id = changeable(order, call), call.id("item_id")
    items = list(order["items"])
    for index in reversed(range(len(items))):
        line = items[index]
        if line["item_id"] == item_id:
            break
    else:
        raise Refused("not_found", f"no item {item_id} in order {call.params['order_id']}")
    items[index : index + 1] = (
        [{**line, "quantity": line["quantity"] - 1}] if line["quantity"] > 1 else []
    )
    order = {**order, "items": items, "total_cost": order["total_cost"] - line["price"]}
    return Outcome(order, items_reply(order, call))


@ORDER.read
def payment_status(order: Entity | None, call: Call) -> Outcome:
    order = existing(order, call)
    body = {"order_id": call.params["order_id"], "paid": order["status"] != "open"}
    return Outcome(order, (Reply(body),))


# The sagas: begin, hear each participant, run out of time, end.


@ORDER.under_way
def leads(order: Entity | None, request_id: str) -> bool:
    """`leads` says whether the order's saga is this request's."""
    saga = None if order is None else order["saga"]
    return saga is not None and bool(saga["request_id"] == request_id)


class Kind(NamedTuple):
    """A saga asks this of the user and, where it concerns the stock, of each item."""

    user_step: str
    item_step: str
    to_status: str
    total: str


KINDS = {
    "checkout": Kind("charge", "take", "completed", total="total_cost"),
    "pay_order": Kind("charge", "", "paid", total="amount"),
    "refund_order": Kind("refund", "restock", "open", total="amount"),
}


@ORDER.method
def checkout(order: Entity | None, call: Call) -> Outcome:
    return joined(order, call) or begin("checkout", payable(order, call), call)


@ORDER.method
def pay_order(order: Entity | None, call: Call) -> Outcome:
    return joined(order, call) or begin("pay_order", payable(order, call), call)


@ORDER.method
def refund_order(order: Entity | None, call: Call) -> Outcome:
    return joined(order, call) or begin("refund_order", refundable(order, call), call)


def payable(order: Entity | None, call: Call) -> Entity:
    order = changeable(order, call)
    if not order["items"]:
        raise Refused("order_empty", f"order {call.params['order_id']} has no items")
    return order


def refundable(order: Entity | None, call: Call) -> Entity:
    order = settled(order, call)
    if order["status"] == "open":
        raise Refused("not_paid", f"order {call.params['order_id']} is not paid")
    return order


def joined(order: Entity | None, call: Call) -> Outcome | None:
    """`joined` answers a request that is under way already and came again, perhaps through another
    gateway."""
    if order is None or not leads(order, call.request_id):
        return None
    saga = order["saga"]
    if call.sink not in saga["sinks"] and len(saga["sinks"]) < SINKS_PER_SAGA_MAX:
        order = {**order, "saga": {**saga, "sinks": [*saga["sinks"], call.sink]}}
    return Outcome(order, remember=False)


def begin(kind: str, order: Entity, call: Call) -> Outcome:
    """`begin` asks every participant at once. A refund has no end of time: it must come about."""
    user_step, item_step, _, _ = KINDS[kind]
    if order["status"] == "paid":
        item_step = ""
    requests = participants(order, call, user_step, item_step)
    saga = {
        "kind": kind,
        "request_id": call.request_id,
        "sinks": [call.sink],
        "pending": list(requests),
        "refused": [],
        "undoing": False,
        "error": None,
    }
    return Outcome(
        {**order, "saga": saga},
        tuple(requests.values()),
        remember=False,
        wake_after_s=None if kind == "refund_order" else time_s(call),
    )


def participants(order: Entity, call: Call, user_step: str, item_step: str) -> dict[str, Send]:
    """`participants` returns the request to each participant, by its name; no item takes part
    without an `item_step`."""
    user_id, order_id = order["user_id"], call.id("order_id")
    name = f"user:{user_id}"
    params = {"user_id": user_id, "order_id": order_id, "participant": name}
    requests = {name: Send("user", user_id, user_step, {**params, "amount": order["total_cost"]})}
    quantities: Counter[str] = Counter()
    for line in order["items"] if item_step else ():
        quantities[line["item_id"]] += line["quantity"]
    for item_id, quantity in quantities.items():
        name = f"item:{item_id}"
        params = {"item_id": item_id, "order_id": order_id, "participant": name}
        requests[name] = Send("stock", item_id, item_step, {**params, "quantity": quantity})
    return requests


@ORDER.step
def stepped(order: Entity | None, call: Call) -> Outcome:
    """`stepped` takes one participant's answer; of no saga under way, or heard before, it changes
    nothing."""
    saga = None if order is None else order["saga"]
    participant, undone = call.text("participant"), call.params.get("undone")
    refusal = call.refusal("refusal")
    if (
        order is None
        or saga is None
        or saga["request_id"] != call.request_id
        or saga["undoing"] != undone
        or participant not in saga["pending"]
    ):
        return Outcome(order, remember=False)
    saga = {**saga, "pending": [other for other in saga["pending"] if other != participant]}
    if refusal is not None:
        saga = {**saga, "refused": [*saga["refused"], participant], "error": list(refusal)}
        return undo(order, saga, call)
    if saga["pending"]:
        return Outcome({**order, "saga": saga}, remember=False)
    return end(order, saga, call)


@ORDER.step
def saga_expired(order: Entity | None, call: Call) -> Outcome:
    """The time is over: compensate, or where that takes as long again, release the order."""
    if order is None or not leads(order, call.request_id):
        return Outcome(order, remember=False)
    saga = order["saga"]
    if saga["undoing"]:
        return end(order, saga, call)
    message = f"not all services answered within {time_s(call):g} s; nothing was done"
    return undo(order, {**saga, "error": ["checkout_expired", message]}, call)


def undo(order: Entity, saga: dict[str, Any], call: Call) -> Outcome:
    """`undo` compensates every participant that did not refuse, whether it has answered or not."""
    item_step = "untake" if KINDS[saga["kind"]].item_step else ""
    requests = participants(order, call, "uncharge", item_step)
    for participant in saga["refused"]:
        del requests[participant]
    saga = {**saga, "undoing": True, "pending": list(requests)}
    if not requests:
        return end(order, saga, call)
    return Outcome(
        {**order, "saga": saga},
        tuple(requests.values()),
        remember=False,
        wake_after_s=time_s(call),
    )


def end(order: Entity, saga: dict[str, Any], call: Call) -> Outcome:
    """`end` gives one reply for all that wait, and for all that ask again with the same
    request_id."""
    kind = KINDS[saga["kind"]]
    if saga["error"] is not None:
        body = error(*saga["error"])
    else:
        order = {**order, "status": kind.to_status}
        paid = kind.to_status != "open"
        body = {"order_id": call.id("order_id"), "paid": paid, kind.total: order["total_cost"]}
    order = {**order, "saga": None}
    was_discarded = order.pop("discarded", False)
    return Outcome(
        None if was_discarded and saga["error"] is not None else order,
        tuple(Reply(body, sink) for sink in saga["sinks"]),
        remember=False,
        also={saga["kind"]: (Reply(body),)},
    )


@ORDER.alarm
def expire(order_id: str, order: Entity) -> Request | None:
    """A refund may begin before the alarm of the payment that it gives back: it must not expire."""
    saga = order["saga"]
    if saga is None or saga["kind"] == "refund_order":
        return None
    params = {"order_id": order_id}
    return Request(saga["request_id"], saga["sinks"][0], "saga_expired", params)
