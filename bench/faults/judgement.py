"""The promises under a fault are judged from the record of a run and its history (pure)."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from bench.faults.fault import Fault
from bench.records.request_log import Row
from bench.records.run_record import RunRecord
from bench.stats.window import is_answered

DEADLINE_S = 5.0
"""The gateway answers within this time, whatever happens behind it."""
LATE_S_MAX = 1.0
"""An answer may come so long after its deadline."""
RECOVERED_SHARE = 0.8
"""A recovery is this share of the earlier throughput, in each second of a stretch."""
RECOVERED_STRETCH_S = 3
"""A recovery must last so long: a burst of what had waited is none."""
LOOK_S = 0.1
"""The time of the recovery is known this exactly."""
SECOND_NS = 1_000_000_000
"""A second has so many nanoseconds."""
COUNTERS_LOST = "the gateway's counters could not be read, or it was started anew"


@dataclass(frozen=True)
class Found:
    """A finding is a fault, its run, and whether the promises held."""

    fault: str
    seed: int
    run_id: str
    span_s: float
    proof: str
    requests: int
    checkouts: int
    """So many checkouts were paid."""
    unknown: int
    """So many requests ended with 504, or without an answer."""
    cut: int
    """So many requests ended without an answer."""
    longest_s: float
    recovered_s: float | None
    """The throughput was back after this time, in s; None: not before the end."""
    recovery_s_max: float
    violations: int
    broken: list[str]
    """These lines say why the promises did not hold; there are none where they did."""

    @property
    def holds(self) -> bool:
        return not self.broken


def recovered_s(
    answers: Sequence[int], opened_ns: int, began_ns: int, from_ns: int
) -> float | None:
    """`recovered_s` returns the seconds from `from_ns` until the throughput is back.

    `answers` are the times of all answers, in ns and in order.
    """
    earlier = bisect_left(answers, began_ns) - bisect_left(answers, opened_ns)
    per_s = earlier / max(1, began_ns - opened_ns) * SECOND_NS
    at_ns, last_ns = from_ns, answers[-1] if answers else 0
    while at_ns + RECOVERED_STRETCH_S * SECOND_NS <= last_ns:
        edges = [at_ns + second * SECOND_NS for second in range(RECOVERED_STRETCH_S + 1)]
        places = [bisect_left(answers, edge) for edge in edges]
        counts = [after - before for before, after in pairwise(places)]
        if min(counts) >= RECOVERED_SHARE * per_s:
            return (at_ns - from_ns) / SECOND_NS
        at_ns += int(LOOK_S * SECOND_NS)
    return None


def judge(
    name: str,
    fault: Fault,
    run: RunRecord,
    history: Iterable[Row],
    bite: tuple[int | None, int | None, str],
    in_flight: int | None,
) -> Found:
    """`bite` is when the fault began and was healed, and what proves it.

    `in_flight` is what the gateway has under way once all is over; None: it does not say.
    """
    began_ns, healed_ns, proof = bite
    rows = list(history)
    longest_ns = max((row.done_ns - row.sent_ns for row in rows), default=0)
    cut = sum(row.status == 0 for row in rows)
    window = run.phases[-1].window if run.phases else None
    recovered: float | None = None
    if window is not None and began_ns is not None:
        answers = sorted(row.done_ns for row in rows if is_answered(row))
        from_ns = healed_ns if fault.kind == "pause" and healed_ns else began_ns
        recovered = recovered_s(answers, window.opened_ns, began_ns, from_ns)
    violations = sum(run.invariants.counts.values()) if run.invariants else 0
    broken = [] if proof else ["nothing shows that the fault bit"]
    if run.invariants is None or run.ledger is None:
        broken += run.reasons or ["the run was not judged"]
    else:
        broken += [f"{what}: {count}" for what, count in run.invariants.counts.items() if count]
        broken += [
            f"{entry.name}: {entry.remainder} unaccounted for"
            for entry in run.ledger.entries
            if entry.remainder
        ]
        lost = {COUNTERS_LOST} if fault.loses_counts else set()
        broken += [missing for missing in run.ledger.missing if missing not in lost]
    if run.wrong_answers.count:
        broken.append(f"{run.wrong_answers.count} wrong answers")
    if longest_ns > (DEADLINE_S + LATE_S_MAX) * SECOND_NS:
        broken.append(f"an answer took {longest_ns / SECOND_NS:.1f} s")
    if cut and not fault.cuts_connections:
        broken.append(f"{cut} requests had no answer")
    if in_flight != 0:
        broken.append(f"in flight at the end: {'unknown' if in_flight is None else in_flight}")
    if recovered is None:
        broken.append("the throughput did not come back")
    return Found(
        fault=name,
        seed=run.seed,
        run_id=run.run_id,
        span_s=0.0 if began_ns is None else ((healed_ns or began_ns) - began_ns) / SECOND_NS,
        proof=proof,
        requests=len(rows),
        checkouts=sum(row.operation == "checkout" and row.status == 200 for row in rows),
        unknown=sum(row.status in (0, 504) for row in rows),
        cut=cut,
        longest_s=longest_ns / SECOND_NS,
        recovered_s=recovered,
        recovery_s_max=fault.recovery_s_max,
        violations=violations,
        broken=broken,
    )
