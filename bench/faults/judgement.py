"""The promises under a fault are judged from the record of a run and its history (pure)."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal, NamedTuple

from bench.faults.fault import Fault, Injected
from bench.judge.host_health import STOLEN
from bench.judge.reply_contract import RESENT
from bench.records.request_log import Row
from bench.records.run_record import EntryRecord, RunRecord, WindowFigures
from bench.stats.quantiles import percentile_ms
from bench.stats.window import is_answered

LATE_S_MAX = 1.0
"""An answer may come so long after its deadline."""
RECOVERED_SHARE = 0.8
"""A recovery is this share of the earlier throughput, in each second of a stretch."""
RECOVERED_STRETCH_S = 3
"""A recovery must last so long: a burst of what had waited is none."""
OUTAGE_SHARE = 0.5
"""A second with less than this share of the earlier throughput is one of an outage: chance has no
part in it. A recovery comes after the last one."""
LAST_S = RECOVERED_STRETCH_S + 1
"""An outage that begins in the last so many seconds of a load has no time to end, and a stretch of
recovery after it: whether it would is unknown."""
HELD_BACK_SHARE_MAX = 0.01
"""A load may have this share held back: where more was not sent, that may be the worst of it."""
LOOK_S = 0.1
"""The time of the recovery is known this exactly."""
SECOND_NS = 1_000_000_000
"""A second has so many nanoseconds."""
ENDLESS_NS = 3600 * SECOND_NS
"""No request waits for so long: it stands for one that has no answer."""
COMPARED_MIN = 500
"""A 99th percentile of fewer requests is not compared: it is the longest five of them."""
NOT_DONE = frozenset({"checkout_expired", "idempotency_key_expired", "bad_request"})
"""Answers with these codes are no throughput: no request of the load earns them, and a system that
refuses all of its work as too late would have recovered by them."""
COUNTERS_LOST = "the gateway's counters could not be read, or it was started anew"
RESPONSES = "responses of the gateway"

State = Literal["hold", "broken", "unknown"]


@dataclass(frozen=True)
class Found:
    """A finding is a fault, its run, and whether the promises held."""

    fault: str
    seed: int
    run_id: str
    commit: str
    rate_per_s: float
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
    unsure: list[str]
    """These lines say why it can't be told whether they did."""
    refused: int = 0
    """So many requests were refused with 503."""
    resent: int = 0
    """So many writes that had ended with 504 were sent again with their request_id, and what they
    did is known."""
    took_s: float = 0.0
    """The whole took so long, the judging included."""

    @property
    def state(self) -> State:
        return "broken" if self.broken else "unknown" if self.unsure else "hold"


class Loaded(NamedTuple):
    """A load met faults."""

    run: RunRecord
    folder: Path
    """The folder is the run's."""
    history: Iterable[Row]
    injected: Sequence[Injected]
    in_flight: int | None
    """The gateway had so many requests under way once all was over; None: it did not say."""


@dataclass(frozen=True)
class Bitten:
    """An injection tells this: when the fault began and was healed, what proves it, and what did
    not hold, or can't be told, by its own account."""

    began_ns: int | None
    healed_ns: int | None
    proof: str
    broken: Sequence[str] = ()
    unsure: Sequence[str] = ()
    struck_ns: int | None = None
    """The first part was killed then, where that was not at the beginning."""


def recovered_s(
    answers: Sequence[int],
    span_ns: tuple[int, int],
    began_ns: int,
    from_ns: int,
    rate_per_s: float = 0.0,
) -> float | None:
    """`recovered_s` returns the seconds from `from_ns` until the throughput is back, for good: to
    what it was before, or to nearly the `rate_per_s`, where an earlier fault had cost some of it.

    `answers` are the times of all answers, in ns and in order; `span_ns` is when the load, which is
    even, was opened and closed.
    """
    opened_ns, closed_ns = span_ns
    earlier = bisect_left(answers, began_ns) - bisect_left(answers, opened_ns)
    per_s = earlier / max(1, began_ns - opened_ns) * SECOND_NS
    per_s = max(per_s, RECOVERED_SHARE * rate_per_s)
    look_ns = int(LOOK_S * SECOND_NS)
    looks = range(from_ns, closed_ns - SECOND_NS + 1, look_ns)
    seconds = [bisect_left(answers, at + SECOND_NS) - bisect_left(answers, at) for at in looks]
    lost = [place for place, count in enumerate(seconds) if count < OUTAGE_SHARE * per_s]
    for place in range(lost[-1] + 1 if lost else 0, len(seconds)):
        at_ns = looks[place]
        edges = [at_ns + second * SECOND_NS for second in range(RECOVERED_STRETCH_S + 1)]
        if edges[-1] > closed_ns:
            return None
        places = [bisect_left(answers, edge) for edge in edges]
        if min(after - before for before, after in pairwise(places)) >= RECOVERED_SHARE * per_s:
            return (at_ns - from_ns) / SECOND_NS
    return None


