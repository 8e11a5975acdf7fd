"""A window keeps the limits that a person set for it, as ``--p99-ms 50``, or does not."""

from bench.judge.checks import Check
from bench.records.run_record import Figures


def judge(name: str, total: Figures, p99_ms: float, is_disturbed: bool = False) -> Check:
    """`judge` checks a window's p99; one that is only known as a lower bound never passes.

    On a machine that was disturbed a long p99 is nobody's fault that is known.
    """
    latency_ms = total.latency_ms
    if latency_ms is None:
        return Check(name, "unknown", f"{name}: nothing was sent, so its p99 is not known")
    found_ms = latency_ms.p99
    is_bound = "p99" in latency_ms.at_least
    if found_ms <= p99_ms and not is_bound:
        return Check(name, "holds")
    least = "at least " if is_bound else ""
    why = f"{name}: p99 is {least}{found_ms:.4g} ms, at most {p99_ms:g} are allowed (--p99-ms)"
    if is_disturbed:
        return Check(name, "unknown", f"{why}; the generator or the machine may be the cause")
    return Check(name, "broken", why)
