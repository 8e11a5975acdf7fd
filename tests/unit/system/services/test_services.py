"""Each service alone: what its methods answer, at and beyond every limit."""

import pytest
from support.shop import HOSTED, SINK, Shop

from system.routes import ROUTES
from system.service import Effect, Entity, Window, handle
from system.services.order import LINES_PER_ORDER_MAX
from system.services.user import ORDERS_PER_USER_MAX
from system.wire import AMOUNT_MAX, Request, Trace, decode_request, input_topic


@pytest.fixture
def shop() -> Shop:
    """A user u with 100, an item i (10 in stock at 3), an order o of u with one i in it."""
    shop = Shop()
    shop.ask("user", "create_user", "r1", "u")
    shop.ask("user", "add_credit", "r2", "u", amount=100)
    shop.ask("stock", "create_item", "r3", "i", price=3, stock=10)
    shop.ask("order", "create_order", "r4", "o", user_id="u")
    shop.ask("order", "add_item", "r5", "o", item_id="i")
    return shop


def code(reply: dict[str, dict[str, str]]) -> str:
    return reply["error"]["code"]


def test_every_route_reaches_a_method(shop: Shop) -> None:
    for number, route in enumerate(ROUTES):
        if route.method == "silence":
            continue
        params = {"user_id": "u", "order_id": "o", "item_id": "i", "echo_id": "e", "amount": 1}
        params |= {"price": 1, "stock": 1}
        key = str(params.pop(route.key))
        reply = shop.ask(route.service, route.method, f"route{number}", key, **params)
        assert code(reply) != "bad_request" if "error" in reply else reply


def test_silence_answers_nobody(shop: Shop) -> None:
    request = Request("silent", SINK, "silence", {"echo_id": "e"})
    shop.produce(input_topic("echo"), "e", request)
    shop.settle()
    assert "silent" not in shop.replies


def test_credit(shop: Shop) -> None:
    assert shop.ask("user", "get_credit", "a", "u") == {
        "request_id": "a",
        "user_id": "u",
        "credit": 100,
    }
    assert code(shop.ask("user", "subtract_credit", "b", "u", amount=101)) == "insufficient_credit"
    assert shop.ask("user", "subtract_credit", "c", "u", amount=100)["credit"] == 0
    assert shop.ask("user", "add_credit", "d", "u", amount=AMOUNT_MAX)["credit"] == AMOUNT_MAX
    assert code(shop.ask("user", "add_credit", "e", "u", amount=1)) == "limit_reached"
    assert code(shop.ask("user", "add_credit", "f", "nobody", amount=1)) == "not_found"


def test_what_is_charged_can_always_come_back(shop: Shop) -> None:
    shop.ask("payment", "pay", "pay", "o")
    assert code(shop.ask("user", "add_credit", "a", "u", amount=AMOUNT_MAX - 99)) == "limit_reached"
    assert shop.ask("user", "add_credit", "b", "u", amount=AMOUNT_MAX - 100)
    shop.ask("payment", "cancel_payment", "cancel", "o")
    assert shop.ask("user", "get_credit", "c", "u")["credit"] == AMOUNT_MAX


@pytest.mark.parametrize("amount", [0, -1, AMOUNT_MAX + 1, 1.5, "1", True, None])
def test_amounts_are_checked_again(shop: Shop, amount: object) -> None:
    assert code(shop.ask("user", "add_credit", "a", "u", amount=amount)) == "bad_request"
    assert shop.ask("user", "get_credit", "b", "u")["credit"] == 100


def test_unknown_method_is_refused(shop: Shop) -> None:
    assert code(shop.ask("user", "no_such_method", "a", "u")) == "bad_request"


