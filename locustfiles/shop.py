"""The shop's mix of requests: browsing, filling orders, checking out; all users share one shop.

locust -f locustfiles/shop.py --host http://127.0.0.1:8080
"""

from collections.abc import Callable
from random import Random

from locust import events

from bench.generator.locust_users import JourneyUser
from bench.workload.journey import Journey
from bench.workload.shop import (
    CREDIT,
    CREDIT_ROUTINE_WEIGHT,
    MIX,
    JourneyOf,
    Shop,
    create_user,
    credit_routine,
)

SHOP = Shop(Random())


class Customer(JourneyUser):
    def prepare(self) -> Journey:
        yield from SHOP.prepare()
        self.own_user_id = yield from create_user(CREDIT)

    def credit_routine(self) -> None:
        if self.own_user_id:
            self.play(credit_routine(self.own_user_id))


def task(journey: JourneyOf) -> Callable[[Customer], bool]:
    def play(customer: Customer) -> bool:
        return customer.play(journey(SHOP))

    play.__name__ = journey.__name__
    return play


Customer.tasks = [task(journey) for journey, weight in MIX.items() for _ in range(weight)]
Customer.tasks += [Customer.credit_routine] * CREDIT_ROUTINE_WEIGHT


@events.init.add_listener
def _seed(environment, **_):
    SHOP.random.seed(environment.parsed_options.seed)
