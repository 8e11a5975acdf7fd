"""The shop's requests, but its orders are given back and removed: for long loads.

locust -f locustfiles/steady.py --host http://127.0.0.1:8080
"""

from bench.generator.locust_users import ShopUser, tasks_of
from bench.workload.scenarios import STEADY


class Customer(ShopUser):
    tasks = tasks_of(STEADY)
