"""The gateway's counters are scraped from its /metrics before and after a run."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from bench.errors import BenchError, bench_errors
from bench.records.gateway_counts import Metrics
from machine.http import HttpError, KeepAlive, call
from system.credentials import metrics_headers

PREFIX = "kaflinkshop_gateway_"
ECHO = "echo"
"""The method of a request that only goes there and back."""
OWN_ECHO = "own_echo"
"""Records and replies of this kind tell a gateway whether the services answer."""
SCRAPE_TIMEOUT_S = 5.0
"""One scrape may take this long."""
GAUGE_TIMEOUT_S = 1.0
"""One reading of a gauge may take this long: what comes later than the next sample is of no use."""
NO_GATEWAY = frozenset({400, 404, 405, 501})
"""These are answers of servers that have no /metrics; a gateway's refusals are others."""
SCRAPES_PER_WORKER_MAX = 64
"""Each worker is worth at most this many scrapes: workers share one port, and a scrape reaches one
of them by chance."""
CONNECTIONS_PER_WORKER_MAX = 8
"""So many connections are opened in one go until each worker has one; it is tried again at the next
sample."""
QUIET_TIMEOUT_S = 10.0
"""The gateway may take this long until it has nothing under way: longer than it waits for a
reply."""
QUIET_INTERVAL_S = 0.25
"""This much time passes between looks whether the gateway has nothing under way."""


def scrape(url: str, workers: int) -> Metrics:
    """`scrape` returns what all workers counted. It raises `BenchError` when one can't be reached,
    or the server is no gateway."""
    return scrape_all([url], workers)


def scrape_all(urls: Sequence[str], workers: int) -> Metrics:
    """`scrape_all` returns what all workers of several gateways counted, as `scrape` does."""
    texts: dict[str, str] = {}
    for url in urls:
        texts |= _texts(url, workers)
    return _sum(texts)


def _texts(url: str, workers: int) -> dict[str, str]:
    """What each worker's id counted."""
    latest: dict[str, str] = {}
    for _ in range(SCRAPES_PER_WORKER_MAX * workers):
        gateway_id, text = _scraped(url)
        latest[gateway_id] = text
        if len(latest) == workers:
            return latest
    raise BenchError(f"{url} has {len(latest)} gateway workers, not {workers}: give --workers")


def _scraped(url: str) -> tuple[str, str]:
    """A worker's id, and what it counted."""
    asked = url.rstrip("/") + "/metrics"
    try:
        text = call("GET", asked, SCRAPE_TIMEOUT_S, headers=metrics_headers()).decode()
        return _gateway_id(text), text
    except HttpError as cause:
        if cause.status not in NO_GATEWAY:
            raise BenchError(str(cause)) from None
    except (ValueError, LookupError):
        pass
    raise BenchError(
        f"{url} is no gateway of KaflinkShop; for any other server say with --workload FILE what "
        "to send it (docs/any-service.md)"
    )


def scrape_quiet(urls: Sequence[str], workers: int) -> Metrics:
    """`scrape_quiet` waits until the gateways have nothing under way; after a limit, it takes it as
    it is."""
    deadline_s = time.monotonic() + QUIET_TIMEOUT_S
    while True:
        metrics = scrape_all(urls, workers)
        if metrics.quiet or time.monotonic() > deadline_s:
            return metrics
        time.sleep(QUIET_INTERVAL_S)


def _gateway_id(text: str) -> str:
    """Raises `ValueError` or `LookupError` for what no gateway says."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == PREFIX + "build_info":
                return str(sample.labels["gateway_id"])
    raise LookupError(PREFIX)


def _sum(texts: dict[str, str]) -> Metrics:
    singles: Counter[str] = Counter()
    kinds: dict[str, Counter[str]] = {"replies": Counter(), "records": Counter()}
    workers = set()
    for gateway_id, text in texts.items():
        for family in text_string_to_metric_families(text):
            name = family.name.removeprefix(PREFIX)
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                if sample.labels.get("kind") == OWN_ECHO:
                    singles[OWN_ECHO] += int(sample.value)
                elif name in kinds:
                    kinds[name][sample.labels["kind"]] += int(sample.value)
                elif name == "started_seconds":
                    workers.add(f"{gateway_id} since {sample.value}")
                elif name in ("responses", "timeouts", "in_flight", "withdrawn"):
                    singles[name] += int(sample.value)
                    if sample.labels.get("method") == ECHO:
                        singles[ECHO] += int(sample.value)
    return Metrics(
        singles["responses"],
        kinds["replies"],
        kinds["records"],
        singles["timeouts"],
        singles["in_flight"],
        frozenset(workers),
        singles[OWN_ECHO],
        singles["withdrawn"],
        singles[ECHO],
    )


class Gauge(NamedTuple):
    """A gauge is what one worker says of itself."""

    in_flight: int
    replies: int
    """The worker has read so many records from its reply topic since it started, its own echoes
    too."""


class Gauges:
    """The gauges read each worker again and again, over a connection of its own to each.

    Not for use by several threads at once.
    """

    def __init__(self, url: str, workers: int) -> None:
        self._url = url
        self._workers = workers
        self._connections: dict[str, KeepAlive] = {}

    def read(self) -> dict[str, Gauge]:
        """`read` returns gateway_id → its gauge. It raises `BenchError` unless every worker
        answers."""
        read = {}
        for gateway_id, connection in list(self._connections.items()):
            try:
                read[gateway_id] = _gauge(connection)[1]
            except BenchError:
                self._connections.pop(gateway_id).close()
                raise  # the others are asked again next time
        for _ in range(CONNECTIONS_PER_WORKER_MAX * self._workers):
            if len(read) >= self._workers:
                return read
            connection = KeepAlive(self._url, GAUGE_TIMEOUT_S, metrics_headers())
            try:
                gateway_id, gauge = _gauge(connection)
            except BenchError:
                connection.close()
                raise
            read[gateway_id] = gauge
            if self._connections.setdefault(gateway_id, connection) is not connection:
                connection.close()
        raise BenchError(f"{self._url} has {len(read)} gateway workers, not {self._workers}")

    def close(self) -> None:
        for connection in self._connections.values():
            connection.close()


def _gauge(connection: KeepAlive) -> tuple[str, Gauge]:
    with bench_errors():
        return parse_gauge(connection.call("GET", "/metrics"))


_GAUGE = re.compile(
    rb'^kaflinkshop_gateway_(in_flight|replies_total)\{[^}]*gateway_id="([\w-]+)"[^}]*\} (\S+)$',
    re.MULTILINE,
)


def parse_gauge(text: bytes) -> tuple[str, Gauge]:
    """`parse_gauge` returns the gateway_id and its gauge; the client library's parser takes ten
    times as long.

    It raises `BenchError`.
    """
    found = _GAUGE.findall(text)
    counts: Counter[bytes] = Counter()
    try:
        for name, _, value in found:
            counts[name] += int(float(value))
    except (ValueError, OverflowError):
        counts.clear()
    ids = {gateway_id for _, gateway_id, _ in found}
    if len(ids) != 1 or b"in_flight" not in counts:
        raise BenchError("/metrics is not of a gateway of KaflinkShop")
    return ids.pop().decode(), Gauge(counts[b"in_flight"], counts[b"replies_total"])
