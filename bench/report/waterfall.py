"""A waterfall shows where the time of traced requests went, as stages-<phase>.json tells."""

from collections import defaultdict
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from bench.records.versioned_json import RunFileError, read_part
from bench.report import phrases
from bench.report.charts import COLORS, Chart, Trace, axis, color, text
from bench.report.phrases import Table
from bench.stats.stages import SCHEMA_VERSION

STRIPES = {"shape": "/", "fillmode": "overlay", "fgcolor": "--card", "fgopacity": 0.4, "size": 6}


class Times(NamedTuple):
    mean_ms: float
    p50_ms: float
    p99_ms: float


class Stage(NamedTuple):
    name: str
    begin_ms: float
    """The stage begins where the means of all stages before it end."""
    times: Times


class Operation(NamedTuple):
    name: str
    requests: int
    total: Times
    stages: list[Stage]


class Waterfall(NamedTuple):
    operations: list[Operation]
    left_out: int
    """So many traces were not whole, or out of order."""


def read(path: Path) -> Waterfall:
    """`read` returns the waterfall of a file. It raises `RunFileError`."""
    content = read_part(path, SCHEMA_VERSION)
    try:
        operations = [_operation(name, each) for name, each in content["operations"].items()]
        return Waterfall(operations, int(content["disordered"]) + int(content["incomplete"]))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise RunFileError(f"{path} does not hold the stages of a phase") from None


def _operation(name: str, recorded: dict[str, Any]) -> Operation:
    stages, begin_ms = [], 0.0
    for each in recorded["stages"]:
        times = Times(*(float(each[field]) for field in Times._fields))
        stages.append(Stage(str(each["name"]), begin_ms, times))
        begin_ms += times.mean_ms
    total = Times(*(float(recorded["total_ms"][key]) for key in ("mean", "p50", "p99")))
    return Operation(name, int(recorded["requests"]), total, stages)


def table(operation: Operation) -> Table:
    named = [*((stage.name, stage.times) for stage in operation.stages), ("total", operation.total)]
    rows = [[name, *map(phrases.ms, times)] for name, times in named]
    return Table(["stage", "mean ms", "p50 ms", "p99 ms"], rows)


def chart(waterfall: Waterfall) -> Chart:
    """`chart` draws a bar for each operation: its mean time, stage after stage in their order."""
    found: dict[str, list[tuple[str, Stage]]] = defaultdict(list)
    for operation in sorted(waterfall.operations, key=lambda each: -len(each.stages)):
        for stage in operation.stages:
            found[stage.name].append((operation.name, stage))
    names = [text(operation.name) for operation in waterfall.operations]
    return Chart(
        "Where the time goes",
        "The mean time of a request, from left to right in the order of its way; striped where it "
        "waits. Of the traced requests.",
        _traces(found),
        {
            "barmode": "overlay",
            "bargap": 0.35,
            "hovermode": "closest",
            "uniformtext": {"mode": "hide", "minsize": 11},
            "xaxis": axis("mean time, ms", rangemode="tozero"),
            "yaxis": {
                "automargin": True,
                "autorange": "reversed",
                "categoryarray": names,
                "ticks": "",
                "showline": False,
            },
        },
        height_px=100 + 48 * len(names),
    )


def _traces(found: dict[str, list[tuple[str, Stage]]]) -> list[Trace]:
    """One for each stage, wherever it is on the way of an operation, and however often."""
    traces: list[Trace] = []
    works, waits = count(), count(len(COLORS) // 2)
    for name, bars in found.items():
        is_wait = "topic" in name or "lag" in name
        traces.append(
            {
                "type": "bar",
                "orientation": "h",
                "name": text(name),
                "y": [text(operation) for operation, _ in bars],
                "base": [stage.begin_ms for _, stage in bars],
                "x": [stage.times.mean_ms for _, stage in bars],
                "customdata": [list(stage.times) for _, stage in bars],
                "marker": {
                    "color": color(next(waits if is_wait else works)),
                    "line": {"color": "--card", "width": 1},
                    "pattern": STRIPES if is_wait else {"shape": ""},
                },
                "text": text(name),
                "textposition": "inside",
                "insidetextanchor": "middle",
                "textangle": 0,
                "hovertemplate": f"<b>{text(name)}</b><br>mean %{{customdata[0]:,.4~r}} ms"
                "<br>p50 %{customdata[1]:,.4~r} ms<br>p99 %{customdata[2]:,.4~r} ms<extra></extra>",
            }
        )
    return traces