def test_a_removed_user(shop: Shop) -> None:
    shop.ask("payment", "pay", "pay", "o")
    assert shop.ask("user", "remove_user", "a", "u")["credit"] == 97
    assert code(shop.ask("user", "find_user", "b", "u")) == "not_found"
    assert code(shop.ask("user", "create_user", "c", "u")) == "not_found"
    assert code(shop.ask("user", "find_user", "d", "u")) == "not_found", "the id stays reserved"
    assert shop.ask("payment", "cancel_payment", "e", "o")["paid"] is False
    assert shop.entity("user", "u")["credit"] == 3, "the refund is kept"


def test_what_is_created_once_more_answers_as_it_is(shop: Shop) -> None:
    """It answered as if it were new: a credit of 0, and a stock that nobody had added."""
    credit = shop.ask("user", "find_user", "a", "u")["credit"]
    assert shop.ask("user", "create_user", "b", "u")["credit"] == credit > 0
    item = shop.ask("stock", "get_availability", "c", "i")
    again = shop.ask("stock", "create_item", "d", "i", price=77, stock=1000)
    assert (again["stock"], again["price"]) == (item["stock"], item["price"]) != (1000, 77)
    assert shop.ask("stock", "get_availability", "e", "i") == {**item, "request_id": "e"}


def test_an_order_needs_a_user(shop: Shop) -> None:
    assert code(shop.ask("order", "create_order", "a", "o2", user_id="nobody")) == "not_found"
    assert code(shop.ask("order", "find_order", "b", "o2")) == "not_found"


def test_orders_of_a_user_are_limited(shop: Shop) -> None:
    for number in range(1, ORDERS_PER_USER_MAX):
        shop.ask("order", "create_order", f"a{number}", f"o{number}", user_id="u")
    assert len(shop.ask("user", "find_user", "b", "u")["orders"]) == ORDERS_PER_USER_MAX
    assert code(shop.ask("order", "create_order", "c", "more", user_id="u")) == "limit_reached"
    assert shop.ask("order", "remove_order", "d", "o") == {"request_id": "d", "order_id": "o"}
    assert shop.ask("order", "create_order", "e", "more", user_id="u")["order_id"] == "more"
    assert "o" not in shop.ask("user", "find_user", "f", "u")["orders"]


def test_items_of_an_order(shop: Shop) -> None:
    line = {"item_id": "i", "price": 3, "quantity": 1}
    shop.entities["stock_in", "i"] = {**shop.entity("stock", "i"), "price": 4}
    reply = shop.ask("order", "add_item", "a", "o", item_id="i")
    assert reply["items"] == [line, {**line, "price": 4}]
    assert shop.ask("order", "add_item", "b", "o", item_id="i")["total_cost"] == 11
    assert shop.ask("order", "remove_item", "c", "o", item_id="i")["total_cost"] == 7
    assert shop.ask("order", "remove_item", "d", "o", item_id="i")["items"] == [line]
    assert shop.ask("order", "remove_item", "e", "o", item_id="i")["items"] == []
    assert code(shop.ask("order", "remove_item", "f", "o", item_id="i")) == "not_found"
    assert code(shop.ask("order", "add_item", "g", "o", item_id="none")) == "not_found"


def test_an_item_that_comes_later_is_not_added_by_a_request_that_was_refused(shop: Shop) -> None:
    """A client of Kafka's chooses the ids of its items."""
    refused = shop.ask("order", "add_item", "a", "o", item_id="late")
    assert code(refused) == "not_found"
    shop.ask("stock", "create_item", "b", "late", price=1, stock=1)
    before = shop.ask("order", "find_order", "c", "o")["items"]
    assert shop.ask("order", "add_item", "a", "o", item_id="late") == refused
    assert shop.ask("order", "find_order", "d", "o")["items"] == before
    assert shop.ask("order", "add_item", "e", "o", item_id="late")["items"] != before


def test_lines_of_an_order_are_limited(shop: Shop) -> None:
    for number in range(LINES_PER_ORDER_MAX):
        shop.ask("stock", "create_item", f"i{number}", f"i{number}", price=1, stock=1)
        reply = shop.ask("order", "add_item", f"a{number}", "o", item_id=f"i{number}")
    assert code(reply) == "limit_reached"
    assert len(shop.ask("order", "find_order", "b", "o")["items"]) == LINES_PER_ORDER_MAX


