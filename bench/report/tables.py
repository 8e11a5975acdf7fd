"""The tables of a run are text, which Markdown and the page both show."""

from collections.abc import Sequence

from bench.judge.reply_contract import INVARIANTS, RESENT
from bench.records.run_record import (
    GROUPS,
    PERCENTS,
    CapacityRecord,
    Figures,
    GroupCpu,
    InvariantsRecord,
    LedgerRecord,
    ProbeRecord,
    QuantileName,
    RunRecord,
    RunSettings,
    WindowFigures,
)
from bench.report import phrases
from bench.report.charts import by_rate, level_state
from bench.report.phrases import Table

PROBE_QUANTILES: tuple[QuantileName, ...] = ("p50", "p99", "max")
LATENCY_HEADS = tuple(f"{name} ms" for name in PERCENTS)


PASSED, FAILED = "passed", "FAILED"
NOT_HELD, CANT_TELL = "NOT HELD", "CAN'T TELL"
BROKEN = "BROKEN"
LEVEL_STATES = {"held": "held", "not held": NOT_HELD, "unknown": CANT_TELL}
PROBE_STATES = {"holds": PASSED, "broken": FAILED, "unknown": CANT_TELL}


def is_bad(cell: str) -> bool:
    """`is_bad` marks what a reader should not overlook."""
    return cell.startswith((FAILED, NOT_HELD, BROKEN))


def phases(run: RunRecord) -> Table:
    return Table(
        ["load", "requests/s", *LATENCY_HEADS, "refused", "failed"],
        [[phrases.phase_title(phase), *_figures(window)] for phase, window in run.windows],
    )


def cpu(run: RunRecord) -> Table | None:
    """The table is of each group of processes; None where none was known."""
    windows = [(phrases.phase_title(phase), window.cpu) for phase, window in run.windows]
    groups = [group for group in GROUPS if any(group in cpu for _, cpu in windows)]
    heads = ["CPU µs/request", *groups]
    rows = [[title, *(_us(cpu.get(group)) for group in groups)] for title, cpu in windows]
    return Table(heads, rows) if groups else None


def amounts(run: RunRecord) -> Table | None:
    """The table shows what else a request took; None where nothing was counted."""
    windows = [(phrases.phase_title(phase), window.per_request) for phase, window in run.windows]
    names = dict.fromkeys(name for _, counted in windows for name in counted)
    heads = ["per request", *(name.replace("_", " ") for name in names)]
    rows = [
        [title, *(phrases.amount(counted.get(name)) for name in names)]
        for title, counted in windows
    ]
    return Table(heads, rows) if names else None


def open_loops(run: RunRecord) -> Table | None:
    """The table shows how well the schedules were kept; None where there is no open loop."""
    rows = [
        [
            phrases.phase_title(phase),
            f"{kept.scheduled:,}",
            f"{kept.dropped:,}",
            phrases.share(kept.achieved_ratio),
            phrases.latency(kept.service_ms, "p50"),
            phrases.latency(kept.service_ms, "p99"),
            phrases.latency(kept.schedule_lag_ms, "p99"),
        ]
        for phase, window in run.windows
        if (kept := window.open)
    ]
    heads = ["load", "scheduled", "dropped", "achieved", "service p50 ms", "service p99 ms",
             "schedule lag p99 ms"]  # fmt: skip
    return Table(heads, rows) if rows else None


def operations(window: WindowFigures) -> Table:
    return Table(
        ["operation", "requests/s", *LATENCY_HEADS, "refused", "failed"],
        [[name, *_figures(figures)] for name, figures in window.operations.items()],
    )


def kinds(window: WindowFigures) -> list[tuple[str, str]]:
    """`kinds` returns what was refused and what failed, by kind."""
    return [
        (what, ", ".join(f"{kind} ({count:,})" for kind, count in counts.items()) or "none")
        for what, counts in (("failed", window.failed), ("refused", window.refused))
    ]


def first_answers(window: WindowFigures) -> list[tuple[str, str]]:
    """`first_answers` returns how the first answer of each kind that failed began."""
    return [
        (f"first answer, {kind}", text or "(no body)")
        for kind, text in window.first_answers.items()
    ]


def capacity(found: CapacityRecord) -> Table:
    heads = ["rate/s", "level", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "failed", "dropped",
             "lag p99 ms", "why"]  # fmt: skip
    rows = [
        [
            phrases.rate(step.rate_per_s),
            LEVEL_STATES[level_state(step)],
            phrases.rate(step.throughput_per_s),
            *map(phrases.ms, (step.p50_ms, step.p99_ms, step.p999_ms)),
            phrases.share(step.failed_share),
            f"{step.dropped:,}",
            phrases.ms(step.schedule_lag_p99_ms),
            "; ".join([step.why] * bool(step.why and not step.held) + step.doubts) or phrases.NONE,
        ]
        for step in by_rate(found)
    ]
    return Table(heads, rows, frozenset({1, 9}))


