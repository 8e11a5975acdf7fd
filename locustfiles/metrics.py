"""Locust's page tells Prometheus its figures at /metrics, in the master or the only process.

locust -f locustfiles/shop.py,locustfiles/metrics.py --host http://127.0.0.1:8080
"""

from collections.abc import Iterator

from locust import events
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector


class Figures(Collector):
    def __init__(self, environment) -> None:
        self._runner = environment.runner
        self._stats = environment.stats

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily("locust_users", "Users now.", self._runner.user_count)
        workers = getattr(self._runner, "worker_count", 0)
        yield GaugeMetricFamily("locust_workers", "Worker processes now.", workers)
        requests = CounterMetricFamily("locust_requests", "Requests sent.", labels=["operation"])
        failures = CounterMetricFamily("locust_failures", "Failed.", labels=["operation"])
        for entry in list(self._stats.entries.values()):
            requests.add_metric([entry.name], entry.num_requests)
            failures.add_metric([entry.name], entry.num_failures)
        yield from (requests, failures)


@events.init.add_listener
def _serve(environment, **_) -> None:
    if environment.web_ui is None:
        return
    registry = CollectorRegistry()
    registry.register(Figures(environment))

    @environment.web_ui.app.route("/metrics")
    def metrics():
        return generate_latest(registry), 200, {"Content-Type": CONTENT_TYPE_LATEST}
