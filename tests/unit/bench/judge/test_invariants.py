"""Each invariant broken on purpose: the checker must name it, and nothing else."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.accounts import Account
from bench.judge.invariants import check
from bench.judge.reply_contract import INVARIANTS, Final, Report
from bench.records.request_log import Row

NOT_FOUND = {"error": {"code": "not_found", "message": "no such thing"}}
TIMEOUT = {"error": {"code": "timeout", "message": "no reply in time"}}


class Recorder:
    """A history of requests one after the other, each with a request_id of its own."""

    def __init__(self) -> None:
        self.rows: list[Row] = []

    def add(
        self, operation: str, path: str, status: int, body: dict[str, Any], key: str | None = None
    ) -> None:
        count = len(self.rows)
        body = {"request_id": key or f"r{count}", **body}
        times = (count * 10_000_000_000_000, count * 10_000_000_000_000 + 1)
        self.rows.append(Row(operation, path, key, *times, status, body))


def a_sale() -> tuple[Recorder, Final]:
    """User u is given 100 and buys two of item i at 7 each; all of it right."""
    history = Recorder()
    history.add("create_user", "/users/create", 200, {"user_id": "u", "credit": 0})
    history.add("add_credit", "/users/credit/add/u/100", 200, {"user_id": "u", "credit": 100})
    item = {"item_id": "i", "stock": 10, "price": 7}
    history.add("create_item", "/stock/item/create?price=7&stock=10", 200, item)
    history.add("create_order", "/orders/create/u", 200, {"order_id": "o", "user_id": "u"})
    for quantity in (1, 2):
        lines = [{"item_id": "i", "price": 7, "quantity": quantity}]
        body = {"order_id": "o", "items": lines, "total_cost": 7 * quantity}
        history.add("add_item", "/orders/addItem/o/i", 200, body)
    paid = {"order_id": "o", "paid": True, "total_cost": 14}
    history.add("checkout", "/orders/checkout/o", 200, paid, key="k")
    order = {
        "order_id": "o",
        "user_id": "u",
        "items": [{"item_id": "i", "price": 7, "quantity": 2}],
        "total_cost": 14,
        "paid": True,
        "status": "completed",
    }
    users: dict[str, dict[str, Any] | None] = {"u": {"user_id": "u", "credit": 86}}
    return history, Final(users, {"o": order}, {"i": {**item, "stock": 8}})


def broken(report: Report) -> set[str]:
    return {name for name, count in report.counts.items() if count}


def test_a_right_history_breaks_nothing() -> None:
    history, final = a_sale()
    report = check(history.rows, final)
    assert report.violations == []
    assert report.totals == {"credit": 86, "charged": 14, "stock": 8, "sold": 2}


def charged_too_much(history: Recorder, final: Final) -> None:
    final.users["u"] = {"credit": 85}


def stock_vanished(history: Recorder, final: Final) -> None:
    final.items["i"] = {"stock": 7}


def negative_read(history: Recorder, final: Final) -> None:
    history.add("get_credit", "/users/credit/u", 200, {"user_id": "u", "credit": -1})


def lost_item(history: Recorder, final: Final) -> None:
    body = {"order_id": "o", "items": [], "total_cost": 0}
    history.add("add_item", "/orders/addItem/o/i", 200, body)


def back_from_removal(history: Recorder, final: Final) -> None:
    history.add("create_order", "/orders/create/u", 200, {"order_id": "p", "user_id": "u"})
    history.add("remove_order", "/orders/remove/p", 200, {"order_id": "p"})
    final.orders["p"] = {
        "user_id": "u", "items": [], "total_cost": 0, "paid": False, "status": "open"
    }  # fmt: skip


def undeclared_status(history: Recorder, final: Final) -> None:
    history.add("find_user", "/users/find/u", 500, {})


def other_reply_on_resend(history: Recorder, final: Final) -> None:
    body = {"order_id": "o", "paid": True, "total_cost": 15}
    history.add("checkout", "/orders/checkout/o", 200, body, key="k")


def charged_twice(history: Recorder, final: Final) -> None:
    body = {"order_id": "o", "paid": True, "total_cost": 14}
    history.add("checkout", "/orders/checkout/o", 200, body)


def anothers_reply(history: Recorder, final: Final) -> None:
    history.add("get_credit", "/users/credit/u", 200, {"user_id": "v", "credit": 86})


@pytest.mark.parametrize(
    ("breakage", "invariant"),
    [
        (charged_too_much, "money"),
        (stock_vanished, "stock"),
        (negative_read, "never_negative"),
        (lost_item, "final_state"),
        (back_from_removal, "final_state"),
        (undeclared_status, "final_state"),
        (other_reply_on_resend, "same_reply"),
        (charged_twice, "charged_once"),
        (anothers_reply, "no_crossed_replies"),
    ],
)
def test_a_broken_invariant_is_named(breakage: Any, invariant: str) -> None:
    history, final = a_sale()
    breakage(history, final)
    assert broken(check(history.rows, final)) == {invariant}


def test_every_invariant_has_a_breakage_of_its_own() -> None:
    mark = test_a_broken_invariant_is_named.pytestmark[0]  # type: ignore[attr-defined]
    assert {invariant for _, invariant in mark.args[1]} == set(INVARIANTS)


@pytest.mark.parametrize(("credit", "holds"), [(86, True), (106, True), (96, False), (126, False)])
def test_an_unknown_outcome_is_one_effect_or_none(credit: int, holds: bool) -> None:
    history, final = a_sale()
    history.add("add_credit", "/users/credit/add/u/20", 504, TIMEOUT)
    final.users["u"] = {"credit": credit}
    assert check(history.rows, final).holds is holds


def test_a_resend_settles_an_unknown_outcome() -> None:
    history, final = a_sale()
    history.add("add_credit", "/users/credit/add/u/20", 504, TIMEOUT, key="a")
    history.add(
        "add_credit", "/users/credit/add/u/20", 200, {"user_id": "u", "credit": 106}, key="a"
    )
    assert broken(check(history.rows, final)) == {"money"}
    final.users["u"] = {"credit": 106}
    assert check(history.rows, final).holds


def test_the_credit_of_a_removed_user_counts_as_subtracted() -> None:
    history, final = a_sale()
    final.users["u"] = None
    history.add("remove_user", "/users/remove/u", 200, {"user_id": "u", "credit": 86})
    assert check(history.rows, final).holds
    cancelled = {"order_id": "o", "paid": False, "amount": 14}
    history.add("cancel_payment", "/payment/cancelPayment/o", 200, cancelled)
    final.orders["o"] = {**(final.orders["o"] or {}), "paid": False, "status": "open"}
    final.items["i"] = {"stock": 10}
    assert check(history.rows, final).holds


def test_a_user_who_is_gone_without_a_removal() -> None:
    history, final = a_sale()
    final.users["u"] = None
    history.add("find_user", "/users/find/u", 404, NOT_FOUND)
    assert broken(check(history.rows, final)) == {"final_state"}


@given(
    st.integers(0, 1000),
    st.lists(st.tuples(st.integers(-50, 50), st.booleans()), max_size=20),
    st.integers(1, 5),
)
def test_an_account_allows_every_choice_of_its_unknown_amounts(
    fixed: int, amounts: list[tuple[int, bool]], beyond: int
) -> None:
    account = Account(fixed, [amount for amount, _ in amounts])
    assert account.allows(fixed + sum(amount for amount, happened in amounts if happened))
    assert not account.allows(account.highest() + beyond)
    assert not account.allows(account.lowest() - beyond)


def test_a_negative_read_at_the_end() -> None:
    history, final = a_sale()
    final.users["u"] = {"user_id": "u", "credit": -1}
    final.items["i"] = {"item_id": "i", "stock": -1, "price": 7}
    assert broken(check(history.rows, final)) == {"never_negative", "money", "stock"}


def test_a_key_that_two_requests_were_granted() -> None:
    history, final = a_sale()
    for amount, stock in ((2, 10), (3, 13)):
        path = f"/stock/add/i/{amount}"
        history.add("add_stock", path, 200, {"item_id": "i", "stock": stock}, key="twice")
    item = final.items["i"]
    assert item is not None
    item["stock"] += 5
    assert broken(check(history.rows, final)) == {"same_reply"}


def test_a_key_that_was_refused_to_another_request() -> None:
    history, final = a_sale()
    reused = {"error": {"code": "idempotency_key_reused", "message": "another came with it"}}
    body = {"item_id": "i", "stock": 10}
    for path, status, answer in (
        ("/stock/add/i/2", 200, body),
        ("/stock/add/i/2", 200, body),
        ("/stock/add/i/3", 409, reused),
        ("/stock/add/i/2", 200, body),
    ):
        history.add("add_stock", path, status, answer, key="k2")
    item = final.items["i"]
    assert item is not None
    item["stock"] += 2
    assert broken(check(history.rows, final)) == set()


@pytest.mark.parametrize(("status", "paid"), [("paid", True), ("open", False)])
def test_payments_and_what_was_given_back(status: str, paid: bool) -> None:
    """A payment takes no stock; one that was cancelled leaves the credit as it was."""
    history, final = a_sale()
    history.rows = [row for row in history.rows if row.operation != "checkout"]
    body = {"order_id": "o", "paid": True, "amount": 14}
    history.add("pay", "/payment/pay/o", 200, body)
    if not paid:
        back = {"order_id": "o", "paid": False, "amount": 14}
        history.add("cancel_payment", "/payment/cancelPayment/o", 200, back)
    order, user, item = final.orders["o"], final.users["u"], final.items["i"]
    assert order is not None
    assert user is not None
    assert item is not None
    order |= {"status": status, "paid": paid}
    user["credit"], item["stock"] = 86 if paid else 100, 10
    assert broken(check(history.rows, final)) == set()
    user["credit"] += 14 if paid else -14
    assert broken(check(history.rows, final)) == {"money"}


def test_a_reply_from_a_cache() -> None:
    """It is right in itself, and was another request's: each id is answered once."""
    history, final = a_sale()
    user = {"user_id": "u", "credit": 86, "orders": ["o"], "request_id": "cached"}
    for _ in range(2):
        history.add("find_user", "/users/find/u", 200, user)
    assert broken(check(history.rows, final)) == {"no_crossed_replies"}
