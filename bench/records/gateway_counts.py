"""What a gateway has counted, and what its counts rose by during a run."""

from collections import Counter
from typing import NamedTuple


class Metrics(NamedTuple):
    """Of all workers together."""

    responses: int
    replies: Counter[str]
    """By kind: matched, late, duplicate, unknown, malformed. Not those to its own echoes."""
    records: Counter[str]
    """By fate: acknowledged, not_sent, unknown. Not its own echoes."""
    timeouts: int
    in_flight: int
    workers: frozenset[str]
    """Their gateway_ids."""
    own_echo_records: int = 0
    """Echoes that the gateway asked for itself, and the replies to them: of no client."""

    @property
    def quiet(self) -> bool:
        """Nothing waits for a reply, and the fate of each record is known."""
        sent = self.records["acknowledged"] + self.records["unknown"]
        return self.in_flight == 0 and sent == self.replies["matched"] + self.timeouts


def rise(before: Metrics, after: Metrics) -> Metrics | None:
    """None where a worker was replaced meanwhile, so that its counts are lost."""
    if before.workers != after.workers:
        return None
    return Metrics(
        after.responses - before.responses,
        _less(after.replies, before.replies),
        _less(after.records, before.records),
        after.timeouts - before.timeouts,
        after.in_flight,
        after.workers,
        after.own_echo_records - before.own_echo_records,
    )


def _less(after: Counter[str], before: Counter[str]) -> Counter[str]:
    return Counter({kind: count - before[kind] for kind, count in after.items()})
