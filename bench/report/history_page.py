"""A history of runs becomes text, and a page with a chart for each metric."""

from html import escape

from plotly.io import to_html
from plotly.offline import get_plotlyjs

from bench.compare.history import History, Series, Shift
from bench.report.charts import Plotly
from bench.report.markup import Html, tag

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem;
       color: #1b1f24; background: #fff }
h2 { margin: 2rem 0 0; font-size: 1.1rem }
.worse { color: #b42318 }
.better { color: #067647 }
"""
CHART_HEIGHT_PX = 320
COLORS = {True: "#b42318", False: "#067647"}
"""These are the colours of worse and better."""


def describe(history: History) -> str:
    """`describe` returns Markdown: the changes, and what is not drawn."""
    lines = [f"# History: {_size(history)}", ""]
    lines += [f"- {line}" for series in history.series for line in _changes(series)]
    lines += [] if any(series.shifts for series in history.series) else ["- no change was found"]
    return "\n".join([*lines, *(f"- {line}" for line in history.left_out)]) + "\n"


def page(history: History) -> str:
    """`page` returns one HTML file that asks nothing of any network."""
    where = history.reference.environment
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", "Metrics over commits"),
        tag("style", Html(STYLE)),
        tag("script", Html(get_plotlyjs())),
    )
    body = tag(
        "body",
        tag("h1", "Metrics over commits"),
        tag("p", f"{_size(history)}, on {where.cores} cores of {where.cpu_model}."),
        tag("ul", (tag("li", line) for line in history.left_out)) if history.left_out else None,
        (_section(series, place) for place, series in enumerate(history.series)),
    )
    return f"<!doctype html>\n{tag('html', head, body, lang='en')}\n"


def _size(history: History) -> str:
    commits = {point.commit for series in history.series for point in series.points}
    return f"{history.runs} runs of {len(commits)} commits"


def _changes(series: Series) -> list[str]:
    """A line for each shift."""
    lines = []
    for shift, (begin, end, _) in zip(series.shifts, series.levels()[1:], strict=True):
        commit, sense = series.points[begin].commit, "worse" if shift.is_worse else "better"
        amount = f"{_amount(series, shift)} since {commit}"
        lines.append(f"{series.metric.name}: {amount}, {sense}, for {end - begin + 1} commits")
    return lines


def _amount(series: Series, shift: Shift) -> str:
    if series.metric.scale == "difference":
        return f"{shift.change * 100:+.3g} points"
    return f"{shift.change:+.1%}".replace("%", " %")


def _section(series: Series, place: int) -> Html:
    marks = [
        tag("li", line, class_="worse" if shift.is_worse else "better")
        for line, shift in zip(_changes(series), series.shifts, strict=True)
    ]
    chart = to_html(
        _figure(series),
        include_plotlyjs=False,
        full_html=False,
        default_height=CHART_HEIGHT_PX,
        div_id=f"chart-{place}",
        config={"displayModeBar": False, "responsive": True},
    )
    return tag(
        "section",
        tag("h2", f"{series.metric.name}, {series.metric.unit}"),
        tag("ul", marks) if marks else None,
        Html(chart),
    )


def _figure(series: Series) -> Plotly:
    """plotly takes some tags in texts for markup, so what was recorded is escaped."""
    points = series.points
    commits = [escape(point.commit) for point in points]
    runs = [f"{point.runs} runs, {escape(point.started_utc)}" for point in points]
    traces: list[Plotly] = [
        {
            "type": "scatter",
            "mode": "markers",
            "x": list(range(len(points))),
            "y": [point.value for point in points],
            "text": commits,
            "customdata": runs,
            "hovertemplate": "%{text}: %{y:,.4~r}<br>%{customdata}<extra></extra>",
            "marker": {"size": 8, "color": "#3538cd"},
        }
    ]
    traces += [
        {
            "type": "scatter",
            "mode": "lines",
            "x": [begin - 0.5, end + 0.5],
            "y": [level, level],
            "hoverinfo": "skip",
            "line": {"color": "#98a2b3", "width": 2},
        }
        for begin, end, level in series.levels()
    ]
    shapes = [
        {
            "type": "line",
            "yref": "y domain",
            "x0": shift.place - 0.5,
            "x1": shift.place - 0.5,
            "y0": 0,
            "y1": 1,
            "line": {"color": COLORS[shift.is_worse], "width": 2, "dash": "dot"},
        }
        for shift in series.shifts
    ]
    step = max(1, len(points) // 20)
    layout = {
        "height": CHART_HEIGHT_PX,
        "template": "plotly_white",
        "margin": {"l": 70, "r": 20, "t": 20, "b": 90},
        "showlegend": False,
        "shapes": shapes,
        "xaxis": {"tickvals": list(range(0, len(points), step)), "ticktext": commits[::step]},
        "yaxis": {"title": {"text": escape(series.metric.unit)}, "rangemode": "tozero"},
    }
    return {"data": traces, "layout": layout}