def lost_s(
    answers: Sequence[int], span_ns: tuple[int, int], excused: Sequence[tuple[int, int]]
) -> list[int]:
    """`lost_s` returns the seconds of an even load, counted from its opening, that had less than
    half of a usual second's answers, and of which no part is in an excused span.

    `answers` and `span_ns` are as those of `recovered_s`; a usual second has the mean.
    """
    opened_ns, closed_ns = span_ns
    edges = range(opened_ns, closed_ns + 1, SECOND_NS)
    places = [bisect_left(answers, edge) for edge in edges]
    counts = [after - before for before, after in pairwise(places)]
    usual = sum(counts) / max(1, len(counts))
    return [
        second
        for second, count in enumerate(counts)
        if count < OUTAGE_SHARE * usual
        and not any(
            began_ns < edges[second + 1] and edges[second] < ended_ns
            for began_ns, ended_ns in excused
        )
    ]


def others_failed(history: Iterable[Row], injected: Sequence[Injected]) -> list[str]:
    """`others_failed` returns a line for each fault that may cost others nothing, and during which
    requests failed. What was under way in the time of another fault, until its goal, is that
    one's."""
    rows = [row for row in history if row.status == 0 or row.status >= 500 or row.code in NOT_DONE]
    spans = [
        (each.began_ns, each.healed_ns + round(each.fault.recovery_s_max * SECOND_NS))
        for each in injected
        if not each.fault.spares
    ]
    lines = []
    for each in injected:
        failed = sum(
            each.began_ns <= row.sent_ns < each.healed_ns
            and (row.status != 0 or not each.fault.may_cut)
            and not any(begun <= row.done_ns and row.sent_ns < ended for begun, ended in spans)
            for row in rows
        )
        if failed and each.fault.spares:
            lines.append(f"{each.name}: {failed} requests of others failed")
    return lines


def judge(name: str, fault: Fault, loaded: Loaded, bite: Bitten) -> Found:
    """`judge` needs the `fault` as the seed has it."""
    run, in_flight = loaded.run, loaded.in_flight
    began_ns, healed_ns = bite.began_ns, bite.healed_ns
    rows = list(loaded.history)
    longest_ns = max((row.done_ns - row.sent_ns for row in rows), default=0)
    cut = sum(row.status == 0 for row in rows)
    window = run.phases[-1].window if run.phases else None
    broken = [] if bite.proof else ["nothing shows that the fault bit"]
    broken += [*bite.broken, *_accounts(run, fault)]
    unsure, late, held_back = list(bite.unsure), list[str](), list[str]()
    recovered: float | None = None
    is_over_early = False
    if window is not None and began_ns is not None:
        answers = sorted(row.done_ns for row in rows if is_done(row))
        from_ns = healed_ns if fault.lasts and healed_ns else bite.struck_ns or began_ns
        span_ns = (window.opened_ns, window.closed_ns)
        rate_per_s = float(run.settings.rate or 0)
        recovered = recovered_s(answers, span_ns, began_ns, from_ns, rate_per_s)
        held_back = _held_back(window)
        unsure += held_back
        if recovered is None:
            earlier_ns = (window.opened_ns, window.closed_ns - LAST_S * SECOND_NS)
            recovered = recovered_s(answers, earlier_ns, began_ns, from_ns, rate_per_s)
            until_ns = from_ns + round((fault.recovery_s_max + LAST_S) * SECOND_NS)
            if recovered is not None:
                unsure.append(f"in the last {LAST_S} s the throughput fell again: too late to tell")
            elif until_ns > window.closed_ns:
                is_over_early = True
                unsure.append("the load ended before the throughput had to be back")
        if fault.p99_times_max is not None:
            ended_ns = healed_ns or window.closed_ns
            measured = [row for row in rows if window.opened_ns <= row.sent_ns < window.closed_ns]
            slower, unknown = _slower(measured, began_ns, ended_ns, fault.p99_times_max)
            late += slower
            unsure += unknown
    if (lost := _resent(run)[2]) > 0:
        late.append(f"{lost} writes that were sent again had no answer")
    if longest_ns > (fault.deadline_s + LATE_S_MAX) * SECOND_NS:
        late.append(f"an answer took {longest_ns / SECOND_NS:.1f} s")
    if cut and not fault.cuts_connections:
        broken.append(f"{cut} requests had no answer")
    refused = sum(row.status == 503 for row in rows)
    failed = sum(row.status >= 500 or row.code in NOT_DONE for row in rows)
    failed -= refused if fault.may_refuse else 0
    if failed and fault.spares:
        broken.append(f"{failed} requests of others failed")
    if in_flight != 0:
        broken.append(f"in flight at the end: {'unknown' if in_flight is None else in_flight}")
    if recovered is None and not is_over_early:
        late.append("the throughput did not come back")
    stolen = [reason for reason in run.reasons if reason.endswith(STOLEN)]
    if why_late := [*stolen, *held_back]:
        unsure += [f"{line}: {why}" for line in late for why in why_late]
    else:
        broken += late
    return Found(
        fault=name,
        seed=run.seed,
        run_id=run.run_id,
        commit=str(run.commit),
        rate_per_s=float(run.settings.rate or 0),
        span_s=0.0 if began_ns is None else ((healed_ns or began_ns) - began_ns) / SECOND_NS,
        proof=bite.proof,
        requests=len(rows),
        checkouts=sum(row.operation == "checkout" and row.status == 200 for row in rows),
        unknown=sum(row.status in (0, 504) for row in rows),
        cut=cut,
        longest_s=longest_ns / SECOND_NS,
        recovered_s=recovered,
        recovery_s_max=fault.recovery_s_max,
        violations=sum(run.invariants.counts.values()) if run.invariants else 0,
        resent=_resent(run)[0],
        broken=broken,
        unsure=unsure,
        refused=refused,
    )


