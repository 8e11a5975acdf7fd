"""Whatever the order, the number and the delay of messages: money and stock are kept, sagas end."""

from collections import defaultdict
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.shop import SINK, Shop, minted

from system.service import Record
from system.wire import Request, encode_request, input_topic

USERS, ITEMS, ORDERS = ("u0", "u1"), ("i0", "i1"), ("o0", "o1", "o2")
NEW = {"n0": "u0", "n1": "u1", "n2": "nobody"}
"""Orders that are filled and paid for while it is open whether their users take them."""
ORDERS_MAX = 2
"""Of a user: u0 has as many, so it takes no other."""
EXPIRED = "idempotency_key_expired"
MINUTE_MS = 60_000

REQUESTS = st.one_of(
    st.tuples(
        st.just("order"), st.just("checkout"), st.sampled_from([*ORDERS, *NEW]), st.just(None)
    ),
    st.tuples(st.just("order"), st.just("create_order"), st.sampled_from([*NEW]), st.just(None)),
    st.tuples(
        st.just("payment"),
        st.sampled_from(["pay", "cancel_payment"]),
        st.sampled_from([*ORDERS, *NEW]),
        st.just(None),
    ),
    st.tuples(
        st.just("order"),
        st.sampled_from(["add_item", "remove_item"]),
        st.sampled_from([*ORDERS, *NEW]),
        st.sampled_from(ITEMS),
    ),
    st.tuples(
        st.just("user"),
        st.sampled_from(["add_credit", "subtract_credit"]),
        st.sampled_from(USERS),
        st.integers(1, 9),
    ),
    st.tuples(
        st.just("stock"),
        st.sampled_from(["add_stock", "subtract_stock"]),
        st.sampled_from(ITEMS),
        st.integers(1, 3),
    ),
    st.tuples(st.just("user"), st.just("remove_user"), st.sampled_from(USERS), st.just(None)),
)


def open_shop(credit: int, stock: int) -> Shop:
    shop = Shop()
    for user in USERS:
        shop.ask("user", "create_user", f"create-{user}", user)
        shop.ask("user", "add_credit", f"fund-{user}", user, amount=credit)
    for price, item in enumerate(ITEMS, start=2):
        shop.ask("stock", "create_item", f"create-{item}", item, price=price, stock=stock)
    for number, order in enumerate(ORDERS):
        shop.ask("order", "create_order", f"create-{order}", order, user_id=USERS[number % 2])
        for item in ITEMS:
            shop.ask("order", "add_item", f"fill-{order}-{item}", order, item_id=item)
    undecided = []
    for order, user in NEW.items():
        create = Request(
            f"create-{order}", SINK, "create_order", {"order_id": order, "user_id": user}
        )
        shop.produce("order_in", order, create)
        shop.deliver(shop.log.pop())
        undecided.append(shop.log.pop())
        for item in ITEMS:
            shop.ask("order", "add_item", f"fill-{order}-{item}", order, item_id=item)
    shop.replies.clear()
    shop.alarms.clear()
    shop.log = undecided
    return shop


def never_negative(shop: Shop) -> None:
    for (topic, _), entity in shop.entities.items():
        if topic == "user_in":
            assert entity["credit"] >= 0
            assert entity["charged"] >= 0
        if topic == "stock_in":
            assert entity["stock"] >= 0
            assert entity["taken"] >= 0


TWICE_CREATED = [
    *(("order", "checkout", order, None) for order in ("o0", "o0", "o1", "o0")),
    ("order", "create_order", "n1", None),
    *(("order", "checkout", order, None) for order in ("o0", "n1", "o1", "o0")),
]
"""The first request that created n1 is refused after an outage, as a saga has the order that the
second one created."""


