"""A user of Locust's own kind, which asks for / again and again: `python -m bench calibrate`.

locust -f locustfiles/plain.py --host http://127.0.0.1:8080
"""

from locust import FastHttpUser, constant, task


class Plain(FastHttpUser):
    wait_time = constant(0)

    @task
    def root(self) -> None:
        self.client.get("/")
