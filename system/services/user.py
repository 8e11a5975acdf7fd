"""A user has a credit, and the orders that belong to them."""

from system.service import Call, Entity, Outcome, Refused, Reply, Send, Service
from system.services.saga import compensate, done, refused
from system.wire import AMOUNT_MAX, error

ORDERS_PER_USER_MAX = 500
"""The limit keeps find_user's reply below the largest record, with ids of the longest form."""

USER = Service("user", key="user_id")


def existing(user: Entity | None, call: Call) -> Entity:
    if user is None or user["removed"]:
        raise Refused("not_found", f"no user {call.params['user_id']}")
    return user


def credit_reply(user: Entity, call: Call) -> tuple[Reply]:
    return (Reply({"user_id": call.params["user_id"], "credit": user["credit"]}),)


@USER.method
def create_user(user: Entity | None, call: Call) -> Outcome:
    """The user's `charged` is what their paid orders hold, and could come back as a refund."""
    new = {"credit": 0, "charged": 0, "orders": [], "removed": False}
    user = existing(user or new, call)
    return Outcome(user, credit_reply(user, call))


@USER.read
def find_user(user: Entity | None, call: Call) -> Outcome:
    user = existing(user, call)
    body = {"user_id": call.params["user_id"], "credit": user["credit"], "orders": user["orders"]}
    return Outcome(user, (Reply(body),))


@USER.read
def get_credit(user: Entity | None, call: Call) -> Outcome:
    user = existing(user, call)
    return Outcome(user, credit_reply(user, call))


@USER.method
def remove_user(user: Entity | None, call: Call) -> Outcome:
    """The id stays reserved, so that a later refund has a place to go."""
    user = existing(user, call)
    removed = {"credit": 0, "charged": user["charged"], "orders": [], "removed": True}
    return Outcome(removed, credit_reply(user, call))


@USER.method
def add_credit(user: Entity | None, call: Call) -> Outcome:
    user, amount = existing(user, call), call.integer("amount")
    if user["credit"] + user["charged"] + amount > AMOUNT_MAX:
        raise Refused("limit_reached", f"a user's credit and charges are at most {AMOUNT_MAX}")
    user = {**user, "credit": user["credit"] + amount}
    return Outcome(user, credit_reply(user, call))


@USER.method
def subtract_credit(user: Entity | None, call: Call) -> Outcome:
    user, amount = existing(user, call), call.integer("amount")
    if user["credit"] < amount:
        raise Refused("insufficient_credit", f"the credit is {user['credit']}, not {amount}")
    user = {**user, "credit": user["credit"] - amount}
    return Outcome(user, credit_reply(user, call))


@USER.step
def attach_order(user: Entity | None, call: Call) -> Outcome:
    """`attach_order` is the second half of create_order: it answers the client, or lets the order
    be discarded."""
    order_id = call.id("order_id")
    discard = Send("order", order_id, "discard_order", {"order_id": order_id})
    try:
        user = existing(user, call)
        if order_id not in user["orders"]:
            call.in_time()
            if len(user["orders"]) >= ORDERS_PER_USER_MAX:
                raise Refused("limit_reached", f"a user has at most {ORDERS_PER_USER_MAX} orders")
            user = {**user, "orders": [*user["orders"], order_id]}
    except Refused as refusal:
        return Outcome(user, (discard, Reply(error(refusal.code, str(refusal)))))
    return Outcome(user, (Reply({"order_id": order_id, "user_id": call.params["user_id"]}),))


@USER.step
def detach_order(user: Entity | None, call: Call) -> Outcome:
    """`detach_order` is the second half of remove_order."""
    order_id = call.id("order_id")
    if user is not None and order_id in user["orders"]:
        user = {**user, "orders": [other for other in user["orders"] if other != order_id]}
    return Outcome(user, (Reply({"order_id": order_id}),))


def move(user: Entity, amount: int) -> Entity:
    """`move` moves `amount` from what is charged to the credit; negative: the other way."""
    return {**user, "credit": user["credit"] + amount, "charged": user["charged"] - amount}


@USER.step
def charge(user: Entity | None, call: Call) -> Outcome:
    """`charge` is a saga's step: it takes the order's total from the credit.

    An order that is not attached yet may still be discarded: it can't be paid for.
    """
    amount, order_id = call.integer("amount"), call.id("order_id")
    try:
        call.in_time()
        user = existing(user, call)
        if order_id not in user["orders"]:
            raise Refused("not_found", f"no order {order_id} of user {call.params['user_id']}")
        if user["credit"] < amount:
            raise Refused("insufficient_credit", f"the credit is {user['credit']}, not {amount}")
    except Refused as refusal:
        return Outcome(user, (refused(call, refusal),))
    return Outcome(move(user, -amount), (done(call),))


@USER.step
def uncharge(user: Entity | None, call: Call) -> Outcome:
    """`uncharge` is the saga's compensation of `charge`, whether that came, comes later or
    never."""
    return compensate(user, call, "charge", lambda user: move(user, call.integer("amount")))


@USER.step
def refund(user: Entity | None, call: Call) -> Outcome:
    """`refund` is a saga's step: it gives a paid order's total back, to a removed user too."""
    if user is None:
        return Outcome(None, (refused(call, Refused("not_found", "no such user")),))
    return Outcome(move(user, call.integer("amount")), (done(call),))
