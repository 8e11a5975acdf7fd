"""The shop's journeys say which requests a customer sends, and what the answers must say.

A journey is a generator that yields a `Call` and is sent the `Reply`; whoever drives it does the
sending. So Locust, an event loop and a unit test can all play the same journey. An answer that is
not as it must be raises `WrongAnswerError`.
"""

from collections import Counter, deque
from collections.abc import Generator
from copy import copy
from itertools import accumulate, count
from random import Random
from uuid import uuid4

from bench.records.request_log import error_code, text_in
from bench.records.samples import CONNECTION, UNEXPECTED
from bench.workload.journey import Call, Journey, Reply, Step, WrongAnswerError
from system.wire import ID_PATTERN

NO_CODE = "no error code"
"""An error whose body does not say which has this in place of its code."""
POOL_MAX = 1024
"""One generator keeps so many entities of each kind in play; the oldest is forgotten first."""
ORDERS_KEPT_MAX = 512
"""One generator keeps at most so many orders from being checked out, however many were prepared: a
full pool forgets."""
CREDIT = 100_000
STOCK = 100_000
PRICE_MAX = 10
"""An item's price is at most this; prices are from 1."""
SCARCE_SHARE = 0.02
"""This share of users has little credit and of items little stock, so that checkouts fail too."""
SCARCE = 5
SENT_MAX = 8
"""A generator may send so many keyed requests again: enough that some are under way, and few enough
that each comes again while the services still remember it, as a generator lives for one phase."""
PREPARED = 4
"""Each simulated customer creates so many users, items and orders before it starts."""


class Order:
    """The order is in play, with the items that are known to be in it."""

    __slots__ = ("items", "order_id")

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        self.items: list[str] = []


REMOVED = frozenset({"not_found"})
SOLD_OUT = frozenset({"out_of_stock"})
SETTLED = frozenset({"already_paid", "checkout_in_progress", "not_found", "limit_reached"})
UNPAID = frozenset({"already_paid", "checkout_in_progress", "insufficient_credit", "not_found",
                    "order_empty", "out_of_stock"})  # fmt: skip
UNCHARGED = frozenset({"not_paid", "checkout_in_progress", "not_found"})
REUSED = frozenset({"idempotency_key_reused"})


