"""Each read of a history must show what it can: nothing stale, nothing from nowhere (pure).

Every answer that holds a credit, a stock, lines of an order or whether it is paid is a read of it,
as is a 404. Only what the history saw created is judged: of others nobody knows what they held.

Source: M. Herlihy, J. Wing, "Linearizability", 1990; K. Kingsbury, Jepsen.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from bench.judge.accounts import Movements
from bench.judge.reply_contract import (
    CHARGES,
    CREATES,
    MOVES,
    READS,
    REFUND_DELAY_NS,
    UNKNOWN,
    Entity,
    Final,
    Outcome,
    is_natural,
    moved_by,
)

NO_SAGA = frozenset({"order_empty", "already_paid", "checkout_in_progress", "overloaded"})
"""Codes of checkouts and payments that began nothing: no credit and no stock moved for a while."""
REMOVES = {"remove_user": "user_id", "remove_order": "order_id"}
HOLDS = {"user_id": "credit", "item_id": "stock"}
"""An answer about this kind of entity tells this."""


def wrong_reads(
    outcomes: Sequence[Outcome], orders: Mapping[str, Entity]
) -> Iterator[tuple[str, str]]:
    """Entity and what is wrong; `orders` are those of the final reads."""
    book = Book(outcomes)
    for order_id, of_order in book.of_order.items():
        book.take_order(order_id, of_order, orders.get(order_id))
    for outcome in outcomes:
        book.take(outcome)
        wrong = book.existence(outcome)
        if wrong is not None:
            yield f"{outcome.operation} {wrong[0]}", wrong[1]
    yield from book.wrong()


def wrong_prices(outcomes: Sequence[Outcome], final: Final) -> Iterator[tuple[str, str]]:
    """`wrong_prices` yields entity and what is wrong: an item costs what it was created with,
    wherever it is told; no request changes that."""
    created = {
        each.body["item_id"]: each.body["price"]
        for each in outcomes
        if each.operation == "create_item" and each.done
    }
    told = [(each.operation, each.body) for each in outcomes if each.done]
    told += [("the order after the run", order) for order in final.orders.values() if order]
    told += [("the item after the run", item) for item in final.items.values() if item]
    for where, body in told:
        for line in (body, *body.get("items", ())):
            price = created.get(line.get("item_id", ""))
            if price is not None and line.get("price", price) != price:
                yield f"item {line['item_id']}", f"costs {line['price']} in {where}, not {price}"


class Book:
    """The book has what moved in each account, and what was read of it."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        self.created: dict[str, Outcome] = {}
        self.removals: dict[str, list[Outcome]] = defaultdict(list)
        self.of_order: dict[str, list[Outcome]] = defaultdict(list)
        self.accounts: dict[tuple[str, ...], Movements] = defaultdict(Movements)
        """("credit", user), ("stock", item), ("paid", order) or ("line", order, item)."""
        self.unbounded: set[tuple[str, ...]] = set()
        """Accounts of which the history knows too little."""
        for outcome in outcomes:
            if outcome.operation in CREATES and outcome.done:
                self.created[outcome.body[CREATES[outcome.operation]]] = outcome
            elif outcome.operation in REMOVES and outcome.possible:
                self.removals[outcome.params[REMOVES[outcome.operation]]].append(outcome)
            if "order_id" in outcome.params and outcome.operation not in READS:
                self.of_order[outcome.params["order_id"]].append(outcome)

    def take(self, outcome: Outcome) -> None:
        operation, body = outcome.operation, outcome.body
        if operation == "create_item" and outcome.done:
            self._move(("stock", body["item_id"]), body["stock"], outcome)
        if operation in MOVES:
            kind = "user_id" if "user_id" in outcome.params else "item_id"
            self._move((HOLDS[kind], outcome.params[kind]), moved_by(outcome), outcome)
        if not outcome.done or operation in CREATES:
            return
        for kind, name in HOLDS.items():
            if name in body and kind in outcome.params:
                account = (name, outcome.params[kind])
                self._read(account, outcome, body[name], moved_by(outcome))
        order_id = outcome.params.get("order_id")
        if order_id is None:
            return
        if operation in READS and "paid" in body:
            self._read(("paid", order_id), outcome, int(body["paid"] is True), 0)
        if "items" in body:
            held: Counter[str] = Counter()
            for line in body["items"]:
                held[line["item_id"]] += line["quantity"]
            for item_id in held.keys() | self._items_of(order_id):
                own = LINES.get(operation, 0) if outcome.params.get("item_id") == item_id else 0
                self._read(("line", order_id, item_id), outcome, held[item_id], own)

    def _items_of(self, order_id: str) -> set[str]:
        outcomes = self.of_order[order_id]
        return {each.params["item_id"] for each in outcomes if each.operation in LINES}

    def take_order(self, order_id: str, outcomes: Sequence[Outcome], final: Entity) -> None:
        created = self.created.get(order_id)
        user_id = created.body["user_id"] if created else (final or {}).get("user_id", "")
        quantities: Counter[str] = Counter()
        for outcome in outcomes:
            if outcome.operation in LINES:
                line = ("line", order_id, outcome.params["item_id"])
                self._move(line, LINES[outcome.operation], outcome)
                if outcome.operation == "add_item" and outcome.possible:
                    quantities[outcome.params["item_id"]] += 1
        sagas = [each for each in outcomes if each.operation in SAGAS]
        taken = quantities_taken(outcomes)
        for saga in sagas:
            sign = 1 if saga.operation == "cancel_payment" else -1
            self._move(("paid", order_id), -sign, saga)
            self._money(user_id, saga, sign, quantities)
            if saga.operation == "pay":
                continue
            if taken is not None and saga.done:
                for item_id, quantity in taken[id(saga)].items():
                    self._move(("stock", item_id), sign * quantity, saga)
                continue
            for item_id, quantity in quantities.items():
                item = self.accounts["stock", item_id]
                if saga.possible:
                    item.may(sign * quantity, saga.sent_ns)
                elif sign < 0 and saga.code not in NO_SAGA:
                    self._come_and_go(item, quantity, saga)

    def _money(self, user_id: str, saga: Outcome, sign: int, quantities: Mapping[str, int]) -> None:
        account = self.accounts["credit", user_id]
        if saga.done:
            amount = saga.body["total_cost" if saga.operation == "checkout" else "amount"]
            self._move(("credit", user_id), sign * amount, saga)
            return
        known = [item_id for item_id in quantities if item_id in self.created]
        if len(known) < len(quantities):
            self.unbounded.add(("credit", user_id))
        most = sum(quantities[each] * self.created[each].body["price"] for each in known)
        if saga.verdict == UNKNOWN:
            account.may(sign * most, saga.sent_ns)
        elif sign < 0 and saga.code not in NO_SAGA:
            self._come_and_go(account, most, saga)

    def _come_and_go(self, account: Movements, amount: int, saga: Outcome) -> None:
        """A saga that failed may have taken so much until it was undone."""
        account.may(-amount, saga.sent_ns)
        account.did(amount, saga.done_ns + REFUND_DELAY_NS)

    def _move(self, account: tuple[str, ...], amount: int, outcome: Outcome) -> None:
        if outcome.possible:
            self.accounts[account].may(amount, outcome.sent_ns)
        if outcome.done:
            self.accounts[account].did(amount, outcome.done_ns)

    def _read(self, account: tuple[str, ...], outcome: Outcome, value: int, own: int) -> None:
        if account[1] in self.created and is_natural(value):  # what is not is told elsewhere
            self.accounts[account].reads.append((outcome.sent_ns, outcome.done_ns, value, own))

    def existence(self, outcome: Outcome) -> tuple[str, str] | None:
        """The entity, where it was found after its removal, or not found though it was there."""
        operation = outcome.operation
        if operation not in READS and operation not in MOVES:
            return None
        entity_id = next((v for k, v in outcome.params.items() if k.endswith("_id")), "")
        created, removals = self.created.get(entity_id), self.removals[entity_id]
        if outcome.done and operation in READS:
            if any(gone.done and gone.done_ns < outcome.sent_ns for gone in removals):
                return entity_id, "was found after its removal"
        elif (
            outcome.code == "not_found"
            and created is not None
            and created.done_ns < outcome.sent_ns
            and not any(gone.sent_ns <= outcome.done_ns for gone in removals)
        ):
            return entity_id, "was not found, though it was there"
        return None

    def wrong(self) -> Iterator[tuple[str, str]]:
        for account, movements in self.accounts.items():
            if account not in self.unbounded:
                for message in movements.wrong():
                    yield " ".join(account), message


def quantities_taken(outcomes: Sequence[Outcome]) -> dict[int, Counter[str]] | None:
    """`quantities_taken` returns what each checkout of an order took of its items, and each
    cancellation gave back, by the `id` of its outcome.

    None unless all that happened to it is known, one after the other.
    """
    changes = [each for each in outcomes if each.operation in SAGAS or each.operation in LINES]
    happened = sorted((each for each in changes if each.possible), key=lambda each: each.sent_ns)
    for one, other in pairwise(happened):
        if one.done_ns >= other.sent_ns:
            return None
    held: Counter[str] = Counter()
    last: Counter[str] = Counter()
    taken = {}
    for each in happened:
        if not each.done:
            return None
        if each.operation in LINES:
            held[each.params["item_id"]] += LINES[each.operation]
        elif each.operation in CHARGES:
            last = held.copy() if each.operation == "checkout" else Counter()
        if each.operation in SAGAS:
            taken[id(each)] = last
    return taken


LINES = {"add_item": 1, "remove_item": -1}
SAGAS = frozenset({*CHARGES, "cancel_payment"})
