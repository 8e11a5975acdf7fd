"""A payment pays for an order without taking its stock, and gives the money back.

The order decides, because a payment and a checkout of it must not cross: nothing is kept here.
"""

from system.service import Call, Entity, Outcome, Send, Service

PAYMENT = Service("payment", key="order_id", stateless=True)


def ask_order(call: Call, method: str) -> Outcome:
    order_id = call.id("order_id")
    return Outcome(None, (Send("order", order_id, method, {"order_id": order_id}),))


@PAYMENT.method
def pay(_entity: Entity | None, call: Call) -> Outcome:
    return ask_order(call, "pay_order")


@PAYMENT.method
def cancel_payment(_entity: Entity | None, call: Call) -> Outcome:
    return ask_order(call, "refund_order")


@PAYMENT.read
def get_status(_entity: Entity | None, call: Call) -> Outcome:
    return ask_order(call, "payment_status")
