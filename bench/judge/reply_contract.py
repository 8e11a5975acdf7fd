"""The contract as a judge sees it has invariants, and says what a single reply must be."""

from collections.abc import Iterable
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from bench.records.request_log import Body, Row
from system.routes import ROUTES, Route
from system.wire import HTTP_STATUS

ROUTE_OF = {route.method: route for route in ROUTES}
_PLACES = {
    route.method: tuple(
        (place, segment[1:-1])
        for place, segment in enumerate(route.path.split("/"))
        if segment.startswith("{")
    )
    for route in ROUTES
}

INVARIANTS = {
    "money": "credit and totals of paid orders are what was added less what was subtracted",
    "stock": "stock and quantities of completed orders are what was added less what was taken",
    "never_negative": "no credit and no stock is ever negative, at any read",
    "final_state": "a 200 is in the final state, a 4xx or 503 left no effect, else one or none",
    "same_reply": "one request_id has one effect, and each resend gets the identical reply",
    "charged_once": "an order is charged at most once, and no checkout stays open",
    "no_crossed_replies": "no reply reaches another request",
}
"""The system promises each invariant of the contract; here is what each says."""

READS = frozenset({"find_user", "get_credit", "find_order", "get_availability", "get_status"})
"""They have no effect and are not remembered: sent again, they read again."""
MOVES = {"add_credit": 1, "subtract_credit": -1, "add_stock": 1, "subtract_stock": -1}
"""Each of these operations has the sign of its amount."""
CREATES = {"create_user": "user_id", "create_item": "item_id", "create_order": "order_id"}
CHARGES = frozenset({"checkout", "pay"})
EXPIRED = "idempotency_key_expired"
"""A request that was refused with this code stays refused."""
REUSED = "idempotency_key_reused"
"""A key with which another request came first is refused with this code."""
_CHANGES = frozenset({"add_item", "remove_item", "remove_order", *CHARGES})
REASONS: dict[str, frozenset[str]] = {
    "insufficient_credit": frozenset({"subtract_credit", *CHARGES}),
    "out_of_stock": frozenset({"subtract_stock", "checkout"}),
    "order_empty": CHARGES,
    "already_paid": _CHANGES,
    "not_paid": frozenset({"cancel_payment"}),
    "checkout_in_progress": _CHANGES | {"cancel_payment"},
    "limit_reached": frozenset({*CREATES, "add_item", "add_credit", "add_stock"}),
}
"""A code leads to the operations that it may refuse."""
REFUND_DELAY_NS = 10_000_000_000
"""A refund may reach a user so long after the reply that told of the failed checkout."""

FIELDS = {
    "create_user": "user_id",
    "find_user": "user_id credit",
    "remove_user": "user_id credit",
    "get_credit": "user_id credit",
    "add_credit": "user_id credit",
    "subtract_credit": "user_id credit",
    "create_order": "order_id user_id",
    "find_order": "order_id user_id items total_cost paid status",
    "remove_order": "order_id",
    "add_item": "order_id items total_cost",
    "remove_item": "order_id items total_cost",
    "checkout": "order_id paid total_cost",
    "pay": "order_id paid amount",
    "cancel_payment": "order_id paid amount",
    "get_status": "order_id paid",
    "create_item": "item_id stock price",
    "get_availability": "item_id stock price",
    "add_stock": "item_id stock",
    "subtract_stock": "item_id stock",
}
"""A reply with 200 has these fields, of what follows from them."""
_KINDS: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("user_id", "order_id", "item_id", "status"), (str,)),
    **dict.fromkeys(("credit", "stock", "price", "total_cost", "amount", "quantity"), (int,)),
    "paid": (bool,),
    "items": (list,),
}
_LINE = ("item_id", "price", "quantity")

Entity = Body | None
"""An entity is the body of the last read; None where that was 404."""


class Final(NamedTuple):
    """These were read after the run, by id."""

    users: dict[str, Entity]
    orders: dict[str, Entity]
    items: dict[str, Entity]


class Violation(NamedTuple):
    invariant: str
    entity: str
    message: str


RESENT = ("resent_known", "resent_expired", "resent_unknown")
"""A report's totals tell by these names what became of writes that were sent again: see
`bench.judge.resends`."""


class Report(NamedTuple):
    counts: dict[str, int]
    """Violations of each invariant; all are listed, with 0 where it holds."""
    violations: list[Violation]
    outcomes: int
    """Requests that were judged, resends not counted."""
    totals: dict[str, int]
    """The sums are of money and stock, and of what was `RESENT`."""

    @property
    def holds(self) -> bool:
        return not any(self.counts.values())


