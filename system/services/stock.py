"""The stock has items, their price and how many there are."""

from typing import Any

from system.service import Call, Entity, Outcome, Refused, Reply, Send, Service
from system.services.saga import compensate, done, refused
from system.wire import AMOUNT_MAX

STOCK = Service("stock", key="item_id")


def existing(item: Entity | None, call: Call) -> Entity:
    if item is None:
        raise Refused("not_found", f"no item {call.params['item_id']}")
    return item


def item_reply(item: Entity, call: Call, *fields: str) -> tuple[Reply]:
    return (Reply({"item_id": call.params["item_id"], **{name: item[name] for name in fields}}),)


@STOCK.method
def create_item(item: Entity | None, call: Call) -> Outcome:
    """The item's `taken` is what completed orders hold, and could come back."""
    new = {"stock": call.integer("stock", minimum=0), "price": call.integer("price"), "taken": 0}
    item = item or new
    return Outcome(item, item_reply(item, call, "stock", "price"))


@STOCK.read
def get_availability(item: Entity | None, call: Call) -> Outcome:
    item = existing(item, call)
    return Outcome(item, item_reply(item, call, "stock", "price"))


@STOCK.method
def add_stock(item: Entity | None, call: Call) -> Outcome:
    item, amount = existing(item, call), call.integer("amount")
    if item["stock"] + item["taken"] + amount > AMOUNT_MAX:
        raise Refused("limit_reached", f"an item's stock and sales are at most {AMOUNT_MAX}")
    item = {**item, "stock": item["stock"] + amount}
    return Outcome(item, item_reply(item, call, "stock"))


@STOCK.method
def subtract_stock(item: Entity | None, call: Call) -> Outcome:
    item, amount = existing(item, call), call.integer("amount")
    if item["stock"] < amount:
        raise Refused("out_of_stock", f"the stock is {item['stock']}, not {amount}")
    item = {**item, "stock": item["stock"] - amount}
    return Outcome(item, item_reply(item, call, "stock"))


@STOCK.read
def quote(item: Entity | None, call: Call) -> Outcome:
    """`quote` is the second of three parts of add_item: it tells the order the price as it is now,
    or that there is no such item, so that the order remembers either."""
    order_id = call.id("order_id")
    params: dict[str, Any] = {"order_id": order_id, "item_id": call.params["item_id"]}
    try:
        params["price"] = existing(item, call)["price"]
    except Refused as refusal:
        params["refusal"] = [refusal.code, str(refusal)]
    return Outcome(item, (Send("order", order_id, "quoted", params),))


def move(item: Entity, quantity: int) -> Entity:
    """`move` moves `quantity` from what is taken to the stock; negative: the other way."""
    return {**item, "stock": item["stock"] + quantity, "taken": item["taken"] - quantity}


@STOCK.step
def take(item: Entity | None, call: Call) -> Outcome:
    """`take` is a saga's step: it takes the ordered quantity out of the stock."""
    quantity = call.integer("quantity")
    try:
        call.in_time()
        item = existing(item, call)
        if item["stock"] < quantity:
            raise Refused("out_of_stock", f"item {call.params['item_id']} is out of stock")
    except Refused as refusal:
        return Outcome(item, (refused(call, refusal),))
    return Outcome(move(item, -quantity), (done(call),))


@STOCK.step
def untake(item: Entity | None, call: Call) -> Outcome:
    """`untake` is the saga's compensation of `take`, whether that came, comes later or never."""
    return compensate(item, call, "take", lambda item: move(item, call.integer("quantity")))


@STOCK.step
def restock(item: Entity | None, call: Call) -> Outcome:
    """`restock` is a saga's step: it gives back what a completed order held."""
    if item is None:
        return Outcome(None, (refused(call, Refused("not_found", "no such item")),))
    return Outcome(move(item, call.integer("quantity")), (done(call),))
