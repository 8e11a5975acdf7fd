"""Figures for plotly.js are plain data; `TEMPLATE` holds what they have in common.

A colour is the name of one of report.css's variables ("--c1"), which the page resolves for its
theme. Text that was recorded goes through `text`: plotly takes some tags for markup.
"""

from collections.abc import Sequence
from html import escape
from typing import Any, Literal, NamedTuple

from bench.records.run_record import CapacityRecord, Step

Plotly = dict[str, Any]
"""The part of a figure has plotly.js's own form: https://plotly.com/javascript/reference."""
Trace = Plotly

COLORS = tuple(f"--c{index}" for index in range(1, 9))
MARGIN = {"l": 64, "r": 18, "t": 14, "b": 46}
"""The margins are in px. They are the same for all charts, so that those with one time axis stand
in line."""

AXIS: Plotly = {
    "gridcolor": "--grid",
    "linecolor": "--line",
    "tickcolor": "--line",
    "showline": True,
    "zeroline": False,
    "ticks": "outside",
    "exponentformat": "none",
    "separatethousands": True,
    "title": {"standoff": 8},
    "spikecolor": "--text",
    "spikethickness": 1,
    "spikedash": "dot",
}
TEMPLATE: Plotly = {
    "layout": {
        "font": {"family": "system-ui, sans-serif", "size": 12, "color": "--text"},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": MARGIN,
        "showlegend": False,
        "hovermode": "x unified",
        "hoverlabel": {
            "bgcolor": "--card",
            "bordercolor": "--line",
            "font": {"color": "--text"},
            "align": "left",
        },
        "xaxis": AXIS,
        "yaxis": AXIS,
        "bargap": 0,
    }
}


class Chart(NamedTuple):
    title: str
    about: str
    """The sentence says how to read it."""
    traces: list[Trace]
    layout: Plotly
    height_px: int = 340
    wide: bool = True
    """The chart is wide; else two stand side by side, where there is room."""


def text(recorded: str) -> str:
    return escape(recorded, quote=False)


def color(index: int) -> str:
    return COLORS[index % len(COLORS)]


def axis(title: str, **more: Any) -> Plotly:
    return {"title": {"text": title}, **more}


def log_axis(title: str, values: Sequence[float | None] = ()) -> Plotly:
    """The axis has few labels where the values span several decades, and more where they don't."""
    known = [value for value in values if value]
    decades = known and max(known) / min(known) > 100
    return axis(title, type="log", dtick=1 if decades else "D2", tickformat=",~r")


def line(
    name: str,
    x: Sequence[float],
    y: Sequence[float | None],
    line_color: str,
    unit: str,
    *,
    dash: str = "solid",
    width: float = 2,
    **more: Any,
) -> Trace:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": text(name),
        "x": x,
        "y": y,
        "line": {"color": line_color, "dash": dash, "width": width},
        "hovertemplate": f"%{{y:,.4~r}} {unit}",
        **more,
    }


# ---- capacity


LEVEL_SYMBOLS = {"held": "circle", "not held": "x", "unknown": "diamond-open"}


def by_rate(found: CapacityRecord) -> list[Step]:
    return sorted(found.steps, key=lambda step: step.rate_per_s)


def level_state(step: Step) -> Literal["held", "not held", "unknown"]:
    """`level_state` says what became of a service level at a rate."""
    return "unknown" if step.unknown else "held" if step.held else "not held"


def capacity(found: CapacityRecord) -> Chart:
    steps = by_rate(found)
    rates = [step.rate_per_s for step in steps]
    states = [level_state(step) for step in steps]
    symbols = [LEVEL_SYMBOLS[state] for state in states]
    latencies_ms = {
        "p50": [step.p50_ms for step in steps],
        "p99": [step.p99_ms for step in steps],
        "p99.9": [step.p999_ms for step in steps],
    }
    traces: list[Trace] = []
    for index, (name, values) in enumerate(latencies_ms.items()):
        marks = {
            "mode": "lines+markers",
            "marker": {"symbol": symbols, "size": 9, "color": color(index)},
            "customdata": states,
            "hovertemplate": "%{y:,.4~r} ms (%{customdata})",
        }
        traces.append(line(name, rates, values, color(index), "ms") | marks)
    level_ms, knee = found.level.p99_ms, found.knee_per_s
    limit = {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "y0": level_ms, "y1": level_ms}
    shapes = [limit | {"line": {"color": "--limit", "dash": "dash", "width": 1.5}}]
    if knee is not None:
        at = {"type": "line", "yref": "y domain", "x0": knee, "x1": knee, "y0": 0, "y1": 1}
        shapes.append(at | {"line": {"color": "--good", "dash": "dot", "width": 2}})
    values = [value for trace in traces for value in trace["y"]]
    dotted = "at least this rate holds" if found.at_least else "the highest rate that held"
    return Chart(
        "Latency against rate",
        "● held the service level, ✕ did not, ◇: nobody can tell. Dashed: the p99 that is allowed."
        + (f" Dotted: {dotted}." if knee is not None else ""),
        traces,
        {
            "xaxis": axis("rate, requests per second", rangemode="tozero"),
            "yaxis": log_axis("latency, ms", [*values, level_ms]),
            "shapes": shapes,
        },
        height_px=400,
    )