def test_total_of_an_order_is_limited(shop: Shop) -> None:
    shop.ask("stock", "create_item", "a", "gold", price=AMOUNT_MAX, stock=1)
    assert code(shop.ask("order", "add_item", "b", "o", item_id="gold")) == "limit_reached"


def test_checkout(shop: Shop) -> None:
    reply = shop.ask("order", "checkout", "a", "o")
    assert reply == {"request_id": "a", "order_id": "o", "paid": True, "total_cost": 3}
    assert shop.ask("order", "find_order", "b", "o")["status"] == "completed"
    assert shop.ask("stock", "get_availability", "c", "i")["stock"] == 9
    assert code(shop.ask("order", "checkout", "d", "o")) == "already_paid"
    assert code(shop.ask("payment", "pay", "e", "o")) == "already_paid"
    assert code(shop.ask("order", "remove_order", "f", "o")) == "already_paid"
    assert code(shop.ask("order", "add_item", "g", "o", item_id="i")) == "already_paid"


def test_an_empty_order_is_not_checked_out(shop: Shop) -> None:
    shop.ask("order", "remove_item", "a", "o", item_id="i")
    assert code(shop.ask("order", "checkout", "b", "o")) == "order_empty"


@pytest.mark.parametrize(
    ("spend", "sell", "expected"),
    [(98, 0, "insufficient_credit"), (0, 10, "out_of_stock")],
)
def test_a_refused_checkout_has_no_effect(shop: Shop, spend: int, sell: int, expected: str) -> None:
    if spend:
        shop.ask("user", "subtract_credit", "a", "u", amount=spend)
    if sell:
        shop.ask("stock", "subtract_stock", "b", "i", amount=sell)
    assert code(shop.ask("order", "checkout", "c", "o")) == expected
    assert shop.ask("user", "get_credit", "d", "u")["credit"] == 100 - spend
    assert shop.ask("stock", "get_availability", "e", "i")["stock"] == 10 - sell
    assert shop.ask("order", "find_order", "f", "o")["status"] == "open"


def test_pay_takes_no_stock_and_cancels_once(shop: Shop) -> None:
    assert code(shop.ask("payment", "cancel_payment", "a", "o")) == "not_paid"
    paid = shop.ask("payment", "pay", "b", "o")
    assert paid == {"request_id": "b", "order_id": "o", "paid": True, "amount": 3}
    assert shop.ask("order", "find_order", "c", "o")["status"] == "paid"
    assert shop.ask("stock", "get_availability", "d", "i")["stock"] == 10
    assert shop.ask("payment", "get_status", "e", "o")["paid"] is True
    cancelled = shop.ask("payment", "cancel_payment", "f", "o")
    assert cancelled == {"request_id": "f", "order_id": "o", "paid": False, "amount": 3}
    assert code(shop.ask("payment", "cancel_payment", "g", "o")) == "not_paid"
    assert shop.ask("user", "get_credit", "h", "u")["credit"] == 100
    assert shop.ask("stock", "get_availability", "i", "i")["stock"] == 10


def test_cancelling_a_checkout_gives_the_stock_back(shop: Shop) -> None:
    shop.ask("order", "checkout", "a", "o")
    shop.ask("payment", "cancel_payment", "b", "o")
    assert shop.ask("stock", "get_availability", "c", "i")["stock"] == 10
    assert shop.ask("order", "checkout", "d", "o")["paid"] is True


