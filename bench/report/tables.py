"""The tables of a run, as text: what Markdown and the page both show."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from bench.judge.invariants import INVARIANTS
from bench.report import phrases
from bench.stats.quantiles import PERCENTS

CPU_GROUPS = ("gateway", "kafka", "flink", "generator")
LATENCY_HEADS = tuple(f"{name} ms" for name in PERCENTS)


class Table(NamedTuple):
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset({0})
    """Columns of words; the others are figures."""


PASSED, FAILED = "passed", "FAILED"
HELD, NOT_HELD = "held", "NOT HELD"
BROKEN = "BROKEN"
PROBE_STATES = {"holds": PASSED, "broken": FAILED, "unknown": "CAN'T TELL"}


def is_bad(cell: str) -> bool:
    """What a reader should not overlook."""
    return cell.startswith((FAILED, NOT_HELD, BROKEN))


def measured(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The phases that have a window."""
    return [phase for phase in run["phases"] if phase["window"]]


def phases(run: dict[str, Any]) -> Table:
    return Table(
        ["load", "requests/s", *LATENCY_HEADS, "refused", "failed"],
        [[phrases.phase_title(phase), *_figures(phase["window"])] for phase in measured(run)],
    )


def cpu(run: dict[str, Any]) -> Table | None:
    """Of each group of processes; None where none was known."""
    windows = [(phrases.phase_title(phase), phase["window"]) for phase in measured(run)]
    groups = [group for group in CPU_GROUPS if any(group in window["cpu"] for _, window in windows)]
    heads = ["CPU µs/request", *groups]
    rows = [[title, *(_cpu(window, group) for group in groups)] for title, window in windows]
    return Table(heads, rows) if groups else None


def amounts(run: dict[str, Any]) -> Table | None:
    """What else a request took; None where nothing was counted."""
    windows = [
        (phrases.phase_title(phase), phase["window"].get("per_request", {}))
        for phase in measured(run)
    ]
    names = dict.fromkeys(name for _, counted in windows for name in counted)
    heads = ["per request", *(name.replace("_", " ") for name in names)]
    rows = [
        [title, *(phrases.amount(counted.get(name)) for name in names)]
        for title, counted in windows
    ]
    return Table(heads, rows) if names else None


def open_loops(run: dict[str, Any]) -> Table | None:
    """How well the schedules were kept; None where there is no open loop."""
    rows = [
        [
            phrases.phase_title(phase),
            f"{figures['scheduled']:,}",
            f"{figures['dropped']:,}",
            phrases.share(figures["achieved_ratio"]),
            phrases.latency(figures["service_ms"], "p50"),
            phrases.latency(figures["service_ms"], "p99"),
            phrases.latency(figures["schedule_lag_ms"], "p99"),
        ]
        for phase in measured(run)
        if (figures := phase["window"]["open"])
    ]
    heads = ["load", "scheduled", "dropped", "achieved", "service p50 ms", "service p99 ms",
             "schedule lag p99 ms"]  # fmt: skip
    return Table(heads, rows) if rows else None


def operations(window: dict[str, Any]) -> Table:
    return Table(
        ["operation", "requests/s", *LATENCY_HEADS, "refused", "failed"],
        [[name, *_figures(figures)] for name, figures in window["operations"].items()],
    )


def kinds(window: dict[str, Any]) -> list[tuple[str, str]]:
    """What was refused and what failed, by kind."""
    return [
        (what, ", ".join(f"{kind} ({count:,})" for kind, count in window[what].items()) or "none")
        for what in ("failed", "refused")
    ]


def capacity(found: dict[str, Any]) -> Table:
    heads = ["rate/s", "level", "requests/s", "p50 ms", "p99 ms", "p99.9 ms", "failed", "dropped",
             "lag p99 ms", "why"]  # fmt: skip
    rows = [
        [
            phrases.rate(step["rate_per_s"]),
            HELD if step["held"] else NOT_HELD,
            phrases.rate(step["throughput_per_s"]),
            *(phrases.ms(step[name]) for name in ("p50_ms", "p99_ms", "p99.9_ms")),
            phrases.share(step["failed_share"]),
            f"{step['dropped']:,}",
            phrases.ms(step["schedule_lag_p99_ms"]),
            phrases.NONE if step["held"] else step["why"],
        ]
        for step in by_rate(found)
    ]
    return Table(heads, rows, frozenset({1, 9}))


def by_rate(found: dict[str, Any]) -> list[dict[str, Any]]:
    return sorted(found["steps"], key=lambda step: float(step["rate_per_s"]))


def level(found: dict[str, Any]) -> str:
    """The service level that a capacity was searched for."""
    wanted = found["level"]
    failed = phrases.share(wanted["failed_share"])
    return f"p99 at most {wanted['p99_ms']:g} ms, at most {failed} failed"


def knee(found: dict[str, Any]) -> str:
    rate = found["knee_per_s"]
    if rate is None:
        return "no rate held the service level"
    return f"the highest rate that held is {phrases.rate(rate)} requests per second"


def probes(results: Sequence[dict[str, Any]]) -> Table:
    rows = [
        [
            probe["name"],
            PROBE_STATES[probe["state"]],
            f"{probe['requests']:,}",
            *(phrases.latency(probe["latency_ms"], name) for name in ("p50", "p99", "max")),
            phrases.plain(probe["figures"]),
            "; ".join(probe["reasons"]) or phrases.NONE,
        ]
        for probe in results
    ]
    heads = ["probe", "result", "requests", "p50 ms", "p99 ms", "max ms", "figures", "reasons"]
    return Table(heads, rows, frozenset({0, 1, 6, 7}))


def ledger(found: dict[str, Any]) -> Table:
    rows = [
        [
            entry["name"],
            f"{entry['total']:,}",
            ", ".join(f"{name} {count:,}" for name, count in entry["parts"].items()),
            f"{entry['remainder']:,}",
        ]
        for entry in found["entries"]
    ]
    return Table(["count", "total", "parts", "remainder"], rows, frozenset({0, 2}))


def invariants(found: dict[str, Any]) -> Table:
    rows = [
        [name, f"{BROKEN} {count:,} times" if count else "holds", INVARIANTS.get(name, "")]
        for name, count in found["counts"].items()
    ]
    return Table(["invariant", "result", "what it says"], rows, frozenset({0, 1, 2}))


def settings(run: dict[str, Any]) -> list[tuple[str, str]]:
    shown = {name: value for name, value in run["settings"].items() if name != "seed"}
    return [phrases.setting(name, value) for name, value in {**shown, "seed": run["seed"]}.items()]


def environment(run: dict[str, Any]) -> list[tuple[str, str]]:
    where = dict(run["environment"])
    packages = where.pop("packages")
    memory = f"{where.pop('memory_bytes') / 2**30:.1f} GiB"
    versions = [(name, str(version)) for name, version in packages.items()]
    known = [phrases.setting(name, value) for name, value in where.items()]
    return [("commit", commit(run)), ("memory", memory), *known, *versions]


def commit(run: dict[str, Any]) -> str:
    return f"{run['commit']['id']}{' with changes' if run['commit']['dirty'] else ''}"


def _figures(figures: dict[str, Any]) -> list[str]:
    counts = [f"{sum(figures[what].values()):,}" for what in ("refused", "failed")]
    throughput = phrases.rate(figures["throughput_per_s"])
    return [throughput, *phrases.latencies(figures["latency_ms"]), *counts]


def _cpu(window: dict[str, Any], group: str) -> str:
    spent_us = window["cpu"].get(group, {}).get("us_per_request")
    return phrases.NONE if spent_us is None else f"{spent_us:.0f}"
