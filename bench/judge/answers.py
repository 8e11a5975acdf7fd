"""A run must be answered at all, and in the time that a person allows.

Figures of a system that refuses everything are none.
"""

from collections.abc import Mapping

import numpy as np

from bench.judge.checks import Check
from bench.records.run_record import Figures
from bench.records.samples import Samples, Window

KINDS_SHOWN_MAX = 5
"""A line names at most this many kinds of errors; the first is nearly always the cause of the
others."""
SILENT_SHARE_MAX = 0.5
"""A window may pass for this share without a single answer. The users of a closed loop who wait as
the window closes, and are answered later, are in its latencies alone: without this limit a system
that stopped halfway would not have failed."""


def silent_share(samples: Samples, window: Window) -> float:
    """`silent_share` returns the longest stretch without any answer, as a share of the window."""
    answered = samples.of_kind("ok", "refused") & window.holds(samples.done_ns)
    times = np.sort(samples.done_ns[answered])
    edges = np.concatenate(([window.opened_ns], times, [window.closed_ns]))
    return float(np.diff(edges).max() / (window.closed_ns - window.opened_ns))


def judge(
    name: str,
    requests: int,
    failed: Mapping[str, int],
    failed_share_max: float,
    is_disturbed: bool = False,
    silent: float = 0.0,
    is_still: bool = False,
) -> Check:
    """`judge` checks that enough of a window's requests were answered as expected.

    `requests` counts those that were sent and those that could not be, as too many were under way;
    `failed` counts them by kind, in the order in which the kinds came up. A refusal that the
    workload expects is an answer. `silent` is the share of a closed loop's window in which none
    came; it is still where none so much as failed: all users waited through it. On a machine that
    was disturbed, failures are nobody's fault that is known, nor is it that a window was still; but
    where all requests failed, or none was sent, that is told, whatever else was wrong.
    """
    lost = sum(failed.values())
    if lost <= failed_share_max * requests and lost < requests:
        if silent <= SILENT_SHARE_MAX:
            return Check(name, "holds")
        why = f"{name}: nothing was answered for {silent:.0%} of the window"
        return Check(name, "unknown" if is_disturbed else "broken", why)
    kinds = [f"{kind} ({count:,})" for kind, count in failed.items()]
    if len(kinds) > KINDS_SHOWN_MAX:
        kinds[KINDS_SHOWN_MAX:] = [f"{len(kinds) - KINDS_SHOWN_MAX} more kinds"]
    errors = ", ".join(kinds)
    if not requests:
        why = f"{name}: nothing was answered: no request came to its end"
        return Check(name, "unknown" if is_disturbed and silent else "broken", why)
    if lost >= requests:
        why = f"{name}: nothing was answered as expected: all {requests:,} requests failed: "
        return Check(name, "unknown" if is_disturbed and is_still else "broken", why + errors)
    why = (
        f"{name}: {lost:,} of {requests:,} requests were not answered as expected, at most "
        f"{failed_share_max * 100:g} % may fail (--max-failed): {errors}"
    )
    if is_disturbed:
        return Check(name, "unknown", f"{why}; the generator or the machine may be the cause")
    return Check(name, "broken", why)


def in_time(name: str, total: Figures, p99_ms: float, is_disturbed: bool = False) -> Check:
    """`in_time` checks a window's p99; one that is only known as a lower bound never passes.

    On a machine that was disturbed a long p99 is nobody's fault that is known.
    """
    latency_ms = total.latency_ms
    if latency_ms is None:
        what = "answered as expected" if total.requests else "sent"
        return Check(name, "unknown", f"{name}: nothing was {what}, so its p99 is not known")
    found_ms = latency_ms.p99
    is_bound = "p99" in latency_ms.at_least
    if found_ms <= p99_ms and not is_bound:
        return Check(name, "holds")
    least = "at least " if is_bound else ""
    why = f"{name}: p99 is {least}{found_ms:.4g} ms, at most {p99_ms:g} are allowed (--p99-ms)"
    if is_disturbed:
        return Check(name, "unknown", f"{why}; the generator or the machine may be the cause")
    return Check(name, "broken", why)