class Shop:
    """The entities in play are shared by all customers of one generator: the contention is theirs.

    A checkout takes its order out of play before it is sent, so that only the requests already
    under way can meet it. As many orders stay in play as were prepared: of a few, most requests
    would meet one that is being checked out, and how many do would depend on how fast the system
    is.
    """

    def __init__(self, random: Random, pool_max: int = POOL_MAX) -> None:
        self.random = random
        self.users: deque[str] = deque(maxlen=pool_max)
        self.items: deque[str] = deque(maxlen=pool_max)
        self.orders: deque[Order] = deque(maxlen=pool_max)
        self.sent: deque[Call] = deque(maxlen=SENT_MAX)
        """These calls with a key, under way or answered, are to be sent again."""
        self._prepared: Counter[str] = Counter()
        """All who draw from this shop share the count."""
        self._keys = (f"{series}-{number}" for series in (uuid4().hex[:16],) for number in count())
        """The keys are of no other load, whatever its seed: a key belongs to one request for
        ever."""

    def drawing(self, random: Random) -> "Shop":
        """`drawing` returns the same shop, whose choices are drawn from other random numbers."""
        found = copy(self)
        found.random = random
        return found

    def prepare(self) -> Journey:
        for _ in range(PREPARED):
            yield from self.create_user()
            yield from self.create_item()
        self._prepared["orders"] += PREPARED
        for _ in range(PREPARED):
            yield from self.create_order()
            yield from self.add_item()

    def index(self) -> Journey:
        reply = yield Call("index", "GET", "/")
        if reply.ok and "version" not in reply.body:
            raise WrongAnswerError("GET / does not name a version")

    def create_user(self) -> Journey:
        credit = SCARCE if self.random.random() < SCARCE_SHARE else CREDIT
        user_id = yield from create_user(credit)
        if user_id:
            self.users.append(user_id)

    def remove_user(self) -> Journey:
        if self.users:
            yield Call("remove_user", "DELETE", f"/users/remove/{self.users.pop()}", REMOVED)
        else:
            yield from self.create_user()

    def find_user(self) -> Journey:
        if self.users:
            user_id = self.random.choice(self.users)
            yield Call("find_user", "GET", f"/users/find/{user_id}", REMOVED)
        else:
            yield from self.create_user()

    def create_item(self) -> Journey:
        stock = SCARCE if self.random.random() < SCARCE_SHARE else STOCK
        item_id = yield from create_item(self.random.randint(1, PRICE_MAX), stock)
        if item_id:
            self.items.append(item_id)

    def item_routine(self) -> Journey:
        if not self.items:
            yield from self.create_item()
            return
        item_id = self.random.choice(self.items)
        reply = yield Call("get_availability", "GET", f"/stock/availability/{item_id}")
        if reply.ok:
            reply = yield Call("add_stock", "POST", f"/stock/add/{item_id}/2")
        if reply.ok:
            yield Call("subtract_stock", "POST", f"/stock/subtract/{item_id}/1", SOLD_OUT)

    def create_order(self) -> Journey:
        if not self.users:
            yield from self.create_user()
            return
        order_id = yield from create_order(self.random.choice(self.users))
        if order_id:
            self.orders.append(Order(order_id))

    def _out_of_play(self) -> Order | None:
        """The oldest order, or None where none may be taken."""
        kept = min(self._prepared["orders"], ORDERS_KEPT_MAX)
        return self.orders.popleft() if len(self.orders) > max(kept - 1, 0) else None

    def remove_order(self) -> Journey:
        order = self._out_of_play()
        if order:
            yield remove_order(order.order_id)
        else:
            yield from self.create_order()

    def add_item(self) -> Journey:
        if not self.orders or not self.items:
            yield from self.create_order()
            yield from self.create_item()
            return
        order, item_id = self.random.choice(self.orders), self.random.choice(self.items)
        reply = yield add_item(order.order_id, item_id)
        if reply.ok:
            order.items.append(item_id)

    def remove_item(self) -> Journey:
        order = self.random.choice(self.orders) if self.orders else None
        if not order or not order.items:
            yield from self.add_item()
            return
        item_id = order.items.pop()
        path = f"/orders/removeItem/{order.order_id}/{item_id}"
        yield Call("remove_item", "DELETE", path, SETTLED)

    def checkout(self) -> Journey:
        order = self._out_of_play()
        if order:
            yield from checkout(order.order_id)
        else:
            yield from self.create_order()

    def pay(self) -> Journey:
        """`pay` pays an order, with its stock or without, and every other time gets the money
        back."""
        order = self._out_of_play()
        if not order:
            yield from self.create_order()
            return
        order_id = order.order_id
        if self.random.random() < 0.5:
            paid = yield Call("pay", "POST", f"/payment/pay/{order_id}", UNPAID)
        else:
            paid = yield from checkout(order_id)
        status = yield Call("get_status", "GET", f"/payment/status/{order_id}", REMOVED)
        if paid.ok and status.ok and status.body["paid"] is not True:
            raise WrongAnswerError("an order was paid, and its status says that it is not")
        if self.random.random() < 0.5:
            yield cancel_payment(order_id)

    def give_back(self) -> Journey:
        """`give_back` pays an order, gets the money back, and removes it."""
        order = self._out_of_play()
        if not order:
            yield from self.create_order()
            return
        paid = yield from checkout(order.order_id)
        if paid.ok:
            yield cancel_payment(order.order_id)
        yield remove_order(order.order_id)

    def resend(self) -> Journey:
        """`resend` sends a write with a key twice; then its key with another request, which is
        refused."""
        call = self._keyed(next(self._keys))
        if call is None:
            yield from self.create_item()
            return
        self.sent.append(call)
        answered = yield call
        again = yield call
        if answered.ok and again.ok and answered.body != again.body:
            raise WrongAnswerError("a request that was sent again had another answer")
        if answered.ok and self.items:
            path = f"/stock/add/{self.items[-1]}/3"
            other = yield Call("add_stock", "POST", path, REUSED, call.key)
            if other.ok:
                raise WrongAnswerError("another request was granted with a key that was used")

    def resend_late(self) -> Journey:
        """`resend_late` sends once more whatever was sent with a key: while it is under way, or
        long after, and over another connection, behind which may be another gateway."""
        if self.sent:
            yield self.random.choice(self.sent)
        else:
            yield from self.resend()

    def _keyed(self, key: str) -> Call | None:
        kind = self.random.randrange(4)
        if kind == 0:
            return Call("create_user", "POST", "/users/create", REUSED, key)
        if kind == 1 and self.users:
            path = f"/users/credit/add/{self.random.choice(self.users)}/1"
            return Call("add_credit", "POST", path, REUSED | REMOVED, key)
        if kind == 2 and (order := self._out_of_play()):
            path = f"/orders/checkout/{order.order_id}"
            return Call("checkout", "POST", path, REUSED | UNPAID, key)
        if not self.items:
            return None
        path = f"/stock/add/{self.random.choice(self.items)}/2"
        return Call("add_stock", "POST", path, REUSED, key)


def credit_routine(user_id: str) -> Journey:
    """The routine needs a user of the customer's own: nobody else may move its balance
    meanwhile."""
    before = yield Call("get_credit", "GET", f"/users/credit/{user_id}")
    if not before.ok:
        return
    added = yield Call("add_credit", "POST", f"/users/credit/add/{user_id}/20")
    if not added.ok:
        return
    after = yield Call("subtract_credit", "POST", f"/users/credit/subtract/{user_id}/15")
    if after.ok and after.body["credit"] != before.body["credit"] + 5:
        raise WrongAnswerError(
            f"credit {before.body['credit']} + 20 - 15 is {after.body['credit']}"
        )