@pytest.mark.parametrize("user_id", ["nobody", "u"])
def test_an_order_is_not_paid_for_before_its_user_has_it(shop: Shop, user_id: str) -> None:
    for number in range(1, ORDERS_PER_USER_MAX):
        shop.ask("order", "create_order", f"f{number}", f"f{number}", user_id="u")
    create = Request("a", SINK, "create_order", {"order_id": "early", "user_id": user_id})
    shop.produce("order_in", "early", create)
    shop.deliver(shop.log.pop())
    attach = shop.log.pop()
    shop.ask("order", "add_item", "b", "early", item_id="i")
    shop.produce("order_in", "early", Request("c", SINK, "checkout", {"order_id": "early"}))
    shop.deliver(shop.log.pop())
    under_way, shop.log = shop.log, [attach]
    shop.settle()
    assert code(shop.replies["a"][-1]) == {"nobody": "not_found", "u": "limit_reached"}[user_id]
    assert shop.entity("order", "early")["saga"], "it ends first"
    shop.log = under_way
    shop.settle()
    assert code(shop.replies["c"][-1]) == "not_found"
    assert code(shop.ask("order", "find_order", "d", "early")) == "not_found"
    assert shop.ask("user", "get_credit", "e", "u")["credit"] == 100
    assert shop.ask("stock", "get_availability", "g", "i")["stock"] == 10


def test_an_order_under_way_is_locked(shop: Shop) -> None:
    shop.produce("order_in", "o", Request("a", "sink_1", "checkout", {"order_id": "o"}))
    shop.deliver(shop.log.pop())
    late, shop.log = shop.log, []
    for number, (service, method) in enumerate(
        [
            ("order", "checkout"),
            ("order", "remove_order"),
            ("payment", "pay"),
            ("payment", "cancel_payment"),
        ]
    ):
        assert code(shop.ask(service, method, f"b{number}", "o")) == "checkout_in_progress"
    assert shop.ask("order", "find_order", "c", "o")["status"] == "checkout_in_progress"
    shop.produce("order_in", "o", Request("a", "sink_2", "checkout", {"order_id": "o"}))
    shop.deliver(shop.log.pop())
    shop.log = late
    shop.settle()
    assert [reply["paid"] for reply in shop.replies["a"]] == [True, True], "one for each sink"


def test_services_that_stay_silent_end_the_checkout(shop: Shop) -> None:
    shop.produce("order_in", "o", Request("a", "sink", "checkout", {"order_id": "o"}))
    shop.deliver(shop.log.pop())
    held = shop.log
    for _ in range(2):
        shop.log = []
        shop.fire(("order_in", "o"))
        shop.deliver(shop.log.pop())
        held += shop.log
    shop.log = []
    assert shop.ask("order", "find_order", "b", "o")["status"] == "open"
    assert shop.ask("order", "checkout", "a", "o")["error"]["code"] == "checkout_expired"
    shop.log = list(reversed(held))
    shop.settle()
    assert shop.ask("user", "get_credit", "c", "u")["credit"] == 100
    assert shop.ask("stock", "get_availability", "d", "i")["stock"] == 10
    assert shop.ask("order", "checkout", "e", "o")["paid"] is True


@pytest.mark.parametrize(("timeout_ms", "saga_s"), [(5_000, 3.0), (60_000, 36.0)])
def test_a_saga_has_less_time_than_gateways_wait(
    shop: Shop, timeout_ms: int, saga_s: float
) -> None:
    """So that its client hears that it was undone, where that takes no longer than the rest."""

    def asked(method: str, entity: Entity | None) -> Effect:
        request = Request("a", "sink", method, {"order_id": "o"})
        window = Window(timeout_ms=timeout_ms)
        return handle(HOSTED["order_in"], entity, lambda _: None, request, shop.now_ms, window)

    begun = asked("checkout", shop.entity("order", "o"))
    assert begun.wake_after_s == saga_s
    undoing = asked("saga_expired", begun.entity)
    assert undoing.wake_after_s == saga_s
    assert undoing.entity is not None
    (_, message) = undoing.entity["saga"]["error"]
    assert message == f"not all services answered within {saga_s:g} s; nothing was done"


