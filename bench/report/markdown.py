"""A run.json alone becomes words and tables: Markdown that reads well in a terminal."""

from collections.abc import Iterable, Iterator, Sequence

from bench.records.run_record import RunRecord, WindowFigures
from bench.report import phrases, tables
from bench.report.phrases import Table

VIOLATIONS_SHOWN = 10


def summarize(run: RunRecord) -> str:
    windows = [(phrases.phase_title(phase), window) for phase, window in run.windows]
    lines = [*_head(run), ""]
    if windows:
        overview = (tables.phases, tables.open_loops, tables.cpu, tables.amounts)
        for table in (of(run) for of in overview):
            lines += [*_table(table), ""] if table else []
        lines += [*_notes(run), *_unloaded(windows)]
        for title, window in windows:
            lines += ["", f"## {title}", "", *_table(tables.operations(window))]
    lines += [*_searches(run), *_judgement(run)]
    return "\n".join(lines) + "\n"


def _head(run: RunRecord) -> list[str]:
    where = run.environment
    settings = ", ".join(f"{name} {value}" for name, value in tables.settings(run))
    system = f"- Kafka {where.kafka or 'elsewhere'}, Flink {where.flink or 'elsewhere'}"
    return [
        f"# {run.run_id}: {run.verdict.upper()}",
        "",
        " ".join([phrases.VERDICTS[run.verdict].meaning, *phrases.reservations(run)]),
        "",
        *(f"- {reason}" for reason in run.reasons),
        f"- commit {run.commit}; {settings}",
        f"- {where.cores} cores of {where.cpu_model}, {where.memory_bytes / 2**30:.0f} GiB"
        f", {where.kernel}, Python {where.python}",
        *([] if tables.is_foreign(run.settings) else [system]),
    ]


def _notes(run: RunRecord) -> Iterator[str]:
    for phase, window in run.windows:
        title = phrases.phase_title(phase)
        for what, kinds in tables.kinds(window):
            yield f"- {title}, {what}: {kinds}"
        for what, text in tables.first_answers(window):
            code = text.replace("`", "'")
            yield f"- {title}, {what}: `{code}`"
        if (paid := window.checkout_paid_share) is not None:
            yield f"- {title}, checkouts paid: {phrases.share(paid)}"
        if (steadiness := phrases.steadiness(phase)) is not None:
            yield f"- {title}, {steadiness}"


def _unloaded(windows: Sequence[tuple[str, WindowFigures]]) -> Iterator[str]:
    for title, window in windows:
        if title == "1 user":
            for operation in ("find_user", "checkout"):
                figures = window.operations.get(operation)
                if figures and figures.latency_ms:
                    p50 = phrases.latency(figures.latency_ms, "p50")
                    yield f"- unloaded {operation}: p50 {p50} ms"


def _searches(run: RunRecord) -> Iterator[str]:
    if run.capacity:
        yield from ("", "## Capacity", "", f"For {tables.level(run.capacity)}:", "")
        yield from (f"- {tables.knee(run.capacity)}", "")
        yield from _table(tables.capacity(run.capacity))
    if run.probes:
        yield from ("", "## Probes", "", *_table(tables.probes(run.probes)))


def _judgement(run: RunRecord) -> Iterator[str]:
    if run.ledger:
        yield from ("", "## Ledger", "", *_table(tables.ledger(run.ledger)))
        yield from (f"- not counted: {missing}" for missing in run.ledger.missing)
    if run.invariants:
        yield from ("", f"## Invariants, over {run.invariants.outcomes:,} requests", "")
        if (told := tables.resent(run.invariants)) is not None:
            yield from (told, "")
        yield from _table(tables.invariants(run.invariants))
        for violation in run.invariants.violations[:VIOLATIONS_SHOWN]:
            yield f"- {violation.invariant}: {violation.entity}: {violation.message}"
    for wrong in run.wrong_answers.first[:VIOLATIONS_SHOWN]:
        yield f"- wrong answer: {wrong}"


def _table(table: Table) -> Iterable[str]:
    """Words are aligned left, figures right."""
    cells = [[cell.replace("|", "\\|") for cell in row] for row in (table.heads, *table.rows)]
    widths = [max(3, *map(len, column)) for column in zip(*cells, strict=True)]
    rule = [
        "-" * width if place in table.words else "-" * (width - 1) + ":"
        for place, width in enumerate(widths)
    ]
    for row in (cells[0], rule, *cells[1:]):
        padded = [
            cell.ljust(width) if place in table.words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "| " + " | ".join(padded) + " |"
