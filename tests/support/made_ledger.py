"""A small history, and what its generators and its gateway counted, that balance."""

from collections import Counter

from bench.records.gateway_counts import Metrics
from bench.records.request_log import Footer, Row


def row(status: int, operation: str = "find_user") -> Row:
    return Row(operation, "/", None, 1, 2, status, {})


HISTORY = [row(200), row(200, "index"), row(404), row(503), row(504), row(0)]
FOOTERS = [Footer(scheduled=4, dropped=0), Footer(scheduled=3, dropped=1)]


def gateway(responses: int = 4, timeouts: int = 1, malformed: int = 0) -> Metrics:
    return Metrics(
        responses,
        replies=Counter(matched=2, late=1, malformed=malformed),
        records=Counter(acknowledged=3),
        timeouts=timeouts,
        in_flight=0,
        workers=frozenset({"gw"}),
    )
