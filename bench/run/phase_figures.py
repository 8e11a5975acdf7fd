"""The findings of a phase are its figures, and whether system and generator held steady.

Read from the recorded samples alone.
"""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from bench.generator.spec import Phase
from bench.judge import answers, generator_health, host_health
from bench.judge.checks import Check, doubtful, doubts
from bench.observe.processes import Cpu
from bench.records.run_record import Figures, GroupCpu, PhaseRecord, SteadyRecord, WindowFigures
from bench.records.samples import (
    DROPPED_IN_FLIGHT,
    DROPPED_LATE,
    DROPPED_LIMIT,
    Footer,
    Reader,
    Samples,
    Window,
    merge,
)
from bench.records.series_file import read_series
from bench.run.model import Measured
from bench.stats import steadiness
from bench.stats.steadiness import Steadiness
from bench.stats.window import Summary, successes, summarize
from bench.workload.arrivals import Schedule

OWN_GROUPS = frozenset({"gateway", "kafka", "flink"})
"""All these groups must be known to the run: then whatever else ran is foreign."""


class Findings(NamedTuple):
    measured: Measured
    summary: Summary | None
    """The summary is None where no window was measured."""
    settled: Steadiness | None
    """The steadiness is None where the rate changes on purpose."""
    doubtful: list[Check]
    """The checks tell that the generator or the machine was, or may have been, the bottleneck; see
    `bench.judge.generator_health` and `bench.judge.host_health`."""
    sent: int
    dropped: int
    footers: list[Footer | None]
    """Each generator has a footer; None where it did not come to its end."""
    not_sent: int = 0
    """So many requests of the window were dropped because too many were under way."""
    silent: float = 0.0
    """The share is the longest stretch of a closed loop's window without an answer."""
    replies: Mapping[str, int] | None = None
    """The replies that the generators read from topics of their own, by kind; None where one of
    them read none."""
    first_answers: Mapping[str, str] = {}
    """The first answers are those of the window's kinds that failed, see
    `bench.records.samples.Reader.answers`."""
    is_still: bool = False
    """The flag says that no request of a closed loop ended while its window was open."""

    @property
    def void(self) -> list[str]:
        """`void` says why each of `doubtful` does not hold, a line each."""
        return [f"{self.measured.phase.name}: {why}" for why in doubts(self.doubtful)]

    @property
    def requests(self) -> int:
        """`requests` are those of the window that should have been answered."""
        return self.not_sent + (0 if self.summary is None else self.summary.total.requests)

    @property
    def failed(self) -> dict[str, int]:
        """`failed` tells how many of them were not, by kind."""
        failed = {} if self.summary is None else dict(self.summary.total.failed)
        return {**failed, DROPPED_IN_FLIGHT: self.not_sent} if self.not_sent else failed

    def answered(self, failed_share_max: float) -> Check:
        """`answered` checks whether enough of them were."""
        name, is_disturbed = self.measured.phase.name, bool(self.doubtful)
        return answers.judge(
            *(name, self.requests, self.failed, failed_share_max, is_disturbed),
            *(self.silent, self.is_still),
        )

    def in_time(self, p99_ms: float) -> Check:
        """`in_time` checks the window's p99 against a person's limit."""
        assert self.summary is not None
        return answers.in_time(
            self.measured.phase.name, self.summary.total, p99_ms, is_disturbed=bool(self.doubtful)
        )


def examine(measured: Measured) -> Findings:
    """`examine` makes findings of what was measured. It raises `SamplesError`."""
    readers = [Reader(path) for path in measured.samples]
    samples = merge([reader.read() for reader in readers])
    dropped = int(samples.of_kind("dropped").sum())
    summary, not_sent, silent, is_still = None, 0, 0.0, False
    checks: list[Check] = []
    settled = measured.settled
    if (window := measured.window) is not None:
        summary = summarize(samples, window)
        settled = _settled(samples, window, measured)
        late, limited = map(window.of(samples).count, (DROPPED_LATE, DROPPED_LIMIT))
        not_sent = 0 if summary.open is None else summary.open.not_sent
        if not window.is_open_loop:  # whose schedule may pause, and whose every request counts
            silent = answers.silent_share(samples, window)
            is_still = not window.holds(samples.done_ns).any()
        watched = [reader.watched for reader in readers]
        checks = generator_health.judge(watched, window, summary.open, late, limited)
        checks += _of_host(measured, window)
        checks += [_clock(samples), *generator_health.clocks(measured.agents)]
    footers = [reader.footer for reader in readers]
    sent = len(samples) - dropped
    answers_kept = _first_answers(readers, summary)
    return Findings(
        *(measured, summary, settled, doubtful(checks), sent, dropped, footers, not_sent, silent),
        *(_replies(readers), answers_kept, is_still),
    )


