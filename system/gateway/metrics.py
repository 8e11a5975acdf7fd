"""/metrics shows these counts.

Counting is a plain integer each; the client library formats at a scrape.
"""

import asyncio
import time
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from system import __version__
from system.gateway.pending import REPLY_KINDS
from system.gateway.readiness import OWN_ECHO

LATENCY_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
METRICS_INTERVAL_S = 0.02
"""/metrics is made at most this often: it costs as much as some requests, and thousands of clients
may ask for it at once. All that came since the last time get the same text."""


class Histogram:
    """A histogram counts what took how long, by `LATENCY_BUCKETS_S`."""

    def __init__(self) -> None:
        self._counts = [0] * (len(LATENCY_BUCKETS_S) + 1)
        self._sum_s = 0.0

    def observe(self, latency_s: float) -> None:
        self._counts[bisect_left(LATENCY_BUCKETS_S, latency_s)] += 1
        self._sum_s += latency_s

    def family(self, name: str, text: str, gateway_id: str) -> HistogramMetricFamily:
        """`family` returns it as the client library wants it."""
        bounds = (*map(str, LATENCY_BUCKETS_S), "+Inf")
        buckets = list(zip(bounds, map(float, accumulate(self._counts)), strict=True))
        family = HistogramMetricFamily(name, text, labels=["gateway_id"])
        family.add_metric([gateway_id], buckets, self._sum_s)
        return family


class Metrics(Collector):
    """The metrics have the prefix kaflinkshop_gateway_, and the label gateway_id: each worker
    counts for itself."""

    def __init__(self, gateway_id: str, in_flight: Callable[[], int]) -> None:
        self.responses: Counter[tuple[str, int]] = Counter()
        """A pair (method, HTTP status) leads to its number of responses; the method is "none" where
        no route was reached."""
        self.replies: Counter[str] = Counter(
            dict.fromkeys((*REPLY_KINDS, "malformed", OWN_ECHO), 0)
        )
        self.records: Counter[str] = Counter(
            {"acknowledged": 0, "not_sent": 0, "unknown": 0, OWN_ECHO: 0}
        )
        """A fate leads to its number of request records; unknown: the broker may or may not have
        them. The gateway's own echoes count as such, whatever their fate."""
        self.timeouts = 0
        self.withdrawn = 0
        """Requests that were refused because their record was not sent after all."""
        self.abandoned = 0
        """So many responses came after their client had gone."""
        self.latency = Histogram()
        """A request took so long to its response."""
        self.produce = Histogram()
        """Kafka took so long to answer a Produce request, which has a batch of records."""
        self._started_s = time.time()
        self._gateway_id = gateway_id
        self._in_flight = in_flight
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def text(self) -> bytes:
        return generate_latest(self._registry)

    def collect(self) -> Iterable[Metric]:
        prefix, me = "kaflinkshop_gateway_", self._gateway_id
        responses = CounterMetricFamily(
            prefix + "responses", "HTTP responses", labels=["gateway_id", "method", "status"]
        )
        for (method, status), count in self.responses.items():
            responses.add_metric([me, method, str(status)], count)
        yield responses
        for name, text, counts in (
            ("replies", "Reply records by kind", self.replies),
            ("records", "Request records by fate", self.records),
        ):
            family = CounterMetricFamily(prefix + name, text, labels=["gateway_id", "kind"])
            for kind, count in counts.items():
                family.add_metric([me, kind], count)
            yield family
        for name, text, count in (
            ("timeouts", "Requests without a reply in time", self.timeouts),
            ("withdrawn", "Requests refused as their record was not sent", self.withdrawn),
            ("abandoned", "Responses whose client had gone", self.abandoned),
        ):
            single = CounterMetricFamily(prefix + name, text, labels=["gateway_id"])
            single.add_metric([me], count)
            yield single
        gauge = GaugeMetricFamily(
            prefix + "in_flight", "Requests waiting for a reply", labels=["gateway_id"]
        )
        gauge.add_metric([me], self._in_flight())
        yield gauge
        started = GaugeMetricFamily(
            prefix + "started_seconds", "When its counts began, Unix time", labels=["gateway_id"]
        )
        started.add_metric([me], self._started_s)
        yield started
        info = GaugeMetricFamily(
            prefix + "build_info", "Always 1", labels=["gateway_id", "version"]
        )
        info.add_metric([me, __version__], 1)
        yield info
        yield self.latency.family(
            prefix + "latency_seconds", "From the request to its response", me
        )
        yield self.produce.family(
            prefix + "produce_seconds", "From a Produce request to Kafka's answer", me
        )


class Scrapes:
    """The scrapes of /metrics share its text, and are answered one after the other: between two of
    them the loop turns to the shop's requests, however many scrapes wait."""

    def __init__(self, make: Callable[[], bytes]) -> None:
        self._make = make
        self._waiting: deque[asyncio.Future[bytes]] = deque()
        self._due_s = 0.0

    async def text(self) -> bytes:
        """`text` returns what was made after it was called."""
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bytes] = loop.create_future()
        self._waiting.append(waiter)
        if len(self._waiting) == 1:
            loop.call_at(max(loop.time(), self._due_s), self._made)
        return await waiter

    def _made(self) -> None:
        loop = asyncio.get_running_loop()
        self._due_s = loop.time() + METRICS_INTERVAL_S
        waiting, self._waiting = self._waiting, deque()
        self._answer_next(waiting, self._make())

    def _answer_next(self, waiting: deque[asyncio.Future[bytes]], text: bytes) -> None:
        while waiting:
            waiter = waiting.popleft()
            if not waiter.done():  # its client has not gone
                waiter.set_result(text)
                asyncio.get_running_loop().call_soon(self._answer_next, waiting, text)
                return