DONE, REFUSED, UNKNOWN = "done", "refused", "unknown"


class Outcome(NamedTuple):
    """The outcome is what became of one request, however often it was sent."""

    operation: str
    params: dict[str, str]
    verdict: str
    body: Body
    code: str | None
    sent_ns: int
    done_ns: int

    @property
    def done(self) -> bool:
        return self.verdict == DONE

    @property
    def possible(self) -> bool:
        return self.verdict != REFUSED


def params_of(operation: str, path: str) -> dict[str, str]:
    """`params_of` returns the parameters in a path and its query, by name."""
    address = urlsplit(path)
    segments = address.path.split("/")
    params = {name: segments[place] for place, name in _PLACES.get(operation, ())}
    return {**params, **dict(parse_qsl(address.query))} if address.query else params


def verdict_of(status: int) -> str:
    if status == 200:
        return DONE
    return REFUSED if status == 503 or 400 <= status < 500 else UNKNOWN


def outcome_of(row: Row) -> Outcome:
    """`outcome_of` returns what became of the request of a row. What it did is unknown where its
    reply is none that the contract knows."""
    is_known = row.status != 200 or malformed(row.operation, row.body) is None
    return Outcome(
        row.operation,
        params_of(row.operation, row.path),
        verdict_of(row.status) if is_known else UNKNOWN,
        row.body if is_known else {},
        row.code,
        row.sent_ns,
        row.done_ns,
    )


def moved_by(outcome: Outcome) -> int:
    """`moved_by` returns what a request was to move, of credit or stock."""
    return MOVES.get(outcome.operation, 0) * int(outcome.params.get("amount", 0))


def faults(row: Row) -> list[tuple[str, str]]:
    """`faults` returns (invariant, what is wrong) for what a reply shows by itself."""
    if row.status == 0:
        return []
    if row.status != 200:
        expected = HTTP_STATUS.get(row.code or "")
        if expected == row.status:
            return []
        return [("final_state", f"status {row.status} with the error code {row.code}")]
    body, found = row.body, []
    if (wrong := malformed(row.operation, body)) is not None:
        return [("final_state", wrong)]
    route = ROUTE_OF.get(row.operation)
    if route is not None:
        found += _misrouted(row, route)
    if row.operation == "create_item":
        asked = params_of(row.operation, row.path)
        found += [
            ("final_state", f"asked for the {name} {asked[name]}, got {body[name]}")
            for name in ("price", "stock")
            if asked.get(name, str(body[name])) != str(body[name])
        ]
    for name in ("credit", "stock", "total_cost", "amount"):
        if name in body and not is_natural(body[name]):
            found.append(("never_negative", f"{name} is {body[name]!r}"))
    if "items" in body and "total_cost" in body:
        total = sum(line["price"] * line["quantity"] for line in body["items"])
        if total != body["total_cost"]:
            found.append(("money", f"total_cost {body['total_cost']}, its items cost {total}"))
    return found


def malformed(operation: str, body: Body) -> str | None:
    """`malformed` says what a reply with 200 lacks, or has in another form; None where it is as the
    contract has it."""
    wrong = _wrong_field(body, FIELDS.get(operation, "").split())
    if wrong is None and "items" in body and operation in FIELDS:
        wrong = next(filter(None, (_wrong_field(line, _LINE) for line in body["items"])), None)
    return None if wrong is None else f"the reply to {operation} {wrong}"


def _wrong_field(fields: Any, names: Iterable[str]) -> str | None:
    if not isinstance(fields, dict):
        return f"has a line of items that is {fields!r}"
    for name in names:
        value = fields.get(name)
        if not isinstance(value, _KINDS[name]) or (isinstance(value, bool) != (name == "paid")):
            return f"names no {name}" if name not in fields else f"has the {name} {value!r}"
    return None


def is_natural(number: Any) -> bool:
    return isinstance(number, int) and not isinstance(number, bool) and number >= 0


def _misrouted(row: Row, route: Route) -> list[tuple[str, str]]:
    for name, value in params_of(row.operation, row.path).items():
        if name.endswith("_id") and row.body.get(name, value) != value:
            return [("no_crossed_replies", f"asked for {name} {value}, got {row.body[name]}")]
    if row.key and row.body.get("request_id") not in (None, row.key):
        return [("no_crossed_replies", f"sent {row.key}, got {row.body['request_id']}")]
    return []
