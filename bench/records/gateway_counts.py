"""These counts are a gateway's, and what they rose by during a run."""

from collections import Counter
from typing import NamedTuple


class Metrics(NamedTuple):
    """The counts are of all workers together."""

    responses: int
    replies: Counter[str]
    """The replies are counted by kind: matched, late, duplicate, unknown, malformed. Those to the
    gateway's own echoes are not among them."""
    records: Counter[str]
    """The records are counted by fate: acknowledged, not_sent, unknown. The gateway's own echoes
    are not among them."""
    timeouts: int
    in_flight: int
    workers: frozenset[str]
    """The workers are known by their gateway_ids, each with the time at which its counts began."""
    own_echo_records: int = 0
    """The gateway asked for these echoes itself; they, and the replies to them, are of no
    client."""
    withdrawn: int = 0
    """These requests were refused because their record was not sent after all."""
    echo_responses: int = 0
    """These of the `responses` are to echoes, by which a stack's supervisor asks whether all
    works."""

    @property
    def quiet(self) -> bool:
        """A gateway is quiet when nothing waits for a reply, and the fate of each record is
        known."""
        return self.in_flight == 0 and self.records.total() == self.ended

    @property
    def ended(self) -> int:
        """`ended` counts the requests with a record that were answered, one way or the other."""
        return self.replies["matched"] + self.timeouts + self.withdrawn


def rise(before: Metrics, after: Metrics) -> Metrics | None:
    """`rise` returns what the counts rose by; None where a worker was replaced meanwhile, so that
    its counts are lost."""
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
        after.withdrawn - before.withdrawn,
        after.echo_responses - before.echo_responses,
    )


def _less(after: Counter[str], before: Counter[str]) -> Counter[str]:
    return Counter({kind: count - before[kind] for kind, count in after.items()})