def level(found: CapacityRecord) -> str:
    """`level` describes the service level that a capacity was searched for."""
    failed = phrases.share(found.level.failed_share)
    return f"p99 at most {found.level.p99_ms:g} ms, at most {failed} failed"


def knee(found: CapacityRecord) -> str:
    rate = found.knee_per_s
    ended = "; the search did not come to its end, and a higher one may hold" * found.at_least
    if rate is None:
        return "nobody can tell whether a rate holds" if ended else "no rate held the service level"
    return f"the highest rate that held is {phrases.rate(rate)} requests per second{ended}"


def resent(invariants: InvariantsRecord) -> str | None:
    """`resent` says what became of writes that were sent again; None where none was."""
    known, expired, unknown = (invariants.totals.get(name, 0) for name in RESENT)
    if not known + expired + unknown:
        return None
    return (
        f"Writes that were answered 504, and sent again with their request_id: {known:,} are known "
        f"by that, {expired:,} were too old, {unknown:,} had no answer."
    )


def probes(results: Sequence[ProbeRecord]) -> Table:
    rows = [
        [
            probe.name,
            PROBE_STATES[probe.state],
            f"{probe.requests:,}",
            *(phrases.latency(probe.latency_ms, name) for name in PROBE_QUANTILES),
            phrases.plain(probe.figures),
            "; ".join(probe.reasons) or phrases.NONE,
        ]
        for probe in results
    ]
    heads = ["probe", "result", "requests", *(f"{name} ms" for name in PROBE_QUANTILES), "figures",
             "reasons"]  # fmt: skip
    return Table(heads, rows, frozenset({0, 1, 6, 7}))


def ledger(found: LedgerRecord) -> Table:
    rows = [
        [
            entry.name,
            f"{entry.total:,}",
            ", ".join(f"{name} {count:,}" for name, count in entry.parts.items()),
            f"{entry.remainder:,}",
        ]
        for entry in found.entries
    ]
    return Table(["count", "total", "parts", "remainder"], rows, frozenset({0, 2}))


def invariants(found: InvariantsRecord) -> Table:
    rows = [
        [name, f"{BROKEN} {count:,} times" if count else "holds", INVARIANTS.get(name, "")]
        for name, count in found.counts.items()
    ]
    return Table(["invariant", "result", "what it says"], rows, frozenset({0, 1, 2}))


def settings(run: RunRecord) -> list[tuple[str, str]]:
    without = {"seed"} | _meaningless(run.settings)
    shown = {name: value for name, value in vars(run.settings).items() if name not in without}
    return [phrases.setting(name, value) for name, value in {**shown, "seed": run.seed}.items()]


SHOP_SETTINGS = {"scenario", "zipf", "trace_every"}
WHERE_GIVEN = {"saturation_users", "agents", "kafka", "record_bytes", "basket"}
"""These settings mean nothing where they are not given."""


def _meaningless(settings: RunSettings) -> set[str]:
    """The settings that say nothing about this run: a service of somebody else's is no shop."""
    found = {name for name in WHERE_GIVEN if not getattr(settings, name)}
    if settings.workload is not None:
        found = found | SHOP_SETTINGS
    if is_foreign(settings):
        found = found | {"workers"}
    if settings.rate is not None:
        found = found | {"users"}
    if settings.target is None or not settings.target.startswith("https:"):
        found = found | {"ca", "insecure"}
    return found


def is_foreign(settings: RunSettings) -> bool:
    """`is_foreign` tells whether what was under load is somebody else's."""
    return settings.workload is not None and settings.target is not None


def environment(run: RunRecord) -> list[tuple[str, str]]:
    where = dict(vars(run.environment))
    if is_foreign(run.settings):
        del where["kafka"], where["flink"]
    memory = f"{where.pop('memory_bytes') / 2**30:.1f} GiB"
    versions = list(where.pop("packages").items())
    known = [phrases.setting(name, value) for name, value in where.items()]
    return [("commit", str(run.commit)), ("memory", memory), *known, *versions]


def _figures(figures: Figures) -> list[str]:
    counts = [f"{sum(kinds.values()):,}" for kinds in (figures.refused, figures.failed)]
    throughput = phrases.rate(figures.throughput_per_s)
    return [throughput, *phrases.latencies(figures.latency_ms), *counts]


def _us(cpu: GroupCpu | None) -> str:
    spent_us = None if cpu is None else cpu.us_per_request
    return phrases.NONE if spent_us is None else f"{spent_us:.0f}"