def _held_back(window: WindowFigures) -> list[str]:
    """What was not sent met no fault, and nobody waited for it."""
    told = window.open
    if told is None or told.dropped <= HELD_BACK_SHARE_MAX * told.scheduled:
        return []
    return [f"{told.dropped} of {told.scheduled} requests were not sent: nobody knows their fate"]


def _resent(run: RunRecord) -> tuple[int, ...]:
    """How many writes that were sent again are known, expired, and unknown."""
    totals = run.invariants.totals if run.invariants else {}
    return tuple(totals.get(name, 0) for name in RESENT)


def is_done(row: Row) -> bool:
    """`is_done` returns whether the answer is one that the load could expect, an error or not."""
    return is_answered(row) and row.code not in NOT_DONE


def _accounts(run: RunRecord, fault: Fault) -> list[str]:
    """What the record says of the invariants, of the ledger and of wrong answers."""
    if run.invariants is None or run.ledger is None:
        return run.reasons or ["the run was not judged"]
    broken = [f"{what}: {count}" for what, count in run.invariants.counts.items() if count]
    broken += [
        f"{entry.name}: {entry.remainder} unaccounted for"
        for entry in run.ledger.entries
        if entry.remainder and not (fault.others_ask and _is_of_others(entry))
    ]
    lost = {COUNTERS_LOST} if fault.ends_gateway else set()
    broken += [missing for missing in run.ledger.missing if missing not in lost]
    if run.wrong_answers.count:
        broken.append(f"{run.wrong_answers.count} wrong answers")
    return broken


def _is_of_others(entry: EntryRecord) -> bool:
    return entry.name == RESPONSES and entry.remainder > 0


def _slower(
    rows: Sequence[Row], began_ns: int, ended_ns: int, times_max: float
) -> tuple[list[str], list[str]]:
    """Reasons, and reasons not to know: the 99th percentile during the fault, and without it.

    Without it is before and after, taken together: each alone has few of the checkpoints that
    make the slowest requests. Where those two differ as much, the machine is too uneven to tell,
    or what was done to the system lasts. What was cut waited for ever.
    """
    parts: dict[str, list[int]] = {"during": [], "before": [], "after": []}
    for row in rows:
        if is_done(row) or row.status == 0:
            at_ns = row.sent_ns
            name = "before" if at_ns < began_ns else "during" if at_ns < ended_ns else "after"
            parts[name].append(row.done_ns - at_ns if row.status else ENDLESS_NS)
    if min(map(len, parts.values())) < COMPARED_MIN:
        told = ", ".join(f"{len(part)} {name}" for name, part in parts.items())
        return [], [f"fewer than {COMPARED_MIN} requests to compare: {told}"]
    p99_ms = {name: percentile_ms(part, 99) for name, part in parts.items()}
    told = ", ".join(f"{ms:,.0f} ms {name}" for name, ms in p99_ms.items())
    line = f"p99 was {told}: more than {times_max:g} times"
    slow_ms = p99_ms["during"] / times_max
    if slow_ms > max(p99_ms["before"], p99_ms["after"]):
        return [line], []
    low_ms, high_ms = sorted((p99_ms["before"], p99_ms["after"]))
    is_even = high_ms <= times_max * low_ms
    without_ms = percentile_ms(parts["before"] + parts["after"], 99) if is_even else low_ms
    return [], ([line] if slow_ms > without_ms else [])