def _replies(readers: Sequence[Reader]) -> dict[str, int] | None:
    total: Counter[str] = Counter()
    for reader in readers:
        if reader.replies is None:
            return None
        total.update(reader.replies)
    return dict(total)


def _first_answers(readers: Sequence[Reader], summary: Summary | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for reader in readers:
        found = reader.answers | found
    kinds = [
        f"{name}: {outcome}"
        for name, figures in (summary.operations.items() if summary else ())
        for outcome in figures.failed
    ]
    return {kind: found[kind] for kind in kinds if kind in found}


def _clock(samples: Samples) -> Check:
    """No request ends before it is sent, unless the clock that tells so jumped."""
    wrong = int(np.count_nonzero(samples.done_ns < samples.sent_ns))
    why = f"{wrong} requests ended before they were sent: the clock jumped"
    return Check("clock", "broken", why) if wrong else Check("clock", "holds")


def _of_host(measured: Measured, window: Window) -> list[Check]:
    if measured.series is None:
        return [Check("series", "unknown", "the machine was not sampled")]
    cores = os.cpu_count() or 1  # the host's figures are of all of them
    owns_all = measured.groups >= OWN_GROUPS
    series = read_series(measured.series)
    found = host_health.of_window(series, window.opened_ns, window.closed_ns, cores, owns_all)
    return host_health.judge(found)


def _settled(samples: Samples, window: Window, measured: Measured) -> Steadiness | None:
    schedule = measured.phase.schedule
    if schedule is not None and len({rate for stage in schedule.stages for rate in stage[:2]}) > 1:
        return None
    stretch = steadiness.seconds(samples, window.opened_ns, window.closed_ns)
    return steadiness.judge(stretch, given_rate=schedule is not None)


def describe(findings: Findings) -> PhaseRecord:
    measured, settled = findings.measured, findings.settled
    phase = measured.phase
    warmup_s = round(measured.warmup_s, 3)
    return PhaseRecord(
        name=phase.name,
        loop="closed" if phase.schedule is None else "open",
        users=phase.users or None,
        schedule=None if phase.schedule is None else str(_measured_part(phase)),
        warmup_s=warmup_s,
        duration_s=phase.duration_s,
        generators=measured.generators,
        samples=[path.name for path in measured.samples],
        histories=[path.name + ".gz" for path in measured.histories],
        series=_name(measured.series),
        stages=_name(measured.stages),
        steady=None if settled is None else SteadyRecord(settled.steady, settled.why, warmup_s),
        window=_window(findings),
        agents=list(measured.agents),
    )


def _window(findings: Findings) -> WindowFigures | None:
    measured, summary, window = findings.measured, findings.summary, findings.measured.window
    if window is None or summary is None:
        return None
    total = summary.total
    per_request = {}
    if total.answered:
        per_request = {
            name: round(amount / total.answered, 4) for name, amount in measured.counted.items()
        }
    return WindowFigures(
        **vars(total),
        opened_ns=window.opened_ns,
        closed_ns=window.closed_ns,
        length_s=round(window.length_s, 3),
        operations=summary.operations,
        open=summary.open,
        checkout_paid_share=_paid_share(summary.operations.get("checkout")),
        cpu={group: _cpu(cpu, total.answered) for group, cpu in measured.cpu.items()},
        per_request=per_request,
        first_answers=dict(findings.first_answers),
    )


def _cpu(cpu: Cpu, answered: int) -> GroupCpu:
    return GroupCpu(
        cpu_s=round(cpu.total_s, 6),
        compiling_s=round(cpu.compiling_s, 6),
        compacting_s=round(cpu.compacting_s, 6),
        us_per_request=round(cpu.total_s * 1e6 / answered, 1) if answered else None,
    )


def _measured_part(phase: Phase) -> Schedule:
    """Without the stage that warms up before a window."""
    assert phase.schedule is not None
    stages = phase.schedule.stages
    return phase.schedule._replace(stages=stages[1:] if phase.duration_s else stages)


def _name(path: Path | None) -> str | None:
    return None if path is None else path.name


def _paid_share(checkouts: Figures | None) -> float | None:
    """Of the checkouts of the window, however they ended."""
    if checkouts is None:
        return None
    return round(successes(checkouts) / checkouts.requests, 4)


def wall_offset_ns(paths: Sequence[Path]) -> int:
    """`wall_offset_ns` is what the wall clock is ahead of the samples' clock; 0 without samples."""
    for path in paths:
        reader = Reader(path)
        reader.read_marks()
        if reader.wall_ns:
            return reader.wall_ns - reader.monotonic_ns
    return 0
