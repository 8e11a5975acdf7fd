"""The page of a run is one HTML file that asks nothing of any network.

Everything recorded goes through `markup`, which escapes it. The Content-Security-Policy forbids the
page to load anything, whatever is in it.
"""

from collections.abc import Callable, Iterator, Sequence
from html import unescape
from pathlib import Path
from typing import NamedTuple

from plotly.offline import get_plotlyjs

from bench.records.run_record import (
    CapacityRecord,
    PhaseRecord,
    ProbeRecord,
    QuantileName,
    RunRecord,
    WindowFigures,
)
from bench.records.series import Series
from bench.report import charts, percentiles, phrases, tables, timeline, waterfall
from bench.report.charts import Chart, Plotly
from bench.report.markup import Content, Html, data, tag
from bench.report.phrases import Table
from bench.report.waterfall import Waterfall
from bench.stats.curves import Curves
from bench.stats.window import asked, failures

STYLE = Path(__file__).with_name("report.css")
SCRIPT = Path(__file__).with_name("report.js")
POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
VIOLATIONS_SHOWN = 20
LINE_CHARS_MAX = 30
"""A cell that is not wrapped has at most this many characters."""
CARD_QUANTILES: tuple[QuantileName, ...] = ("p50", "p99")
CARDS_MAX = 4
"""So many phases have large figures; more are in the table only, and folded elsewhere."""


class PhaseData(NamedTuple):
    """The data are what is known of a phase; parts that were not recorded are None."""

    phase: PhaseRecord
    curves: Curves | None
    series: Series | None
    stages: Waterfall | None
    origin_ns: int

    @property
    def title(self) -> str:
        return phrases.phase_title(self.phase)

    @property
    def window(self) -> WindowFigures | None:
        return self.phase.window


class Section(NamedTuple):
    name: str
    title: str
    content: list[Html]


