"""The invariants of the contract are judged from a recorded history and the reads after it.

Pure, after the manner of Jepsen: nothing is asked of the system here. A request whose outcome is
unknown (504, broken connection) counts as done once or not at all, whichever fits.

Source: shared contract, "What always holds"; K. Kingsbury, Jepsen.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable

from bench.judge.accounts import Account
from bench.judge.reads import wrong_prices, wrong_reads
from bench.judge.reply_contract import (
    CHARGES,
    DONE,
    EXPIRED,
    INVARIANTS,
    MOVES,
    READS,
    REFUND_DELAY_NS,
    REFUSED,
    REUSED,
    UNKNOWN,
    Entity,
    Final,
    Outcome,
    Report,
    Violation,
    faults,
    moved_by,
    outcome_of,
    verdict_of,
)
from bench.records.request_log import Body, Row
from bench.stats.window import is_answered

VIOLATIONS_MAX = 100
"""Each invariant keeps at most this many violations; all are counted."""


def check(history: Iterable[Row], final: Final) -> Report:
    """`check` iterates `history` twice."""
    judge = Judge(final)
    resent = {row.key for row in history if row.key}
    keyed: dict[str, list[Row]] = defaultdict(list)
    groups: dict[tuple[str, str, str], list[Row]] = defaultdict(list)
    answered: set[str] = set()
    for row in history:
        own_id = None if row.key else row.request_id
        if own_id is not None:
            if own_id in answered:
                message = f"the answer to {own_id} came to another request as well"
                judge.fault("no_crossed_replies", f"{row.operation} {row.path}", message)
            answered.add(own_id)
        if row.request_id in resent:
            keyed[row.request_id or ""].append(row)
        for invariant, message in faults(row):
            judge.fault(invariant, f"{row.operation} {row.path}", message)
        if row.request_id in resent and row.operation not in READS:
            groups[row.request_id or "", row.operation, row.path].append(row)
        elif row.operation != "index":
            judge.take(outcome_of(row))
    for request_id, rows in keyed.items():
        for row in rows:
            if row.code == REUSED and _is_own(row, rows):
                judge.fault("same_reply", request_id, "its own request was refused as another one")
    granted: Counter[str] = Counter()
    for (request_id, _, _), rows in groups.items():
        outcome = judge.merge(request_id, rows)
        granted[request_id] += outcome.done
        judge.take(outcome)
    for request_id, requests in granted.items():
        if requests > 1:
            judge.fault("same_reply", request_id, f"{requests} different requests were granted")
    return judge.conclude()


class Judge:
    def __init__(self, final: Final) -> None:
        self.final = final
        self.outcomes = 0
        self.counts: Counter[str] = Counter()
        self.violations: list[Violation] = []
        self.of_order: dict[str, list[Outcome]] = defaultdict(list)
        self.of_user: dict[str, Account] = {}
        self.of_item: dict[str, Account] = {}
        self.removals: dict[str, list[Outcome]] = defaultdict(list)
        self.taken: list[Outcome] = []

    def fault(self, invariant: str, entity: str, message: str) -> None:
        self.counts[invariant] += 1
        if self.counts[invariant] <= VIOLATIONS_MAX:
            self.violations.append(Violation(invariant, entity, message))

    def merge(self, request_id: str, rows: list[Row]) -> Outcome:
        """`merge` makes one request of its several rows: the effect is that of its one definite
        reply."""
        verdicts = {verdict_of(row.status) for row in rows}
        replies = [row for row in rows if is_answered(row)]
        replies = [row for row in replies if row.code not in (EXPIRED, REUSED)]  # tell nothing
        for row in replies[1:]:
            if (row.status, row.body) != (replies[0].status, replies[0].body):
                self.fault("same_reply", request_id, f"{replies[0].body} and then {row.body}")
        refused_ns = [row.done_ns for row in rows if row.code == EXPIRED]
        for row in replies:
            if row.status == 200 and any(done_ns < row.sent_ns for done_ns in refused_ns):
                self.fault("same_reply", request_id, f"refused as too old, and then {row.body}")
        if replies:
            outcome = outcome_of(replies[0])
        else:
            # One that was refused as too old may have begun, and been undone.
            told = next((row for row in rows if row.code == EXPIRED), rows[0])
            outcome = outcome_of(told)._replace(verdict=UNKNOWN if UNKNOWN in verdicts else REFUSED)
        sent_ns = min(row.sent_ns for row in rows)
        return outcome._replace(sent_ns=sent_ns, done_ns=max(row.done_ns for row in rows))

    def take(self, outcome: Outcome) -> None:
        """`take` folds one request into the accounts of the entities that it touched."""
        self.outcomes += 1
        self.taken.append(outcome)
        params, operation = outcome.params, outcome.operation
        if operation == "create_user" and outcome.done:
            self._new(self.of_user, "user", outcome.body["user_id"], 0)
        elif operation == "create_item" and outcome.done:
            self._new(self.of_item, "item", outcome.body["item_id"], outcome.body["stock"])
        elif operation == "create_order" and outcome.done:
            self.of_order[outcome.body["order_id"]].append(outcome)
        elif operation in MOVES and "user_id" in params:
            self._move(self.of_user, params["user_id"], outcome, moved_by(outcome))
        elif operation in MOVES:
            self._move(self.of_item, params["item_id"], outcome, moved_by(outcome))
        elif operation == "remove_user" and outcome.possible:
            self.removals[params["user_id"]].append(outcome)
        elif operation in ORDER_OPERATIONS:
            self.of_order[params["order_id"]].append(outcome)

    def _new(self, accounts: dict[str, Account], kind: str, entity_id: str, amount: int) -> None:
        account = accounts.setdefault(entity_id, Account())
        account.fixed += amount
        read = self.final.users if kind == "user" else self.final.items
        if entity_id not in read:
            self.fault("final_state", f"{kind} {entity_id}", "was not read after the run")

    def _move(
        self, accounts: dict[str, Account], entity_id: str, outcome: Outcome, amount: int
    ) -> None:
        account = accounts.setdefault(entity_id, Account())
        if outcome.done:
            account.fixed += amount
        elif outcome.possible:
            account.either.append(amount)

    def conclude(self) -> Report:
        charged: Counter[str] = Counter()
        sold: Counter[str] = Counter()
        orders_of: dict[str, list[str]] = defaultdict(list)
        for order_id, outcomes in self.of_order.items():
            order = self.final.orders.get(order_id)
            self._order(order_id, order, outcomes)
            for outcome in outcomes:
                if outcome.operation == "create_order":
                    orders_of[outcome.body["user_id"]].append(order_id)
            if order and order["paid"]:
                charged[order["user_id"]] += order["total_cost"]
            if order and order["status"] == "completed":
                for line in order["items"]:
                    sold[line["item_id"]] += line["quantity"]
        for entity, message in wrong_reads(self.taken, self.final.orders):
            self.fault("final_state", entity, message)
        for entity, message in wrong_prices(self.taken, self.final):
            self.fault("money", entity, message)
        for user_id, account in self.of_user.items():
            self._user(user_id, account, charged[user_id], orders_of[user_id])
        for item_id, account in self.of_item.items():
            self._item(item_id, account, sold[item_id])
        return Report(
            counts={name: self.counts[name] for name in INVARIANTS},
            violations=self.violations,
            outcomes=self.outcomes,
            totals={
                "credit": sum(user["credit"] for user in self.final.users.values() if user),
                "charged": charged.total(),
                "stock": sum(item["stock"] for item in self.final.items.values() if item),
                "sold": sold.total(),
            },
        )

    def _item(self, item_id: str, account: Account, sold: int) -> None:
        item = self.final.items.get(item_id)
        if item is None:
            self.fault("final_state", f"item {item_id}", "is gone")
            return
        if item["stock"] < 0:
            self.fault("never_negative", f"item {item_id}", f"stock is {item['stock']}")
        if not account.allows(item["stock"] + sold):
            found = f"{item['stock']} in stock and {sold} sold, but {account} came in"
            self.fault("stock", f"item {item_id}", found)

    def _user(self, user_id: str, account: Account, charged: int, order_ids: list[str]) -> None:
        user, removals = self.final.users.get(user_id), self.removals[user_id]
        name = f"user {user_id}"
        removed = [removal for removal in removals if removal.done]
        if len(removed) > 1:
            self.fault("same_reply", name, "was removed twice")
        if user is not None:
            if user["credit"] < 0:
                self.fault("never_negative", name, f"credit is {user['credit']}")
            if removed:
                self.fault("final_state", name, "is still there after its removal")
            if not account.allows(user["credit"] + charged):
                found = f"credit {user['credit']} and {charged} charged, but {account} came in"
                self.fault("money", name, found)
        elif not removals:
            self.fault("final_state", name, "is gone, though nobody removed it")
        elif not removed:  # nobody was told how much credit went with it
            if charged > account.highest():
                self.fault("money", name, f"{charged} charged, but {account} came in")
        else:
            account.fixed -= removed[0].body["credit"]
            for order_id in order_ids:
                self._refunds_kept(account, order_id, removed[0])
            if not account.allows(charged):
                found = f"removed with {removed[0].body['credit']}, {charged} charged"
                self.fault("money", name, f"{found}, but {account} is left of what came in")

    def _refunds_kept(self, account: Account, order_id: str, removal: Outcome) -> None:
        """A refund that came after its user's removal is kept with it, where no read can see it."""
        outcomes = self.of_order[order_id]
        for outcome in outcomes:
            late = outcome.sent_ns > removal.done_ns
            is_over = outcome.done_ns + REFUND_DELAY_NS < removal.sent_ns
            if outcome.verdict != UNKNOWN and is_over:
                continue
            if outcome.operation == "cancel_payment" and outcome.done:
                amount = outcome.body["amount"]
                if late:
                    account.fixed -= amount
                elif outcome.done_ns > removal.sent_ns:
                    account.either.append(-amount)
            elif not outcome.done and _may_refund(outcome, late=late):
                total_max = self._total_max(order_id)
                account.fixed -= total_max
                account.slack += total_max

    def _total_max(self, order_id: str) -> int:
        """What the order can have cost at most, at any time."""
        totals, added = [0], 0
        for outcome in self.of_order[order_id]:
            if outcome.done:
                totals += [outcome.body.get("total_cost", 0), outcome.body.get("amount", 0)]
            if outcome.operation == "add_item" and outcome.possible:
                item = self.final.items.get(outcome.params["item_id"])
                added += item["price"] if item and "price" in item else 0
        order = self.final.orders.get(order_id)
        return max(*totals, added, order["total_cost"] if order else 0)

    def _order(self, order_id: str, order: Entity, outcomes: list[Outcome]) -> None:
        name = f"order {order_id}"
        counted = Counter((outcome.operation, outcome.verdict) for outcome in outcomes)
        if order is None:
            removals = counted["remove_order", DONE] + counted["remove_order", UNKNOWN]
            created = counted["create_order", DONE] > 0
            if created and not removals:
                self.fault("final_state", name, "is gone, though nobody removed it")
            return
        if counted["remove_order", DONE]:
            self.fault("final_state", name, "is still there after its removal")
        if order["status"] == "checkout_in_progress":
            self.fault("charged_once", name, "its checkout has not ended")
        if order["paid"] != (order["status"] in ("paid", "completed")):
            self.fault("final_state", name, f"paid {order['paid']}, status {order['status']}")
        charging = {each.operation for each in outcomes if each.possible} & CHARGES
        if order["paid"] and len(charging) == 1 and order["status"] != PAID_BY[charging.pop()]:
            found = f"is {order['status']}: what only a checkout takes is not what only pay does"
            self.fault("final_state", name, found)
        charges = counted["checkout", DONE] + counted["pay", DONE] - counted["cancel_payment", DONE]
        lowest = charges - counted["cancel_payment", UNKNOWN]
        highest = charges + counted["checkout", UNKNOWN] + counted["pay", UNKNOWN]
        if lowest > 1:
            self.fault("charged_once", name, f"was charged {charges} times")
        elif not lowest <= int(order["paid"]) <= highest:
            found = f"is {order['status']} after {charges} charges"
            self.fault("final_state", name, found)
        self._order_items(name, order, outcomes)

    def _order_items(self, name: str, order: Body, outcomes: list[Outcome]) -> None:
        quantities: dict[str, Account] = defaultdict(Account)
        for outcome in outcomes:
            if outcome.operation in ("add_item", "remove_item"):
                amount = 1 if outcome.operation == "add_item" else -1
                self._move(quantities, outcome.params["item_id"], outcome, amount)
        held: Counter[str] = Counter()
        for line in order["items"]:
            held[line["item_id"]] += line["quantity"]
        for item_id in held.keys() | quantities.keys():
            if not quantities[item_id].allows(held[item_id]):
                found = f"holds {held[item_id]} of item {item_id}, not {quantities[item_id]}"
                self.fault("final_state", name, found)


PAID_BY = {"checkout": "completed", "pay": "paid"}
"""An order that one of these charged has this status: a checkout takes its items, too."""
ORDER_OPERATIONS = frozenset(
    {"add_item", "remove_item", "remove_order", "checkout", "pay", "cancel_payment"}
)


def _is_own(row: Row, rows: Iterable[Row]) -> bool:
    """Whether the id of these rows is this request's: the gateway made it for that, or no other
    request was sent with it until the answer came."""
    others = False
    for each in rows:
        if (each.operation, each.path) != (row.operation, row.path):
            others = others or each.sent_ns <= row.done_ns
        elif each.key is None:
            return True
    return not others


def _may_refund(outcome: Outcome, *, late: bool) -> bool:
    """A cancellation that nobody knows of; or a checkout or payment that failed, perhaps after the
    charge, which then came back. Once the user is gone, there is no charge any more."""
    if outcome.operation == "cancel_payment":
        return outcome.verdict == UNKNOWN
    failed_late = outcome.code in ("out_of_stock", "unavailable", "not_found", "checkout_expired")
    charges = outcome.operation in CHARGES and not late
    return charges and (outcome.verdict == UNKNOWN or failed_late)
