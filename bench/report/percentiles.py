"""This chart shows latency by percentile."""

from collections.abc import Sequence

from bench.report import phrases
from bench.report.charts import Chart, Trace, axis, color, line, log_axis
from bench.stats.curves import Curves, Percentiles

SERVICE_MAX = 4
"""So many phases have their service times drawn too; with more, no line could be told from the
next."""


def chart(named: Sequence[tuple[str, Curves]]) -> Chart:
    """`chart` overlays all phases; a phase without a latency is left out."""
    traces: list[Trace] = []
    for index, (name, curves) in enumerate(named):
        traces += _percentile_lines(name, curves.response, index)
        if curves.service is not None and len(named) <= SERVICE_MAX:
            traces += _percentile_lines(f"{name}, service time", curves.service, index, thin=True)
    highest = max(trace["x"][-1] for trace in traces)
    has_bounds = any(trace["line"]["dash"] == "dash" for trace in traces)
    dashed = " Dashed: at least so long, since some requests had no answer." if has_bounds else ""
    ticks = [2, *(10**power for power in range(1, 9) if 10**power <= highest * 1.5)]
    return Chart(
        "Latency by percentile",
        "Read it upwards from the axis: at 99 %, one request in a hundred took longer than the "
        "line. The further to the right, the rarer the request." + dashed,
        traces,
        {
            "xaxis": axis(
                "percentile",
                type="log",
                tickvals=ticks,
                ticktext=[phrases.share(1 - 1 / tick) for tick in ticks],
                unifiedhovertitle={"text": "1 in %{x:,.3~r}"},
            ),
            "yaxis": log_axis("latency, ms", [y for trace in traces for y in trace["y"]]),
        },
        height_px=440,
    )


def _percentile_lines(
    name: str, found: Percentiles | None, index: int, thin: bool = False
) -> list[Trace]:
    """What is exact, and dashed what is only a lower bound."""
    if found is None:
        return []
    exact, bound = slice(0, found.exact), slice(max(0, found.exact - 1), None)
    width = 1.5 if thin else 2.5
    parts = [
        (exact, name, "dot" if thin else "solid", ""),
        (bound, f"{name}, at least", "dash", "≥ "),
    ]
    return [
        line(title, x, found.latency_ms[part], color(index), "ms", dash=dash, width=width)
        | {"hovertemplate": f"{prefix}%{{y:,.4~r}} ms"}
        for part, title, dash, prefix in parts
        if (x := found.ratio[part]) and (part is exact or found.exact < len(found.ratio))
    ]