def page(run: RunRecord, phases: Sequence[PhaseData]) -> str:
    sections = [section for section in _sections(run, phases) if section.content]
    links = [tag("a", section.title, href=f"#{section.name}") for section in sections]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", f"{run.run_id}: {run.verdict}"),
        tag("style", Html(STYLE.read_text())),
    )
    body = tag(
        "body",
        tag("a", "Skip the contents", href="#main", class_="skip"),
        _header(run),
        tag("nav", links, aria_label="Contents"),
        tag("main", _verdict(run), map(_section, sections), id="main"),
        tag("noscript", tag("p", "The charts need JavaScript; the tables do not.")),
        data(charts.TEMPLATE, id="template"),
        tag("script", Html(get_plotlyjs())),
        tag("script", Html(SCRIPT.read_text())),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _sections(run: RunRecord, phases: Sequence[PhaseData]) -> Iterator[Section]:
    windows = [phase for phase in phases if phase.window]
    yield Section("figures", "Figures", list(_figures(run, windows)))
    yield Section("percentiles", "Percentiles", list(_percentiles(windows)))
    yield Section("capacity", "Capacity", list(_capacity(run.capacity)))
    for name, title, parts in (
        ("time", "Over time", _time),
        ("stages", "Stages", _stages),
        ("operations", "Operations", _operations),
    ):
        yield Section(name, title, _folds(phases, parts, are_open=len(windows) <= CARDS_MAX))
    yield Section("probes", "Probes", list(_probes(run.probes)))
    yield Section("checks", "Checks", list(_checks(run)))
    yield Section("settings", "Settings", [_definitions(tables.settings(run))])
    yield Section("environment", "Environment", [_definitions(tables.environment(run))])


def _section(section: Section) -> Html:
    return tag("section", tag("h2", section.title), section.content, id=section.name)


def _header(run: RunRecord) -> Html:
    when = run.started_utc.replace("T", " ").replace("+00:00", " UTC")
    return tag(
        "header",
        tag(
            "div",
            tag("p", "Measured ", when, " at commit ", str(run.commit), class_="muted"),
            tag("h1", run.run_id),
        ),
        tag("button", "Dark mode", type="button", id="theme", aria_pressed="false"),
    )


def _verdict(run: RunRecord) -> Html:
    name, meaning = phrases.VERDICTS[run.verdict]
    return tag(
        "section",
        tag("h2", name),
        tag("p", " ".join([meaning, *phrases.reservations(run)])),
        tag("ul", (tag("li", reason) for reason in run.reasons)) if run.reasons else None,
        id="verdict",
        class_=f"verdict {run.verdict}",
        aria_label="Verdict",
    )


# ---- figures


def _figures(run: RunRecord, phases: Sequence[PhaseData]) -> Iterator[Html]:
    if not phases:
        return
    if len(phases) <= CARDS_MAX:
        cards = [_card(phase.title, phase.window) for phase in phases if phase.window]
        yield tag("div", cards, class_="cards")
    yield _table(tables.phases(run), "Figures of each phase")
    for table, caption in (
        (tables.cpu(run), "CPU of each phase"),
        (tables.amounts(run), "What else a request took"),
    ):
        if table is not None:
            yield _table(table, caption)
    kept = tables.open_loops(run)
    if kept is not None:
        yield tag("h3", "How the schedule was kept")
        yield tag(
            "p",
            "Latencies above count from when a request was due. Service time counts from when it "
            "was sent, so the difference is the generator's.",
            class_="muted",
        )
        yield _table(kept, "How the schedule was kept")
    if any(phase.phase.steady for phase in phases):
        yield tag("h3", "Warm-up")
        yield _definitions(
            [(p.title, note) for p in phases if (note := phrases.steadiness(p.phase)) is not None]
        )


def _card(title: str, window: WindowFigures) -> Html:
    failed = failures(window)
    half, most = (phrases.latency(window.latency_ms, name) for name in CARD_QUANTILES)
    told = "none failed"
    if failed:
        part = phrases.share(failed / asked(window))
        told = f"{failed:,} of {asked(window):,} failed ({part})"
    return tag(
        "div",
        tag("h3", title),
        tag("p", tag("b", phrases.rate(window.throughput_per_s)), " requests/s", class_="big"),
        tag("p", "half within", tag("b", f"{half} ms"), class_="row"),
        tag("p", "99 of 100 within", tag("b", f"{most} ms"), class_="row"),
        tag("p", told, class_="bad" if failed else "good"),
        class_="card",
    )


def _percentiles(phases: Sequence[PhaseData]) -> Iterator[Html]:
    named = [(phase.title, phase.curves) for phase in phases if phase.curves]
    if any(curves.response for _, curves in named):
        yield _chart(percentiles.chart(named))


def _capacity(found: CapacityRecord | None) -> Iterator[Html]:
    if found:
        yield tag("p", f"For {tables.level(found)}: ", tag("b", tables.knee(found)), ".")
        if found.steps:
            yield _chart(charts.capacity(found))
        yield _table(tables.capacity(found), "Steps of the search")


# ---- phase by phase


def _folds(
    phases: Sequence[PhaseData], parts: Callable[[PhaseData], Iterator[Html]], *, are_open: bool
) -> list[Html]:
    """A fold for each phase that has such parts; what is not measured is folded."""
    return [
        tag(
            "details",
            tag("summary", tag("h3", phase.title)),
            content,
            open=are_open and bool(phase.window),
            class_="phase",
        )
        for phase in phases
        if (content := list(parts(phase)))
    ]


def _time(phase: PhaseData) -> Iterator[Html]:
    found = timeline.charts(
        phase.curves.timeline if phase.curves else None,
        phase.series,
        phase.origin_ns,
        phase.window.length_s if phase.window else None,
    )
    if found:
        about = "0 is when the measured window opened; what is shaded is not counted. "
        nothing = "Nothing of this phase is counted. "
        how = "Drag to zoom, double-click to see all; or focus a chart and use + - ← → and Esc."
        text = (about if phase.window else nothing, tag("span", how, class_="how"))
        yield tag("p", text, class_="muted")
        yield tag("div", map(_chart, found), class_="charts")


def _stages(phase: PhaseData) -> Iterator[Html]:
    found = phase.stages
    if found and found.operations:
        yield _chart(waterfall.chart(found))
        if found.left_out:
            yield tag("p", f"{found.left_out:,} traces are left out: not whole, or out of order.")
        yield tag(
            "details",
            tag("summary", "All stages in figures"),
            (
                (tag("h4", f"{each.name}, {each.requests:,} requests"),
                 _table(waterfall.table(each), f"Stages of {each.name}"))
                for each in found.operations
            ),
        )  # fmt: skip


def _operations(phase: PhaseData) -> Iterator[Html]:
    if phase.window:
        yield _table(tables.operations(phase.window), f"Operations, {phase.title}")
        yield _definitions([*tables.kinds(phase.window), *tables.first_answers(phase.window)])


# ---- probes and checks


def _probes(probes: Sequence[ProbeRecord] | None) -> Iterator[Html]:
    if probes:
        passed = sum(probe.state == "holds" for probe in probes)
        yield tag("p", f"{passed} of {len(probes)} passed.")
        yield _table(tables.probes(probes), "Probes")


def _checks(run: RunRecord) -> Iterator[Html]:
    ledger, invariants = run.ledger, run.invariants
    if ledger:
        yield tag("h3", "Ledger")
        yield tag(
            "p",
            "Every request is accounted for where no remainder is left.",
            class_="muted",
        )
        yield _table(tables.ledger(ledger), "Ledger")
        yield _list(f"Not counted: {missing}" for missing in ledger.missing)
    if invariants:
        yield tag("h3", f"Invariants, over {invariants.outcomes:,} requests")
        if (told := tables.resent(invariants)) is not None:
            yield tag("p", told, class_="muted")
        yield _table(tables.invariants(invariants), "Invariants")
        yield _list(
            f"{each.invariant}: {each.entity}: {each.message}"
            for each in invariants.violations[:VIOLATIONS_SHOWN]
        )
    wrong = run.wrong_answers
    if wrong.count:
        yield tag("h3", f"Wrong answers: {wrong.count:,}")
        yield _list(wrong.first[:VIOLATIONS_SHOWN])


# ---- parts


def _list(lines: Content) -> Html:
    items = [tag("li", line) for line in lines or ()]
    return tag("ul", items) if items else Html()


def _definitions(pairs: Sequence[tuple[str, str]]) -> Html:
    return tag("dl", (tag("div", tag("dt", name), tag("dd", value)) for name, value in pairs))


def _table(table: Table, name: str) -> Html:
    """Wide ones scroll by themselves, with the keyboard too."""

    def cells(kind: str, row: Sequence[str]) -> list[Html]:
        return [
            tag(
                kind,
                tag("span", cell, class_="bad") if tables.is_bad(cell) else cell,
                class_=_kind_of(cell) if place in table.words else None,
            )
            for place, cell in enumerate(row)
        ]

    head = tag("thead", tag("tr", cells("th", table.heads)))
    body = tag("tbody", (tag("tr", cells("td", row)) for row in table.rows))
    return tag(
        "div", tag("table", head, body), class_="table", tabindex=0, role="region", aria_label=name
    )


def _kind_of(cell: str) -> str:
    """A long text may wrap."""
    return "words long" if len(cell) > LINE_CHARS_MAX else "words"


def _chart(chart: Chart) -> Html:
    return tag(
        "figure",
        tag("figcaption", tag("h4", chart.title), tag("p", chart.about, class_="muted")),
        tag("div", _legend(chart), class_="legend"),
        tag(
            "div",
            class_="plot",
            role="img",
            tabindex=0,
            aria_label=f"{chart.title}. {chart.about}",
            style=f"height: {chart.height_px}px",
        ),
        data({"data": chart.traces, "layout": chart.layout}),
        class_="chart wide" if chart.wide else "chart",
    )


def _legend(chart: Chart) -> list[Html]:
    """A switch for each trace, or for each group of them."""
    switches: dict[str, list[int]] = {}
    first: dict[str, Plotly] = {}
    for index, trace in enumerate(chart.traces):
        key = str(trace.get("legendgroup", trace["name"]))
        switches.setdefault(key, []).append(index)
        first.setdefault(key, trace)
    return [
        tag(
            "button",
            _swatch(first[key]),
            unescape(first[key]["name"]),
            type="button",
            aria_pressed="true",
            data_traces=" ".join(map(str, indexes)),
        )
        for key, indexes in switches.items()
    ]


def _swatch(trace: Plotly) -> Html:
    """What the trace looks like: a line as it is dashed, a mark, or a patch with its stripes."""
    mark, stroke = trace.get("marker", {}), trace.get("line", {})
    ink = f"var({stroke.get('color') or mark['color']})"
    if trace["type"] == "bar" or "fill" in trace or "stackgroup" in trace:
        shape = tag("rect", x=1, y=1, width=20, height=10, rx=2, fill=ink)
        if mark.get("pattern", {}).get("shape"):
            shape = Html(shape + tag("path", d="M4 11 9 1M10 11 15 1M16 11 21 1", class_="stripe"))
    elif trace.get("mode") == "markers":
        shape = tag("path", d="M11 2 16 10H6Z", stroke=ink, stroke_width=1.5, fill="none")
    else:
        dashes = {"dash": "6 4", "dot": "2 3"}.get(stroke.get("dash", ""))
        shape = tag("path", d="M1 6H21", stroke=ink, stroke_width=2.5, stroke_dasharray=dashes)
    return tag("svg", shape, width=22, height=12, aria_hidden="true")
