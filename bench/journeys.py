"""The scenarios as an open loop plays them: what is prepared, and which journey starts next."""

from collections import deque
from collections.abc import Iterator
from itertools import accumulate
from random import Random

from bench.workload import (
    CREDIT,
    CREDIT_ROUTINE_WEIGHT,
    MIX,
    Journey,
    Sale,
    Shop,
    create_user,
    credit_routine,
)

SCENARIOS = ("shop", "checkout")
CUSTOMERS = 64
"""Customers whose users, items and orders are prepared; journeys begin with any of them."""


class ShopCustomers:
    """The mix of locustfiles/shop.py."""

    def __init__(self, seed: int) -> None:
        self._shop = Shop(Random(seed))
        self._own: deque[str] = deque()
        """Users that no other journey touches: the credit routine checks their balance."""
        self._starts = list(MIX)
        self._weights = list(accumulate(MIX.values()))
        self._all_weights = self._weights[-1] + CREDIT_ROUTINE_WEIGHT

    def prepare(self) -> Iterator[Journey]:
        for _ in range(CUSTOMERS):
            yield self._shop.prepare()
            yield self._create_own()

    def start(self) -> Journey:
        random = self._shop.random
        if random.random() * self._all_weights < CREDIT_ROUTINE_WEIGHT:
            return self._credit_routine() if self._own else self._create_own()
        (journey,) = random.choices(self._starts, cum_weights=self._weights)
        return journey(self._shop)

    def _create_own(self) -> Journey:
        user_id = yield from create_user(CREDIT)
        if user_id:
            self._own.append(user_id)

    def _credit_routine(self) -> Journey:
        user_id = self._own.popleft()
        yield from credit_routine(user_id)
        self._own.append(user_id)


class SaleCustomers:
    """Buyers, as in locustfiles/checkout.py; a buyer fills one basket at a time."""

    def __init__(self, seed: int, zipf: float) -> None:
        self._sale = Sale(Random(seed), zipf)
        self._free: deque[str] = deque()

    def prepare(self) -> Iterator[Journey]:
        yield from (self._sale.prepare(Sale.ITEMS // CUSTOMERS + 1) for _ in range(CUSTOMERS))
        yield from (self._create_buyer() for _ in range(CUSTOMERS))

    def start(self) -> Journey:
        return self._buy(self._free.popleft()) if self._free else self._create_buyer()

    def _create_buyer(self) -> Journey:
        user_id = yield from create_user(CREDIT * 100)
        if user_id:
            self._free.append(user_id)

    def _buy(self, user_id: str) -> Journey:
        yield from self._sale.buy(user_id)
        self._free.append(user_id)
