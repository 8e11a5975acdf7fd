"""A sale: funded buyers fill baskets of 1 to 10 stocked items, or of --basket, and check them out.

locust -f locustfiles/checkout.py --host http://127.0.0.1:8080 --zipf 1.0
"""

from random import Random

from locust import events, task

from bench.generator.locust_users import JourneyUser
from bench.workload.journey import Journey
from bench.workload.shop import CREDIT, Sale, create_user


class Buyer(JourneyUser):
    sale: Sale

    def prepare(self) -> Journey:
        self.user_id = yield from create_user(CREDIT * 100)
        yield from self.sale.prepare(
            max(1, Sale.ITEMS // self.environment.runner.target_user_count)
        )

    @task
    def buy(self) -> None:
        if self.user_id:
            self.play(self.sale.buy(self.user_id))


@events.init.add_listener
def _open_sale(environment, **_):
    options = environment.parsed_options
    Buyer.sale = Sale(Random(options.seed), options.zipf, options.basket)
