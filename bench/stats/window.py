"""A window of samples shows exact figures, from every sample.

A sample of latency is a request that was answered: 200 or 4xx. A refusal for overload and any other
5xx is none, however quick; it is counted under its kind. Of a timeout and of a broken connection
only the wait is known: they are censored samples, see `bench.stats.quantiles`.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.records.request_log import Row
from bench.records.run_record import (
    PERCENTS,
    Figures,
    Latency,
    OpenFigures,
    WindowFigures,
)
from bench.records.samples import DROPPED_IN_FLIGHT, Samples, Window
from bench.stats.quantiles import Quantile, quantiles


class Summary(NamedTuple):
    total: Figures
    operations: dict[str, Figures]
    open: OpenFigures | None


def kind_of(row: Row) -> str:
    return f"{row.status} {row.code or 'no error code'}" if row.status else "connection"


def is_answered(row: Row) -> bool:
    return row.status == 200 or 400 <= row.status < 500


def summarize(samples: Samples, window: Window) -> Summary:
    """`summarize` returns figures of all requests of the window, of each operation, and of the
    schedule."""
    inside = window.of(samples)
    dropped = inside.of_kind("dropped")
    sent = inside.where(~dropped)
    done = samples.where(window.holds(samples.done_ns))
    waiting = window.left_by(samples)
    lost = int(dropped.sum())
    operations = {}
    for index, name in sorted(enumerate(samples.operations), key=lambda item: item[1]):
        own = sent.where(sent.operation == index)
        if len(own):
            operations[name] = figures(
                own,
                done.where(done.operation == index),
                window,
                waiting=waiting.where(waiting.operation == index),
            )
    total = figures(sent, done, window, lost, waiting)
    not_sent = inside.count(DROPPED_IN_FLIGHT)
    kept = _open_figures(sent, lost, not_sent) if window.is_open_loop else None
    return Summary(total, operations, kept)


def figures(
    sent: Samples, done: Samples, window: Window, lost: int = 0, waiting: Samples | None = None
) -> Figures:
    """`figures` counts as `done` those that ended while the window was open; `lost` requests were
    never sent. Those of `waiting` are in the latencies alone, see `Samples.latencies_ns`."""
    answered = sent.of_kind("ok", "refused")
    known_ns, waited_ns = sent.latencies_ns(waiting)
    return Figures(
        requests=len(sent),
        answered=int(answered.sum()),
        throughput_per_s=round(int(done.of_kind("ok", "refused").sum()) / window.length_s, 1),
        latency_ms=latency_ms(known_ns, waited_ns, lost),
        refused=_counted(sent.where(sent.of_kind("refused"))),
        failed=_counted(sent.where(sent.of_kind("failed", "censored"))),
        done=_counted(sent.where(sent.of_kind("ok"))),
    )


def latency_ms(
    known_ns: NDArray[np.int64], waited_ns: NDArray[np.int64], lost: int = 0
) -> Latency | None:
    """`latency_ms` returns the quantiles of `PERCENTS`, see `bench.stats.quantiles.quantiles`."""
    return describe(quantiles(known_ns, waited_ns, lost, list(PERCENTS.values())))


def describe(found: Sequence[Quantile]) -> Latency | None:
    """`describe` gives them in ms, to the microsecond; None where there are none."""
    if not found:
        return None
    p50, p90, p99, p999, longest = (round(quantile.value_ns / 1e6, 3) for quantile in found)
    bounds = [name for name, quantile in zip(PERCENTS, found, strict=True) if quantile.is_bound]
    return Latency(p50, p90, p99, p999, longest, bounds)


def asked(found: Figures) -> int:
    """`asked` counts the requests that should have been answered: those too that could not be sent,
    as too many were under way. Of one operation they are not known."""
    kept = found.open if isinstance(found, WindowFigures) else None
    return found.requests + (0 if kept is None else kept.not_sent)


def successes(found: Figures) -> int:
    """`successes` counts the answers of a status below 400, whichever it was."""
    return found.answered - sum(found.refused.values())


def failures(found: Figures) -> int:
    """`failures` counts those of `asked` that were not answered as they should."""
    return sum(found.failed.values()) + asked(found) - found.requests


def failed_share(found: Figures) -> float | None:
    """`failed_share` is None where nothing was asked."""
    return failures(found) / asked(found) if asked(found) else None


def _open_figures(sent: Samples, dropped: int, not_sent: int) -> OpenFigures:
    answered, censored = sent.of_kind("ok", "refused"), sent.of_kind("censored")
    scheduled = len(sent) + dropped
    nothing = np.zeros(0, dtype=np.int64)
    return OpenFigures(
        scheduled=scheduled,
        dropped=dropped,
        achieved_ratio=round(len(sent) / scheduled, 4) if scheduled else 0.0,
        service_ms=latency_ms(sent.service_ns[answered], sent.service_ns[censored]),
        schedule_lag_ms=latency_ms(sent.schedule_lag_ns, nothing),
        not_sent=not_sent,
    )


def _counted(samples: Samples) -> dict[str, int]:
    counts = np.bincount(samples.outcome, minlength=len(samples.outcomes))
    kinds = Counter(
        {name: int(count) for name, count in zip(samples.outcomes, counts, strict=True) if count}
    )
    return dict(kinds.most_common())
