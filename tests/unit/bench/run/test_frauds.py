"""Runs that once looked well: a fault is put into what was recorded, and none of them is VALID."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson
import pytest

from bench.generator.spec import Phase
from bench.observe.processes import GROUPS, Cpu
from bench.records.run_record import Level
from bench.records.samples import Writer
from bench.report.charts import level_state
from bench.run import capacity
from bench.run.model import Measured
from bench.run.phase_figures import Findings, examine
from bench.run.record import Judgement
from bench.run.run import of_load
from bench.stats.window import Window
from bench.workload.arrivals import Schedule, Stage

MS, SECOND_NS = 1_000_000, 1_000_000_000
SECONDS = 20
RATE = 50
BEGIN_NS = 100 * SECOND_NS
"""The window opens then; samples and series begin two seconds before."""
EVERYBODY = dict.fromkeys(set(GROUPS.values()), 0.2)


@dataclass
class Recorded:
    """What a healthy phase records; a fraud changes some of it."""

    is_open: bool = True
    outcome: Callable[[int], str] = lambda number: "200"
    late_ms: float = 0.2
    took_ms: float = 5.0
    ends_at_s: float = SECONDS
    has_footer: bool = True
    watched: Callable[[int], bool] = lambda second: True
    cpu_share: float = 0.3
    lag_ms: float = 0.1
    host: dict[str, float] = field(
        default_factory=lambda: {
            "host.busy": sum(EVERYBODY.values()),
            "host.steal": 0.0,
            "host.runnable": 0.0,
            "host.io_stalled": 0.0,
            **{f"cpu.{group}": cores for group, cores in EVERYBODY.items()},
        }
    )
    sampled_s: int = SECONDS + 2
    lost: tuple[str, ...] = ()
    """Readings of the series that failed from the third second on."""
    has_series: bool = True
    ended: str = ""
    """A process of this group ended within the window: what the group took is not known."""

    def judge(self, folder: Path, max_failed: float = 0.01) -> Judgement:
        return of_load([self.examined(folder)], max_failed)

    def examined(self, folder: Path) -> Findings:
        schedule = Schedule((Stage(RATE, RATE, SECONDS),)) if self.is_open else None
        measured = Measured(
            Phase("load", 0 if self.is_open else 8, 1.0, SECONDS, schedule),
            *(1, [self._samples(folder)], [], [], frozenset(EVERYBODY)),
            Window(BEGIN_NS, BEGIN_NS + SECONDS * SECOND_NS, self.is_open),
            cpu={group: Cpu(1.0, 0.0, 0.0) for group in EVERYBODY if group != self.ended},
            warmup_s=1.0,
            settled=None,
            interrupted=False,
            series=self._series(folder) if self.has_series else None,
        )
        return examine(measured)

    def _samples(self, folder: Path) -> Path:
        path = folder / "samples-load-0.bin"
        writer = Writer(path)
        for number in range(int(self.ends_at_s * RATE)):
            outcome, intended_ns = self.outcome(number), BEGIN_NS + number * SECOND_NS // RATE
            sent_ns = intended_ns + int(self.late_ms * MS)
            label = writer.label("find_user", outcome)
            writer.add((label, intended_ns, sent_ns, sent_ns + int(self.took_ms * MS)))
            writer.scheduled += 1
            writer.sent += not outcome.startswith("dropped")
        for second in filter(self.watched, range(-2, SECONDS + 2)):
            writer.watch(
                at_ns=BEGIN_NS + second * SECOND_NS,
                cpu_ns=int((second + 2) * SECOND_NS * self.cpu_share),
                loop_lag_ns=int(self.lag_ms * MS),
            )
        writer.close()
        if not self.has_footer:
            marks = path.with_suffix(".jsonl")
            *lines, _footer = marks.read_bytes().splitlines(keepends=True)
            marks.write_bytes(b"".join(lines))
        return path

    def _series(self, folder: Path) -> Path:
        at_ns = [BEGIN_NS + (second - 2) * SECOND_NS for second in range(self.sampled_s + 1)]
        series = {
            name: [
                None if place == 0 or (name in self.lost and place > 3) else value
                for place in range(len(at_ns))
            ]
            for name, value in self.host.items()
        }
        path = folder / "series-load.json"
        content = {"schema_version": 1, "at_ns": at_ns, "series": series, "events": []}
        path.write_bytes(orjson.dumps(content))
        return path


def with_host(**values: float) -> Recorded:
    healthy = Recorded()
    healthy.host |= {f"host.{name}": value for name, value in values.items()}
    return healthy


def outcomes(bad: str, every: int = 1, after: int = 0) -> Callable[[int], str]:
    return lambda number: bad if number >= after and number % every == 0 else "200"


FRAUDS: dict[str, tuple[Recorded, str]] = {
    "nobody listens": (
        Recorded(outcome=outcomes("connection ConnectionRefusedError")), "failed"),
    "nobody listens, to users": (
        Recorded(is_open=False, outcome=outcomes("connection refused")), "failed"),
    "nobody listens, beside a neighbour": (
        Recorded(outcome=outcomes("connection refused"), host=with_host(steal=1.9).host),
        "failed"),
    "one in fifty is a 503": (Recorded(outcome=outcomes("503 overloaded", 50)), "failed"),
    "one in fifty has no answer": (Recorded(outcome=outcomes("504 timeout", 50)), "failed"),
    "one in fifty is what nobody expects": (
        Recorded(outcome=outcomes("unexpected 500 no error code", 50)), "failed"),
    "it refuses from the middle on": (
        Recorded(outcome=outcomes("503 unavailable", after=SECONDS * RATE // 2)), "failed"),
    "a fifth was not sent: too many under way": (
        Recorded(outcome=outcomes("dropped in_flight", 5)), "failed"),
    "nothing was sent at all": (Recorded(ends_at_s=0), "failed"),
    "its users stop halfway": (Recorded(is_open=False, ends_at_s=SECONDS * 0.45), "failed"),
    "its generator was killed": (Recorded(has_footer=False), "invalid"),
    "the generator was late": (Recorded(late_ms=25.0), "void"),
    "one in fifty was not sent in time": (Recorded(outcome=outcomes("dropped late", 50)), "void"),
    "the generator used a core up": (Recorded(cpu_share=0.97), "void"),
    "the generator's clock rang late": (Recorded(lag_ms=40.0), "void"),
    "the generator told nothing of itself": (Recorded(watched=lambda second: False), "void"),
    "the generator fell silent": (Recorded(watched=lambda second: second < 5), "void"),
    "the clock jumped": (Recorded(took_ms=-3_600_000.0), "void"),
    "a neighbour took the machine": (with_host(steal=1.9), "void"),
    "another process used the machine": (with_host(busy=64.0), "void"),
    "too many waited for a core": (with_host(runnable=10_000.0), "void"),
    "a disk stood still": (with_host(io_stalled=0.3), "void"),
    "nobody looked at the machine": (Recorded(has_series=False), "void"),
    "the sampler died": (Recorded(sampled_s=8), "void"),
    "the sampler died at once": (Recorded(sampled_s=0), "void"),
    "steal could not be read": (Recorded(lost=("host.steal",)), "void"),
    "who waits could not be read": (Recorded(lost=("host.runnable",)), "void"),
    "how long disks stood still could not be read": (
        Recorded(lost=("host.io_stalled",)), "void"),
    "the CPU time of Kafka could not be read": (Recorded(lost=("cpu.kafka",)), "void"),
    "a neighbour, beside a process of Kafka's that ended": (
        replace(with_host(busy=64.0), ended="kafka"), "void"),
    "a fifth failed on a machine that was taken away": (
        Recorded(outcome=outcomes("504 timeout", 5), host=with_host(steal=1.9).host), "void"),
}  # fmt: skip


@pytest.mark.parametrize("fraud", FRAUDS)
def test_a_fraud_is_never_valid(fraud: str, tmp_path: Path) -> None:
    recorded, verdict = FRAUDS[fraud]
    judgement = recorded.judge(tmp_path)
    assert judgement.verdict == verdict, judgement.reasons
    assert judgement.reasons
    assert all("\n" not in reason for reason in judgement.reasons)


@pytest.mark.parametrize("p99_ms", [1000.0, 1.0])
@pytest.mark.parametrize(
    "fraud", [name for name, (_, verdict) in FRAUDS.items() if verdict == "void"]
)
def test_a_search_counts_no_step_that_may_have_gone_otherwise(
    fraud: str, p99_ms: float, tmp_path: Path
) -> None:
    """A step with a neighbour ended a search, and counted as held or not, as its p99 was."""
    found = FRAUDS[fraud][0].examined(tmp_path)
    assert found.summary is not None
    step = capacity.judge(RATE, Level(p99_ms, 0.0), found.summary, [], found.doubtful)
    assert level_state(step) == "unknown"
    assert step.why != "held"
    assert step.doubts == [check.why for check in found.doubtful] != []


LATE = Recorded(late_ms=25.0, took_ms=400.0)
"""A p99 of 425 ms, of which 25 ms of lag and 20 ms between two requests may explain 180."""


@pytest.mark.parametrize(
    ("recorded", "p99_ms", "state"),
    [
        (LATE, 244.9, "not held"),
        (LATE, 245.1, "unknown"),
        (LATE, 425.1, "unknown"),
        # Something else was wrong too.
        (replace(LATE, host=with_host(steal=1.9).host), 244.9, "unknown"),
        (replace(LATE, sampled_s=8), 244.9, "unknown"),
        (replace(LATE, cpu_share=0.97), 244.9, "unknown"),
        # What was not sent is in the p99.
        (replace(LATE, outcome=outcomes("dropped in_flight", 200)), 244.9, "unknown"),
        (replace(LATE, outcome=outcomes("504 timeout", 50)), 100.0, "unknown"),
    ],
)
def test_a_p99_beyond_all_that_the_generator_added_is_the_systems(
    recorded: Recorded, p99_ms: float, state: str, tmp_path: Path
) -> None:
    found = recorded.examined(tmp_path)
    assert found.summary is not None
    step = capacity.judge(RATE, Level(p99_ms, 0.01), found.summary, [], found.doubtful)
    assert level_state(step) == state


@pytest.mark.parametrize(
    "healthy",
    [
        Recorded(),
        Recorded(is_open=False),
        Recorded(outcome=outcomes("409 out_of_stock", 2)),
        Recorded(outcome=outcomes("503 overloaded", 101)),
        Recorded(late_ms=9.9, lag_ms=19.0, cpu_share=0.89),
        with_host(steal=0.01, runnable=1.0, io_stalled=0.05),
    ],
)
def test_what_is_within_the_limits_is_valid(healthy: Recorded, tmp_path: Path) -> None:
    judgement = healthy.judge(tmp_path)
    assert (judgement.verdict, judgement.reasons) == ("valid", [])


def test_how_much_may_fail_is_the_callers_choice(tmp_path: Path) -> None:
    recorded = Recorded(outcome=outcomes("503 overloaded", 50))
    assert recorded.judge(tmp_path, max_failed=0.05).verdict == "valid"
