"""The shop's mix of requests: browsing, filling orders, checking out; all users share one shop.

locust -f locustfiles/shop.py --host http://127.0.0.1:8080
"""

from bench.generator.locust_users import ShopUser, tasks_of
from bench.workload.scenarios import SHOP


class Customer(ShopUser):
    tasks = tasks_of(SHOP)
