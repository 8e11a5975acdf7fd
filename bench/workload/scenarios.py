"""An open loop plays scenarios: what is prepared, and which journey starts next.

A journey has a number, and random numbers of its own: its kind and all that it draws are a pure
function of the seed and that number, whatever was answered until then, and in which order. Which
entity stands at a drawn place of a pool depends on answers: only they say which there are.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from itertools import count as counting
from math import ceil
from random import Random

from bench.workload.journey import Journey
from bench.workload.shop import CREDIT, Sale, Shop, create_user, credit_routine

JourneyOf = Callable[[Shop], Journey]
Mix = Mapping[JourneyOf, int]

SHOP: Mix = {
    Shop.index: 1,
    Shop.create_user: 2,
    Shop.remove_user: 1,
    Shop.find_user: 5,
    Shop.create_item: 10,
    Shop.item_routine: 5,
    Shop.create_order: 6,
    Shop.remove_order: 1,
    Shop.add_item: 20,
    Shop.remove_item: 1,
    Shop.checkout: 5,
    Shop.pay: 1,
    Shop.resend: 1,
    Shop.resend_late: 1,
}
"""The shop grows, as a shop does: what is sold stays in the books."""

STEADY: Mix = {
    Shop.index: 1,
    Shop.find_user: 5,
    Shop.item_routine: 5,
    Shop.create_order: 6,
    Shop.remove_order: 1,
    Shop.add_item: 20,
    Shop.remove_item: 1,
    Shop.give_back: 5,
    Shop.resend: 1,
    Shop.resend_late: 1,
}
"""Orders come and go, of users and items that stay: so a long load tells what grows that should
not. Only some of what is sent twice stays."""

MIXES: Mapping[str, Mix] = {"shop": SHOP, "steady": STEADY}
"""Each scenario that plays a mix leads to it."""

CREDIT_ROUTINE_WEIGHT = 1
"""The credit routine of a customer is played so often, beside each mix."""

CUSTOMERS_MAX, CUSTOMERS_MIN = 64, 16
"""So many customers have users, items and orders prepared; journeys begin with any of them."""
RATE_PER_CUSTOMER = 10.0
"""An open loop prepares one customer, with users, items and orders, for each so many requests/s: 16
to 64 in all."""


def draws(seed: int, number: int) -> Random:
    """`draws` returns the random numbers of one journey. Text is hashed as a seed; of two whole
    numbers some have the same random numbers, as 2 and 2**32 + 2 do."""
    return Random(f"{seed} {number}")


def customers_of(rate_per_s: float) -> int:
    return max(CUSTOMERS_MIN, min(CUSTOMERS_MAX, ceil(rate_per_s / RATE_PER_CUSTOMER)))


class ShopCustomers:
    """These customers play a mix, as those of locustfiles/shop.py and steady.py do."""

    def __init__(self, seed: int, count: int = CUSTOMERS_MAX, mix: Mix = SHOP) -> None:
        self._count = count
        self._seed = seed
        self._numbers = counting()
        self._shop = Shop(Random(seed))
        self._own: deque[str] = deque()
        """No other journey touches these users: the credit routine checks their balance."""
        self._starts = list(mix)
        self._weights = list(accumulate(mix.values()))
        self._all_weights = self._weights[-1] + CREDIT_ROUTINE_WEIGHT

    def prepare(self) -> Iterator[Journey]:
        for _ in range(self._count):
            yield self._shop.drawing(draws(self._seed, next(self._numbers))).prepare()
            yield self._create_own()

    def start(self) -> Journey:
        random = draws(self._seed, next(self._numbers))
        if random.random() * self._all_weights < CREDIT_ROUTINE_WEIGHT:
            return self._credit_routine() if self._own else self._create_own()
        (journey,) = random.choices(self._starts, cum_weights=self._weights)
        return journey(self._shop.drawing(random))

    def _create_own(self) -> Journey:
        user_id = yield from create_user(CREDIT)
        if user_id:
            self._own.append(user_id)

    def _credit_routine(self) -> Journey:
        user_id = self._own.popleft()
        yield from credit_routine(user_id)
        self._own.append(user_id)


class SaleCustomers:
    """These are buyers, as in locustfiles/checkout.py; a buyer fills one basket at a time."""

    def __init__(self, seed: int, zipf: float, count: int = CUSTOMERS_MAX, basket: int = 0) -> None:
        self._count = count
        self._seed = seed
        self._numbers = counting()
        self._sale = Sale(Random(seed), zipf, basket)
        self._free: deque[str] = deque()

    def prepare(self) -> Iterator[Journey]:
        share = Sale.ITEMS // self._count + 1
        yield from (self._next_sale().prepare(share) for _ in range(self._count))
        yield from (self._create_buyer() for _ in range(self._count))

    def start(self) -> Journey:
        sale = self._next_sale()
        return self._buy(sale, self._free.popleft()) if self._free else self._create_buyer()

    def _next_sale(self) -> Sale:
        return self._sale.drawing(draws(self._seed, next(self._numbers)))

    def _create_buyer(self) -> Journey:
        user_id = yield from create_user(CREDIT * 100)
        if user_id:
            self._free.append(user_id)

    def _buy(self, sale: Sale, user_id: str) -> Journey:
        yield from sale.buy(user_id)
        self._free.append(user_id)