@settings(max_examples=500, deadline=None)
@patch("system.services.user.ORDERS_PER_USER_MAX", ORDERS_MAX)
@example(TWICE_CREATED, 10, 1, 1, 0.375, 0.0, [6 * MINUTE_MS])
@given(
    requests=st.lists(REQUESTS, min_size=1, max_size=12),
    credit=st.integers(1, 30),
    stock=st.integers(0, 6),
    seed=st.integers(0, 2**32),
    duplicates=st.floats(0, 0.6),
    early_alarms=st.floats(0, 0.5),
    outages_ms=st.lists(st.sampled_from([MINUTE_MS, 6 * MINUTE_MS, 10 * MINUTE_MS]), max_size=2),
)
def test_money_and_stock_are_kept(
    requests: list[tuple[str, str, str, str | int | None]],
    credit: int,
    stock: int,
    seed: int,
    duplicates: float,
    early_alarms: float,
    outages_ms: list[int],
) -> None:
    """Outages together are shorter than the memory is kept: a job that is down for longer forgets
    nothing until what was under way has come, see `Host`."""
    shop = open_shop(credit, stock)
    asked = {}
    for number, (service, method, key, argument) in enumerate(requests):
        params: dict[str, object] = {
            {"user": "user_id", "stock": "item_id"}.get(service, "order_id"): key
        }
        if argument is not None:
            params["item_id" if service == "order" else "amount"] = argument
        if method == "create_order":
            params["user_id"] = NEW[key]
        request_id = minted(shop.now_ms, number)
        asked[request_id] = (service, method, key, argument)
        shop.produce(input_topic(service), key, Request(request_id, SINK, method, params))
    sent = shop.log[len(NEW) :]
    shop.storm(seed, duplicates, early_alarms, outages_ms)

    if not outages_ms:
        told = {request_id: [*replies] for request_id, replies in shop.replies.items()}
        shop.pass_time(shop.window.window_ms)
        shop.log = [*sent]
        shop.settle()
        for request_id, replies in told.items():
            assert shop.replies[request_id][-1] == replies[0], "remembered for the window"
    shop.pass_time(shop.window.kept_ms + MINUTE_MS)
    assert not shop.memory
    shop.replies, told = {}, shop.replies
    shop.log = [*sent]
    shop.settle()
    for replies in shop.replies.values():
        assert [reply["error"]["code"] for reply in replies] == [EXPIRED]
    shop.replies = told

    never_negative(shop)
    credit_expected: dict[str, int] = dict.fromkeys(USERS, credit)
    stock_expected: dict[str, int] = dict.fromkeys(ITEMS, stock)
    for request_id, (_, method, key, argument) in asked.items():
        replies = [
            reply
            for reply in shop.replies.get(request_id, [])
            if reply.get("error", {}).get("code") != EXPIRED
        ]
        assert all(reply == replies[0] for reply in replies), "one request, one answer"
        if not replies or "error" in replies[0]:
            continue
        if method == "add_credit":
            credit_expected[key] += int(argument or 0)
        elif method == "subtract_credit":
            credit_expected[key] -= int(argument or 0)
        elif method == "remove_user":
            credit_expected[key] -= replies[0]["credit"]
        elif method == "add_stock":
            stock_expected[key] += int(argument or 0)
        elif method == "subtract_stock":
            stock_expected[key] -= int(argument or 0)
    spent: dict[str, int] = defaultdict(int)
    sold: dict[str, int] = defaultdict(int)
    for order_id in (*ORDERS, *NEW):
        order = shop.entities.get(("order_in", order_id))
        if order is None:
            continue
        assert order["user_id"] in USERS
        assert order["saga"] is None, "every saga ends"
        if order["status"] != "open":
            spent[order["user_id"]] += order["total_cost"]
        if order["status"] == "completed":
            for line in order["items"]:
                sold[line["item_id"]] += line["quantity"]
    for user_id in USERS:
        user = shop.entity("user", user_id)
        assert user["credit"] + spent[user_id] == credit_expected[user_id]
        assert user["charged"] == spent[user_id]
    for item_id in ITEMS:
        item = shop.entity("stock", item_id)
        assert item["stock"] + sold[item_id] == stock_expected[item_id]
        assert item["taken"] == sold[item_id]


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**32), duplicates=st.floats(0, 0.6), early_alarms=st.floats(0, 0.3))
def test_a_request_sent_again_gets_the_same_reply(
    seed: int, duplicates: float, early_alarms: float
) -> None:
    shop = open_shop(credit=20, stock=2)
    request = Request("checkout", SINK, "checkout", {"order_id": "o0"})
    for _ in range(3):
        shop.produce("order_in", "o0", request)
    shop.storm(seed, duplicates, early_alarms)
    shop.produce("order_in", "o0", request)
    shop.settle()
    replies = shop.replies["checkout"]
    assert replies
    assert all(reply == replies[0] for reply in replies)


def late(request_id: str, method: str, at_ms: int) -> Request:
    return Request(request_id, SINK, method, {"order_id": "o0"}, None, at_ms)


@pytest.mark.parametrize("method", ["pay", "cancel_payment"])
def test_what_was_refused_as_too_late_stays_refused_by_who_keeps_nothing(method: str) -> None:
    """The payment service remembers nothing, so it can't refuse: the order does, which does."""
    shop = open_shop(credit=20, stock=2)
    if method == "cancel_payment":
        shop.ask("payment", "pay", "paid", "o0")
    before = shop.entity("order", "o0")
    for at_ms in (shop.now_ms - 6 * MINUTE_MS, shop.now_ms, shop.now_ms):
        shop.produce("payment_in", "o0", late("k", method, at_ms))
        shop.settle()
    assert [reply["error"]["code"] for reply in shop.replies["k"]] == [EXPIRED] * 3
    assert shop.entity("order", "o0") == before


@pytest.mark.parametrize(("service", "method"), [("order", "checkout"), ("payment", "pay")])
def test_a_request_whose_saga_is_under_way_is_never_too_late(service: str, method: str) -> None:
    shop = open_shop(credit=20, stock=2)
    at_ms = shop.now_ms
    shop.produce(f"{service}_in", "o0", late("k", method, at_ms))
    while not shop.entity("order", "o0")["saga"]:
        shop.deliver(shop.log.pop(0))
    shop.now_ms += 60 * MINUTE_MS
    again = late("k", "checkout" if method == "checkout" else "pay_order", at_ms)
    shop.deliver(Record("order_in", "o0", encode_request(again)))
    shop.now_ms -= 60 * MINUTE_MS
    shop.settle()
    assert {reply.get("paid") for reply in shop.replies["k"]} == {True}
