"""The ledger accounts for every request of a run, or the run is INVALID.

Source: shared contract, "What always holds", 7.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from bench.records import samples
from bench.records.gateway_counts import Metrics
from bench.records.request_log import Footer, Row


class Entry(NamedTuple):
    """An entry's `total` is the sum of its `parts`, or there is a remainder."""

    name: str
    total: int
    parts: dict[str, int]

    @property
    def remainder(self) -> int:
        return self.total - sum(self.parts.values())


class Ledger(NamedTuple):
    entries: list[Entry]
    missing: list[str]
    """These could not be counted at all."""

    @property
    def faults(self) -> list[str]:
        """`faults` returns one line for each reason to call the run invalid."""
        return self.missing + [
            f"{entry.name}: {entry.total} in all, {entry.remainder} unaccounted for"
            for entry in self.entries
            if entry.remainder
        ]


def outcome_class(row: Row) -> str:
    if row.status == 0:
        return "connection"
    if 400 <= row.status < 500:
        return "4xx"
    return {200: "ok", 503: "503", 504: "504"}.get(row.status, "other")


def balance(
    history: Iterable[Row],
    footers: Sequence[Footer | None],
    gateway: Metrics | None,
    replies: Mapping[str, int] | None = None,
) -> Ledger:
    """`balance` makes the ledger of a shop's run; `gateway` is what its counters rose by during the
    run. `replies` are those that the generators read from topics of their own, by kind: then none
    of the requests went through the gateway."""
    outcomes: Counter[str] = Counter()
    index = echoes = 0
    for row in history:
        outcome = outcome_class(row)
        outcomes[outcome] += 1
        echoes += row.operation == "echo"
        if row.operation == "index" and row.status:
            index += 1
    sent = outcomes.total()
    known = [footer for footer in footers if footer is not None]
    killed = len(footers) - len(known)
    missing = [f"{killed} generators did not come to their end"] if killed else []
    scheduled = sum(footer.scheduled for footer in known)
    dropped = sum(footer.dropped for footer in known)
    parts = {name: outcomes[name] for name in ("ok", "4xx", "503", "504", "connection")}
    entries = [
        Entry("scheduled requests", scheduled, {"sent": sent, "dropped": dropped}),
        Entry("sent requests", sent, parts),
    ]
    if gateway is None:
        missing.append("the gateway's counters could not be read, or it was started anew")
    else:
        seen = {"seen": 0 if replies is not None else sent - outcomes["connection"] - index}
        if gateway.echo_responses and not echoes:
            seen["asked by the supervisor"] = gateway.echo_responses
        entries += _gateway_entries(gateway, seen, outcomes["connection"])
    if replies is not None:
        answered = sent - outcomes["connection"]
        entries.append(
            Entry("matched replies from Kafka", replies.get("matched", 0), {"answered": answered})
        )
        missing += [
            f"{count} replies from Kafka were {kind}"
            for kind in ("unknown", "malformed")
            if (count := replies.get(kind, 0))
        ]
    return Ledger(entries, missing)


def balance_samples(sent: int, dropped: int, footers: Sequence["samples.Footer | None"]) -> Ledger:
    """`balance_samples` makes what any generator must account for; `sent` and `dropped` are its
    recorded samples."""
    known = [footer for footer in footers if footer is not None]
    killed = len(footers) - len(known)
    scheduled = sum(footer.scheduled for footer in known)
    counted = sum(footer.sent for footer in known)
    return Ledger(
        [
            Entry("scheduled samples", scheduled, {"sent": sent, "dropped": dropped}),
            Entry("sent samples", counted, {"recorded": sent}),
        ],
        [f"{killed} generators did not come to their end"] if killed else [],
    )


def _gateway_entries(gateway: Metrics, seen: dict[str, int], cut: int) -> list[Entry]:
    """`seen`: the responses whose fate is known, but for those to GET /.

    What a connection broke off may have been answered or not: only so many responses, `cut`, may
    have got lost. A record of unknown fate is in the log or not; its request is answered once.
    """
    unseen = min(max(0, gateway.responses - sum(seen.values())), cut)
    kinds = {kind: gateway.replies[kind] for kind in ("matched", "late", "duplicate", "unknown")}
    fates = {fate: gateway.records[fate] for fate in ("acknowledged", "not_sent", "unknown")}
    return [
        Entry("responses of the gateway", gateway.responses, {**seen, "cut off": unseen}),
        Entry("replies", gateway.replies.total(), kinds),
        Entry(
            "records of the gateway",
            sum(fates.values()),
            {
                "replied": gateway.replies["matched"],
                "timed out": gateway.timeouts,
                "refused": gateway.withdrawn,
            },
        ),
        Entry(
            "fates of records",
            gateway.records.total(),
            {
                "acknowledged": fates["acknowledged"],
                "not sent": fates["not_sent"],
                "of unknown fate": fates["unknown"],
            },
        ),
    ]
