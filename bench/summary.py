"""A run in words and tables, from its run.json alone: Markdown that reads well in a terminal."""

from collections.abc import Iterable, Sequence
from typing import Any

CPU_GROUPS = ("gateway", "kafka", "flink", "generator")
LATENCY_HEADS = ("p50 ms", "p90 ms", "p99 ms", "max ms")
VIOLATIONS_SHOWN = 10


def summarize(run: dict[str, Any]) -> str:
    windows = [(phase, phase["window"]) for phase in run["phases"] if phase["window"]]
    lines = [*_head(run), ""]
    if windows:
        lines += [*_phases(windows), "", *_errors(windows), *_unloaded(windows)]
        for phase, window in windows:
            lines += ["", f"## {_users(phase)}", "", *_operations(window)]
    lines += _judgement(run)
    return "\n".join(lines) + "\n"


def _head(run: dict[str, Any]) -> list[str]:
    where, commit, settings = run["environment"], run["commit"], run["settings"]
    dirty = " with changes" if commit["dirty"] else ""
    zipf = f", zipf {settings['zipf']:g}" if settings["scenario"] == "checkout" else ""
    return [
        f"# {run['run_id']}: {run['verdict'].upper()}",
        "",
        *(f"- {reason}" for reason in run["reasons"]),
        f"- scenario {settings['scenario']}{zipf}, seed {run['seed']}, "
        f"commit {commit['id']}{dirty}",
        f"- {where['cores']} cores of {where['cpu_model']}, {where['memory_bytes'] / 2**30:.0f} GiB"
        f", {where['kernel']}, Python {where['python']}",
        f"- Kafka {where['kafka'] or 'elsewhere'}, Flink {where['flink'] or 'elsewhere'}, "
        f"{settings['workers']} gateway and {settings['generators']} generator processes",
    ]


def _phases(windows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> Iterable[str]:
    heads = ["users", "requests/s", *LATENCY_HEADS, "refused", "failed"]
    heads += [f"{group} µs/request" for group in CPU_GROUPS]
    return _table(
        heads,
        [
            [str(phase["users"]), *_row(window), *(_cpu(window, group) for group in CPU_GROUPS)]
            for phase, window in windows
        ],
    )


def _operations(window: dict[str, Any]) -> Iterable[str]:
    heads = ["operation", "requests/s", *LATENCY_HEADS, "refused", "failed"]
    return _table(heads, [[name, *_row(figures)] for name, figures in window["operations"].items()])


def _errors(windows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> Iterable[str]:
    for phase, window in windows:
        for what in ("failed", "refused"):
            kinds = ", ".join(f"{kind} ({count})" for kind, count in window[what].items())
            yield f"- {_users(phase)}, {what}: {kinds or 'none'}"
        share = window["checkout_paid_share"]
        if share is not None:
            yield f"- {_users(phase)}, checkouts paid: {share:.1%}"


def _unloaded(windows: Sequence[tuple[dict[str, Any], dict[str, Any]]]) -> Iterable[str]:
    for phase, window in windows:
        if phase["users"] == 1:
            for operation in ("find_user", "checkout"):
                figures = window["operations"].get(operation)
                if figures and figures["latency_ms"]:
                    yield f"- unloaded {operation}: p50 {figures['latency_ms']['p50']:.2f} ms"


def _judgement(run: dict[str, Any]) -> Iterable[str]:
    if run["ledger"]:
        yield from ("", "## Ledger", "")
        heads = ["", "total", "parts", "remainder"]
        yield from _table(
            heads,
            [
                [entry["name"], f"{entry['total']:,}", _parts(entry), str(entry["remainder"])]
                for entry in run["ledger"]["entries"]
            ],
        )
    if run["invariants"]:
        yield from ("", f"## Invariants, over {run['invariants']['outcomes']:,} requests", "")
        counts = run["invariants"]["counts"].items()
        yield from _table(
            ["invariant", "broken"],
            [[name, str(count) if count else "no"] for name, count in counts],
        )
        for violation in run["invariants"]["violations"][:VIOLATIONS_SHOWN]:
            yield f"- {violation['invariant']}: {violation['entity']}: {violation['message']}"
    for wrong in run["wrong_answers"]["first"][:VIOLATIONS_SHOWN]:
        yield f"- wrong answer: {wrong}"


def _users(phase: dict[str, Any]) -> str:
    return "1 user" if phase["users"] == 1 else f"{phase['users']} users"


def _row(figures: dict[str, Any]) -> list[str]:
    latency = figures["latency_ms"]
    quantiles = [f"{latency[name]:.1f}" for name in latency] if latency else ["-"] * 4
    counts = [str(sum(figures[what].values())) for what in ("refused", "failed")]
    rate = figures["throughput_per_s"]
    return [f"{rate:,.0f}" if rate >= 100 else f"{rate:.1f}", *quantiles, *counts]


def _cpu(window: dict[str, Any], group: str) -> str:
    spent_us = window["cpu"].get(group, {}).get("us_per_request")
    return "-" if spent_us is None else f"{spent_us:.0f}"


def _parts(entry: dict[str, Any]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in entry["parts"].items())


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """The first column is text, the others are figures."""
    widths = [max(map(len, column)) for column in zip(heads, *rows, strict=True)]
    widths = [max(3, width) for width in widths]
    rule = [
        ("-" * width if not place else "-" * (width - 1) + ":")
        for place, width in enumerate(widths)
    ]
    for cells in (heads, rule, *rows):
        padded = [
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        yield "| " + " | ".join(padded) + " |"