class Sale:
    """Buyers fill a basket and check it out, nearly always with success.

    `zipf` is the exponent of the items' popularity: 0 is uniform, 1 lets the first of n items
    appear in about 1/ln(n) of all choices. A `basket` has so many items; 0: 1 to `BASKET_MAX`.
    """

    ITEMS = 200
    BASKET_MAX = 10
    """A basket of the checkout scenario has at most this many items, where nothing else is asked
    for."""

    def __init__(self, random: Random, zipf: float, basket: int = 0) -> None:
        self.random = random
        self.basket = (basket, basket) if basket else (1, self.BASKET_MAX)
        self.items: list[str] = []
        popularity = (rank**-zipf for rank in range(1, self.ITEMS + 1))
        self.weights = list(accumulate(popularity))

    def drawing(self, random: Random) -> "Sale":
        """`drawing` returns the same sale, whose choices are drawn from other random numbers."""
        found = copy(self)
        found.random = random
        return found

    def choose_item(self) -> str:
        weights = self.weights[: len(self.items)]
        return self.random.choices(self.items, cum_weights=weights)[0]

    def prepare(self, share: int) -> Journey:
        for _ in range(share):
            item_id = yield from create_item(self.random.randint(1, PRICE_MAX), STOCK * 100)
            if item_id and len(self.items) < self.ITEMS:
                self.items.append(item_id)

    def buy(self, user_id: str) -> Journey:
        order_id = yield from create_order(user_id)
        if not order_id:
            return
        for _ in range(self.random.randint(*self.basket)):
            yield add_item(order_id, self.choose_item())
        yield from checkout(order_id)


def create_user(credit: int) -> Generator[Call, Reply, str | None]:
    """`create_user` returns the user_id, or None when the user was not created or not funded."""
    created = yield Call("create_user", "POST", "/users/create")
    if not created.ok:
        return None
    user_id = id_in(created, "user_id")
    funded = yield Call("add_credit", "POST", f"/users/credit/add/{user_id}/{credit}")
    if not funded.ok:
        return None
    if funded.body["credit"] != credit:
        raise WrongAnswerError(f"a new user given {credit} has {funded.body['credit']}")
    return user_id


def create_item(price: int, stock: int) -> Generator[Call, Reply, str | None]:
    path = f"/stock/item/create?price={price}&stock={stock}"
    created = yield Call("create_item", "POST", path)
    return id_in(created, "item_id") if created.ok else None


def create_order(user_id: str) -> Generator[Call, Reply, str | None]:
    created = yield Call("create_order", "POST", f"/orders/create/{user_id}", REMOVED)
    return id_in(created, "order_id") if created.ok else None


def id_in(created: Reply, name: str) -> str:
    """`id_in` returns the id of what was created, with which paths are made. It raises
    `WrongAnswerError` for one that is none."""
    entity_id = text_in(created.body, name)
    if entity_id is None or not ID_PATTERN.fullmatch(entity_id):
        raise WrongAnswerError(f"what was created has the {name} {created.body.get(name)!r}")
    return entity_id


def add_item(order_id: str, item_id: str) -> Call:
    return Call("add_item", "POST", f"/orders/addItem/{order_id}/{item_id}", SETTLED)


def remove_order(order_id: str) -> Call:
    return Call("remove_order", "DELETE", f"/orders/remove/{order_id}", SETTLED)


def cancel_payment(order_id: str) -> Call:
    return Call("cancel_payment", "POST", f"/payment/cancelPayment/{order_id}", UNCHARGED)


def checkout(order_id: str) -> Step:
    reply = yield Call("checkout", "POST", f"/orders/checkout/{order_id}", UNPAID)
    if reply.ok and reply.body["paid"] is not True:
        raise WrongAnswerError(f"a checkout was answered with 200, but paid {reply.body['paid']}")
    return reply


def problem(call: Call, reply: Reply) -> str | None:
    """`problem` returns what is wrong with a reply in itself, in a few fixed words, or None."""
    if reply.ok:
        return None
    code = error_code(reply.body) or NO_CODE
    return None if code in call.expected else f"{reply.status} {code}"


def outcome(call: Call, reply: Reply) -> str:
    """`outcome` returns the outcome of a sample: see `bench.records.samples`."""
    if reply.ok:
        return str(reply.status)
    if reply.status == 0:
        return f"{CONNECTION} {text_in(reply.body['error'], 'message') or ''}".rstrip()
    text = f"{reply.status} {error_code(reply.body) or NO_CODE}"
    return f"{UNEXPECTED} {text}" if reply.status < 500 and problem(call, reply) else text
