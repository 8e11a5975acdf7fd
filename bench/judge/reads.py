"""Each read of a history must show what it can: nothing stale, nothing from nowhere (pure).

Every answer that holds a credit, a stock, lines of an order or whether it is paid is a read of it,
as is a refusal for what was found: 404, or 409 where there was too little. Only what the history
saw created is judged: of others nobody knows what they held. A limit of a service's own is known by
what was granted only, and whether it took its time nobody can know.

Source: M. Herlihy, J. Wing, "Linearizability", 1990; K. Kingsbury, Jepsen.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from operator import ge

from bench.judge.accounts import Bounds, Movements
from bench.judge.reply_contract import (
    CHARGES,
    CREATES,
    MOVES,
    READS,
    REASONS,
    REFUND_DELAY_NS,
    REFUSED,
    UNKNOWN,
    Entity,
    Final,
    Outcome,
    is_natural,
    moved_by,
)
from bench.records.request_log import Body

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
    refusals = Refusals(book, outcomes)
    for outcome in outcomes:
        wrong = book.existence(outcome) or refusals.wrong(outcome)
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
        quantities = self.quantities_of(order_id)
        for outcome in outcomes:
            if outcome.operation in LINES:
                line = ("line", order_id, outcome.params["item_id"])
                self._move(line, LINES[outcome.operation], outcome)
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
        if not quantities.keys() <= self.created.keys():
            self.unbounded.add(("credit", user_id))
        most = self.cost_of(quantities)
        if saga.verdict == UNKNOWN:
            account.may(sign * most, saga.sent_ns)
        elif sign < 0 and saga.code not in NO_SAGA:
            self._come_and_go(account, most, saga)

    def quantities_of(self, order_id: str) -> Counter[str]:
        """`quantities_of` returns how many of each item the order had at most, at any time."""
        return Counter(
            each.params["item_id"]
            for each in self.of_order[order_id]
            if each.operation == "add_item" and each.possible
        )

    def cost_of(self, quantities: Mapping[str, int]) -> int:
        """`cost_of` returns what those of them cost that the history saw created."""
        known = quantities.keys() & self.created.keys()
        return sum(quantities[each] * self.created[each].body["price"] for each in known)

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
        """The entity, where it was found after its removal."""
        if not outcome.done or outcome.operation not in READS:
            return None
        entity_id = next((v for k, v in outcome.params.items() if k.endswith("_id")), "")
        removals = self.removals[entity_id]
        if any(gone.done and gone.done_ns < outcome.sent_ns for gone in removals):
            return entity_id, "was found after its removal"
        return None

    def was_there(self, entity_id: str, outcome: Outcome) -> bool:
        """`was_there` tells whether the entity surely was, while the request was under way."""
        created, removals = self.created.get(entity_id), self.removals[entity_id]
        return (
            created is not None
            and created.done_ns < outcome.sent_ns
            and not any(gone.sent_ns <= outcome.done_ns for gone in removals)
        )

    def bounds(self, *account: str) -> Bounds:
        return self.accounts[account].bounds()

    def wrong(self) -> Iterator[tuple[str, str]]:
        for account, movements in self.accounts.items():
            if account not in self.unbounded:
                for message in movements.wrong():
                    yield " ".join(account), message


class Refusals:
    """A refusal says what was found: it is wrong where that surely was not so, at any time while
    its request was under way."""

    def __init__(self, book: Book, outcomes: Sequence[Outcome]) -> None:
        """The book has taken all outcomes."""
        self._book = book
        self._seen = {
            size_of(each.body) for each in outcomes if each.done and each.operation in SIZED
        }
        """Orders were as large as these, so no limit is below."""
        self._bounds = cache(book.bounds)
        self._reasons: Mapping[str, Callable[[Outcome], str | None]] = {
            "not_found": self._not_found,
            "insufficient_credit": self._insufficient_credit,
            "out_of_stock": self._out_of_stock,
            "order_empty": self._order_empty,
            "already_paid": self._already_paid,
            "not_paid": self._not_paid,
            "checkout_in_progress": self._in_progress,
            "limit_reached": self._limit_reached,
        }

    def wrong(self, outcome: Outcome) -> tuple[str, str] | None:
        """`wrong` returns the entity and what is wrong; None where nothing is known to be."""
        code, operation = outcome.code or "", outcome.operation
        reason = self._reasons.get(code)
        if reason is None or outcome.verdict != REFUSED:
            return None
        entities = [value for name, value in outcome.params.items() if name.endswith("_id")]
        if operation not in REASONS.get(code, (operation,)):
            return " ".join(entities), f"{code} was answered, which is no reason to refuse it"
        if not entities or not all(self._book.was_there(each, outcome) for each in entities):
            return None
        told = reason(outcome)
        return None if told is None else (" ".join(entities), told)

    def _lowest(self, outcome: Outcome, *account: str) -> int:
        return self._bounds(*account).lowest(outcome.sent_ns, outcome.done_ns)

    def _not_found(self, outcome: Outcome) -> str | None:
        order_id = outcome.params.get("order_id", "")
        if outcome.operation == "remove_item":
            if self._lowest(outcome, "line", order_id, outcome.params["item_id"]) < 1:
                return None
        elif outcome.operation in CHARGES:
            others = (self._user_of(order_id), *self._book.quantities_of(order_id))
            if not all(self._book.was_there(each, outcome) for each in others):
                return None
        return "was not found, though it was there"

    def _insufficient_credit(self, outcome: Outcome) -> str | None:
        order_id = outcome.params.get("order_id")
        if order_id is None:
            return self._too_little(outcome, ("credit", outcome.params["user_id"]))
        quantities = self._book.quantities_of(order_id)
        account = ("credit", self._user_of(order_id))
        if account in self._book.unbounded or not quantities.keys() <= self._book.created.keys():
            return None
        # Of its own account, the book has it that a saga that failed came and went.
        cost = self._book.cost_of(quantities)
        return self._told(outcome, self._lowest(outcome, *account) + cost, cost)

    def _out_of_stock(self, outcome: Outcome) -> str | None:
        order_id = outcome.params.get("order_id")
        if order_id is None:
            return self._too_little(outcome, ("stock", outcome.params["item_id"]))
        told = [
            self._told(outcome, self._lowest(outcome, "stock", item_id) + quantity, quantity)
            if self._book.was_there(item_id, outcome)
            else None
            for item_id, quantity in self._book.quantities_of(order_id).items()
        ]
        return told[0] if told and None not in told else None

    def _too_little(self, outcome: Outcome, account: tuple[str, str]) -> str | None:
        if account in self._book.unbounded:
            return None
        return self._told(outcome, self._lowest(outcome, *account), -moved_by(outcome))

    def _told(self, outcome: Outcome, lowest: int, needed: int) -> str | None:
        if lowest < needed:
            return None
        return f"{outcome.code} was answered, when there were at least {lowest}, of {needed} needed"

    def _order_empty(self, outcome: Outcome) -> str | None:
        order_id = outcome.params["order_id"]
        items = self._book.quantities_of(order_id)
        if any(self._lowest(outcome, "line", order_id, each) > 0 for each in items):
            return "order_empty was answered, when it had items"
        return None

    def _already_paid(self, outcome: Outcome) -> str | None:
        bounds = self._bounds("paid", outcome.params["order_id"])
        if bounds.highest(outcome.sent_ns, outcome.done_ns) > 0:
            return None
        return "already_paid was answered, when nothing can have paid it"

    def _not_paid(self, outcome: Outcome) -> str | None:
        is_paid = self._lowest(outcome, "paid", outcome.params["order_id"]) > 0
        return "not_paid was answered, when it was paid" if is_paid else None

    def _in_progress(self, outcome: Outcome) -> str | None:
        for other in self._book.of_order[outcome.params["order_id"]]:
            if (
                other is not outcome
                and other.operation in SAGAS
                and (other.possible or other.code not in NO_SAGA)
                and other.sent_ns <= outcome.done_ns
                and (other.done_ns >= outcome.sent_ns or other.verdict == UNKNOWN)
            ):
                return None
        return "checkout_in_progress was answered, when nothing was under way"

    def _limit_reached(self, outcome: Outcome) -> str | None:
        if outcome.operation != "add_item":
            return None
        order_id = outcome.params["order_id"]
        held = Counter(
            {
                each: self._bounds("line", order_id, each).highest(outcome.sent_ns, outcome.done_ns)
                for each in self._book.quantities_of(order_id)
            }
        )
        is_empty = not held.total()
        held[outcome.params["item_id"]] += 1
        if not held.keys() <= self._book.created.keys():
            return None
        most = sum(n > 0 for n in held.values()), held.total(), self._book.cost_of(held)
        if any(all(map(ge, size, most)) for size in self._seen):
            return "limit_reached was answered, and others had as many items, and as dear ones"
        if is_empty and not self._seen:
            return "limit_reached was answered, when it had no item, nor had any other"
        return None

    def _user_of(self, order_id: str) -> str:
        return str(self._book.created[order_id].body["user_id"])


def size_of(order: Body) -> tuple[int, int, int]:
    """`size_of` returns how many lines an order has, how many units, and what it costs."""
    items = order["items"]
    return len(items), sum(line["quantity"] for line in items), order["total_cost"]


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


SIZED = frozenset({"find_order", "add_item", "remove_item"})
"""The answers of these operations tell how large an order is."""
LINES = {"add_item": 1, "remove_item": -1}
SAGAS = frozenset({*CHARGES, "cancel_payment"})
