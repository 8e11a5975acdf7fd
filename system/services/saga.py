"""The order, which leads, and those that take part in a saga share this vocabulary.

A saga is known by the request_id that began it. The order sends every participant its step at once;
each answers `stepped` to the order. When one refuses, or the time is over, the order sends the
compensation to all others, also to those that have not answered yet.

Source: H. Garcia-Molina and K. Salem, "Sagas", SIGMOD 1987.
"""

from collections.abc import Callable

from system.service import Call, Entity, Outcome, Refused, Send

CHECKOUT_SHARE_MAX = 0.6
"""A checkout or payment whose steps have not all been answered in this share of the time that a
gateway waits is compensated; the order is released after the same time again, even where a
compensation is still on its way."""


def time_s(call: Call) -> float:
    """`time_s` is how long a saga may take, or its compensation."""
    return CHECKOUT_SHARE_MAX * call.timeout_s


def done(call: Call) -> Send:
    return stepped(call, undone=False, refusal=None)


def undone(call: Call) -> Send:
    return stepped(call, undone=True, refusal=None)


def refused(call: Call, refusal: Refused) -> Send:
    return stepped(call, undone=False, refusal=refusal)


def stepped(call: Call, *, undone: bool, refusal: Refused | None) -> Send:
    order_id = call.id("order_id")
    params = {
        "order_id": order_id,
        "participant": call.text("participant"),
        "undone": undone,
        "refusal": None if refusal is None else [refusal.code, str(refusal)],
    }
    return Send("order", order_id, "stepped", params)


def took_effect(outputs: tuple[object, ...]) -> bool:
    """`took_effect` returns whether a remembered step was done, not refused."""
    return any(isinstance(output, Send) and output.params["refusal"] is None for output in outputs)


def compensate(
    entity: Entity | None, call: Call, of: str, revert: Callable[[Entity], Entity]
) -> Outcome:
    """`compensate` reverts the step `of` of the same request where it took effect.

    A step that has not come yet finds itself remembered as refused when it does.
    """
    earlier = call.earlier(of)
    if earlier is None:
        tombstone = refused(call, Refused("checkout_expired", "undone before it came"))
        return Outcome(entity, (undone(call),), also={of: (tombstone,)})
    if entity is not None and took_effect(earlier):
        entity = revert(entity)
    return Outcome(entity, (undone(call),))
