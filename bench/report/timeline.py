"""The charts of a phase share its time axis: 0 is when the measured window opened."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from bench.records.run_record import GROUPS
from bench.records.series import Event, Kind, Series
from bench.report.charts import Chart, Plotly, Trace, axis, color, line, log_axis, text
from bench.stats.curves import POINTS_MAX, Timeline

EVENTS_MAX = 200
"""A kind has at most this many events drawn, the longest; more could not be told apart."""
EVENTS: dict[Kind, tuple[str, str]] = {
    "checkpoint": ("checkpoint", "--c6"),
    "gc": ("GC pause", "--c5"),
    "rebalance": ("rebalance", "--c4"),
    "fault": ("fault", "--bad"),
}
"""A kind leads to how it is called, and its colour."""
SMALL_PX = 220


class Panel(NamedTuple):
    """A panel has recorded series that belong together."""

    title: str
    unit: str
    about: str
    prefix: str = ""
    """Series that begin with the prefix are drawn under the rest of their name."""
    stacked: bool = False
    lines: tuple[tuple[str, str], ...] = ()
    """The lines are series, and how they are called here."""


PANELS = (
    Panel("Processor time", "cores", "Used by each group of processes, one upon the other.",
          "cpu.", True, (("host.busy", "whole host"),)),
    Panel("Memory", "MiB", "Resident memory of each group, one upon the other.", "rss_mib.", True),
    Panel("Processor time of Flink", "cores", "Used by each of its processes.", "part.cpu."),
    Panel("Memory of Flink", "MiB", "Resident memory of each of its processes.", "part.rss_mib."),
    Panel("Open files", "files", "Of each part: connections count too.", "files."),
    Panel("Live heap", "MiB", "Left in each JVM after a collection of all garbage.", "heap_mib."),
    Panel("On disk", "MiB", "Requests, replies and checkpoints.", "disk_mib."),
    Panel("Requests in flight", "requests", "Sent, and not answered yet.",
          lines=(("in_flight", "gateway"), ("generator.in_flight", "generator"))),
    Panel("Consumer lag", "records", "Records in a topic that have not been read yet.", "lag."),
    Panel("Steal", "cores", "Time that the hypervisor gave to others: noise from outside.",
          lines=(("host.steal", "steal"),)),
    Panel("Run queue", "processes", "Waiting for a processor.",
          lines=(("host.runnable", "waiting"),)),
    Panel("Disk", "share of the time", "In which everything that had work waited for a disk.",
          lines=(("host.io_stalled", "stalled"),)),
    Panel("Event loop lag", "ms", "How late the load generator itself was.",
          lines=(("generator.loop_lag_ms", "generator"),)),
)  # fmt: skip


class Span(NamedTuple):
    """The span is in seconds from the origin."""

    begin_s: float
    end_s: float
    window_s: tuple[float, float] | None
    """This was measured; the rest is shaded."""

    def layout(self, y: Plotly) -> Plotly:
        return {
            "xaxis": axis(
                "time, s",
                range=[self.begin_s, self.end_s],
                showspikes=False,  # the page draws one line through all charts
                unifiedhovertitle={"text": "at %{x} s"},
            ),
            "yaxis": y,
            "shapes": [
                {
                    "type": "rect",
                    "xref": "x",
                    "yref": "y domain",
                    "x0": begin_s,
                    "x1": end_s,
                    "y0": 0,
                    "y1": 1,
                    "fillcolor": "--shade",
                    "line": {"width": 0},
                    "layer": "below",
                }
                for begin_s, end_s in self._outside()
            ],
        }

    def _outside(self) -> list[tuple[float, float]]:
        if self.window_s is None:
            return [(self.begin_s, self.end_s)]
        opened_s, closed_s = self.window_s
        parts = [(self.begin_s, opened_s), (closed_s, self.end_s)]
        return [(begin_s, end_s) for begin_s, end_s in parts if end_s > begin_s]


def charts(
    timeline: Timeline | None, series: Series | None, origin_ns: int, window_s: float | None
) -> list[Chart]:
    """`charts` returns those of one phase; `window_s` is the length of what was measured."""
    at_s = [_seconds(at_ns, origin_ns) for at_ns in series.at_ns] if series else []
    edges = [edge for part in (timeline.at_s if timeline else [], at_s) if part for edge in part]
    if not edges:
        return []
    half_s = timeline.interval_s / 2 if timeline else 0
    span = Span(min(edges) - half_s, max(edges) + half_s, (0, window_s) if window_s else None)
    found: list[Chart] = []
    if timeline is not None:
        overlay = _overlay(series.events, origin_ns) if series else []
        found += [_latency(timeline, span, overlay), _throughput(timeline, span, overlay)]
        if timeline.errors_per_s:
            found.append(_errors(timeline, span))
    if series is not None:
        found += _panels(at_s, series.series, span)
    return found


def _latency(timeline: Timeline, span: Span, overlay: Sequence[Trace]) -> Chart:
    interval = _interval(timeline)
    lines = [
        line("max", timeline.at_s, timeline.max_ms, "--faint", "ms", width=1.2),
        line("p99", timeline.at_s, timeline.p99_ms, color(1), "ms"),
        line("p50", timeline.at_s, timeline.p50_ms, color(0), "ms"),
    ]
    bounds = [
        (at, value)
        for at, value, at_least in zip(
            timeline.at_s, timeline.max_ms, timeline.at_least, strict=True
        )
        if at_least
    ]
    if bounds:
        lines.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": "at least: not all were answered",
                "x": [at for at, _ in bounds],
                "y": [value for _, value in bounds],
                "marker": {"symbol": "triangle-up-open", "size": 8, "color": "--bad"},
                "hovertemplate": "≥ %{y:,.4~r} ms",
            }
        )
    values = [*timeline.p50_ms, *timeline.max_ms]
    return Chart(
        "Latency",
        f"Of the requests that were due {interval}.",
        [*overlay, *lines],
        _with_overlay(span.layout(log_axis("latency, ms", values)), overlay),
        height_px=360,
    )


def _throughput(timeline: Timeline, span: Span, overlay: Sequence[Trace]) -> Chart:
    due = line("due", timeline.at_s, timeline.due_per_s, "--faint", "per second", width=1.2)
    answered = line("answered", timeline.at_s, timeline.answered_per_s, color(2), "per second")
    y = axis("requests per second", rangemode="tozero")
    return Chart(
        "Throughput",
        f"Requests that were due, and answers that came, {_interval(timeline)}.",
        [*overlay, due, answered],
        _with_overlay(span.layout(y), overlay),
        height_px=260,
    )


def _errors(timeline: Timeline, span: Span) -> Chart:
    traces = [
        {
            "type": "bar",
            "name": text(kind),
            "x": timeline.at_s,
            "y": rates,
            "marker": {"color": color(index + 1)},
            "hovertemplate": "%{y:,.4~r} per second",
        }
        for index, (kind, rates) in enumerate(timeline.errors_per_s.items())
    ]
    layout = span.layout(axis("errors per second", rangemode="tozero"))
    about = f"By kind, {_interval(timeline)} in which the requests were due."
    return Chart("Errors", about, traces, layout | {"barmode": "stack"}, height_px=240)


def _interval(timeline: Timeline) -> str:
    return "in each second" if timeline.interval_s == 1 else f"in each {timeline.interval_s} s"


# ---- series


def _panels(
    at_s: Sequence[float], series: Mapping[str, Sequence[float | None]], span: Span
) -> Iterator[Chart]:
    for panel in PANELS:
        traces = [
            _series(panel, name, label, at_s, series[name], index)
            for index, (name, label) in enumerate(_members(panel, series))
        ]
        if traces:
            layout = span.layout(axis(panel.unit, rangemode="tozero"))
            yield Chart(panel.title, panel.about, traces, layout, SMALL_PX, wide=False)


def _members(panel: Panel, series: Mapping[str, Sequence[float | None]]) -> list[tuple[str, str]]:
    """Series that have a value, the groups of processes in the order of their tables."""
    found = [
        (name, name.removeprefix(panel.prefix))
        for name in sorted(series, key=lambda name: (_rank(name), name))
        if panel.prefix and name.startswith(panel.prefix)
    ]
    found += panel.lines
    return [
        (name, label)
        for name, label in found
        if any(value is not None for value in series.get(name, ()))
    ]


def _rank(name: str) -> int:
    group = name.rpartition(".")[2]
    return GROUPS.index(group) if group in GROUPS else len(GROUPS)


def _series(
    panel: Panel, name: str, label: str, at_s: Sequence[float], values: Sequence[Any], index: int
) -> Trace:
    x, y = _thin(at_s, values)
    if panel.stacked and name.startswith(panel.prefix):
        known = [place for place, value in enumerate(y) if value is not None]
        x, y = [x[place] for place in known], [y[place] for place in known]
        stack = {"stackgroup": "all", "stackgaps": "interpolate"}
        return line(label, x, y, color(index), panel.unit, width=1, **stack)
    dash = "dot" if panel.stacked else "solid"
    return line(label, x, y, "--text" if panel.stacked else color(index), panel.unit, dash=dash)


def _thin(
    at_s: Sequence[float], values: Sequence[float | None]
) -> tuple[list[float], list[float | None]]:
    """At most `POINTS_MAX` points: the means of as many neighbours as it takes."""
    step = -(-len(at_s) // POINTS_MAX)
    if step <= 1:
        return list(at_s), list(values)
    x, y = [], []
    for begin in range(0, len(at_s), step):
        known = [value for value in values[begin : begin + step] if value is not None]
        x.append(at_s[begin])
        y.append(sum(known) / len(known) if known else None)
    return x, y


# ---- events


def _overlay(events: Sequence[Event], origin_ns: int) -> list[Trace]:
    """A band for each event, from top to bottom of a second y axis; a kind is one trace."""
    traces: list[Trace] = []
    for kind in dict.fromkeys(event.kind for event in events):
        all_of_kind = [event for event in events if event.kind == kind]
        longest = sorted(all_of_kind, key=lambda event: -event.duration_ms)[:EVENTS_MAX]
        shown = sorted(longest, key=lambda event: event.at_ns)
        name, kind_color = EVENTS[kind]
        if len(shown) < len(all_of_kind):
            name = f"{name} ({len(shown)} longest)"
        shared = {"yaxis": "y2", "name": name, "legendgroup": kind}
        begins_s = [_seconds(event.at_ns, origin_ns) for event in shown]
        x: list[float | None] = []
        for begin_s, event in zip(begins_s, shown, strict=True):
            end_s = round(begin_s + event.duration_ms / 1000, 3)
            x += [begin_s, begin_s, end_s, end_s, None]
        band = {
            "type": "scatter", "mode": "lines", "fill": "toself", "opacity": 0.35,
            "x": x, "y": [0, 1, 1, 0, None] * len(shown),
            "line": {"color": kind_color, "width": 1}, "hoverinfo": "skip",
        }  # fmt: skip
        marks = {
            "type": "scatter", "mode": "markers", "showlegend": False, "cliponaxis": False,
            "x": begins_s, "y": [1] * len(shown),
            "marker": {"symbol": "triangle-down", "size": 8, "color": kind_color},
            "customdata": [[text(event.text), event.duration_ms] for event in shown],
            "hovertemplate": "%{customdata[0]}, %{customdata[1]:,.4~r} ms",
        }  # fmt: skip
        traces += [band | shared, marks | shared]
    return traces


def _with_overlay(layout: Plotly, overlay: Sequence[Trace]) -> Plotly:
    hidden = {"range": [0, 1], "overlaying": "y", "visible": False, "fixedrange": True}
    return layout | {"yaxis2": hidden} if overlay else layout


def _seconds(at_ns: int, origin_ns: int) -> float:
    return round((at_ns - origin_ns) / 1e9, 3)