def test_an_order_that_was_created_again_is_not_discarded_for_the_first_request(
    shop: Shop,
) -> None:
    """The first was refused while a checkout was under way, the second was answered: the order went
    with the checkout."""

    def begin(method: str, request_id: str, **params: object) -> None:
        """It is handled, and what it sends waits."""
        shop.produce(
            "order_in", "n", Request(request_id, SINK, method, {"order_id": "n", **params})
        )
        shop.deliver(shop.log.pop())

    begin("create_order", "n1", user_id="late")
    shop.deliver(shop.log.pop())  # the user is not there yet, so it is to be discarded
    (discard, _), shop.log = shop.log, []
    assert discard.topic == "order_in"
    own = {"user_id": "late", "created_by": "n1"}
    shop.entities["order_in", "n"] = {**shop.entity("order", "o"), **own}  # with an item
    begin("checkout", "n3")
    saga, shop.log = shop.log, []
    shop.deliver(discard)
    assert shop.entity("order", "n")["discarded"]
    shop.ask("user", "create_user", "u2", "late")
    assert shop.ask("order", "create_order", "n4", "n", user_id="late")["order_id"] == "n"
    shop.log = saga
    shop.settle()
    assert code(shop.replies["n3"][-1]) == "insufficient_credit"
    assert shop.ask("order", "find_order", "n5", "n")["user_id"] == "late"
    assert shop.ask("user", "find_user", "n6", "late")["orders"] == ["n"]


def test_a_checkout_that_an_outage_interrupts_is_undone_however_long_it_was(shop: Shop) -> None:
    shop.produce("order_in", "o", Request("a", "sink", "checkout", {"order_id": "o"}))
    shop.deliver(shop.log.pop())
    steps, shop.log = shop.log, []
    for record in steps:
        shop.deliver(record)
    shop.log = []
    assert shop.entity("user", "u")["credit"] == 97
    shop.now_ms += 60 * 60_000
    shop.fire(("order_in", "o"))
    shop.settle()
    assert code(shop.replies["a"][-1]) == "checkout_expired"
    assert shop.ask("user", "get_credit", "b", "u")["credit"] == 100
    assert shop.ask("stock", "get_availability", "c", "i")["stock"] == 10


def test_a_claim_belongs_to_one_request(shop: Shop) -> None:
    def claim(amount: int) -> dict[str, object]:
        params = {"user_id": "u", "amount": amount}
        request = {"service": "user", "key": "u", "method": "add_credit", "params": params}
        return shop.ask("claim", "claim", "my-key", "my-key", **request)

    assert claim(1) == claim(1) == {"request_id": "my-key", "user_id": "u", "credit": 101}
    assert claim(2)["error"] == {
        "code": "idempotency_key_reused",
        "message": "this Idempotency-Key came with another request before",
    }
    assert claim(1)["credit"] == 101
    assert shop.ask("user", "get_credit", "b", "u")["credit"] == 101


@pytest.mark.parametrize("topic", ["order_in", "user_in", "claim_in", "payment_in"])
def test_a_trace_changes_nothing_that_is_sent_or_remembered(shop: Shop, topic: str) -> None:
    service, key = HOSTED[topic], topic[0]
    steps = {"order": "checkout", "user": "find_user", "claim": "claim", "payment": "pay"}
    params = {service.key: key, "service": "user", "key": "u", "method": "find_user", "params": {}}

    def effect(trace: Trace | None) -> Effect:
        request = Request("a", SINK, steps[service.name], params, trace)
        entity = shop.entities.get((topic, key))
        return handle(service, entity, lambda _step: None, request, shop.now_ms, Window())

    traced = effect([("before", 1, 2)])
    assert traced == effect(None)
    assert traced.records


def test_an_alarm_has_no_trace(shop: Shop) -> None:
    request = Request("a", SINK, "checkout", {"order_id": "o"}, [("before", 1, 2)])
    shop.produce("order_in", "o", request)
    shop.deliver(shop.log.pop())
    shop.log = []
    shop.fire(("order_in", "o"))
    (alarm,) = shop.log
    assert decode_request(alarm.value) == Request("a", SINK, "saga_expired", {"order_id": "o"})


def test_topics_are_the_services() -> None:
    assert input_topic("user") == "user_in"
