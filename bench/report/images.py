"""A run's pictures are for pages that show no script: SVG files, each in a light and a dark form.

The same data gives the same bytes: no date, no random ids, and text that stays text. Colours are
those of report.css, so that a picture and the report beside it look alike.
"""

import io
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.records.run_record import CapacityRecord
from bench.report import phrases
from bench.report.charts import by_rate, level_state
from bench.report.waterfall import Operation
from bench.stats.curves import Percentiles

STYLE = Path(__file__).with_name("report.css")
THEMES = ("light", "dark")
SIZE_INCHES = (8.6, 3.6)
"""A picture is as wide as the text of a README."""
SHORT_INCHES = (8.6, 2.2)
"""A picture with one bar needs less height."""
LINES_MAX = 8
"""There are eight colours; of more lines the first are drawn."""
LABELLED_SHARE_MIN = 0.05
"""A stage that takes less of the whole is too narrow for its name and is named in the legend."""

DECADES = 100.0
"""Values of which the last is so many times the first are drawn by their logarithm, as plans read
between them."""


class Grown(NamedTuple):
    """A request took this at a value of what grows."""

    value: float
    cpu_us: Mapping[str, float]
    p99_ms: float


class Line(NamedTuple):
    """A line is a named latency curve."""

    name: str
    percentiles: Percentiles


Draw = Callable[[Axes, dict[str, str]], None]


def colors(theme: str, style: Path = STYLE) -> dict[str, str]:
    """`colors` returns the variables of report.css in that theme, by name: ``{"--text": "#1c2128",
    …}``."""
    pairs = re.findall(
        r"(--[\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", style.read_text()
    )
    return {name: (light, dark)[THEMES.index(theme)] for name, light, dark in pairs}


def draw(picture: Draw, theme: str, size_inches: tuple[float, float] = SIZE_INCHES) -> bytes:
    """`draw` returns the picture as SVG."""
    palette = colors(theme)
    options: dict[Any, Any] = {
        "svg.hashsalt": "kaflinkshop",
        "svg.fonttype": "none",
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 10,
        "text.color": palette["--text"],
        "axes.labelcolor": palette["--text"],
        "axes.edgecolor": palette["--line"],
        "axes.facecolor": palette["--card"],
        "figure.facecolor": palette["--card"],
        "xtick.color": palette["--muted"],
        "ytick.color": palette["--muted"],
        "grid.color": palette["--grid"],
        "legend.frameon": False,
    }
    with matplotlib.rc_context(options):
        figure = Figure(figsize=size_inches, layout="constrained")
        axes = figure.subplots()
        axes.spines[["top", "right"]].set_visible(False)
        picture(axes, palette)
        target = io.BytesIO()
        nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
        figure.savefig(target, format="svg", metadata=nothing)
    return short(target.getvalue())


_INDENT, _TAG = re.compile(rb"\n +(?=<)"), re.compile(rb"<[^>]*>")
_NUMBER = re.compile(rb"(?<=[ (\"])-?\d+\.\d{3,}")


def short(svg: bytes) -> bytes:
    """`short` returns the same picture a fifth smaller: without indents, and with numbers of two
    decimals in its tags, which is far below a pixel. Numbers between them stay as they are."""

    def rounded(number: re.Match[bytes]) -> bytes:
        return b"%g" % round(float(number[0]), 2)

    return _TAG.sub(lambda tag: _NUMBER.sub(rounded, tag[0]), _INDENT.sub(b"\n", svg))


def percentiles(lines: Sequence[Line]) -> Draw:
    """`percentiles` draws latency by percentile on HdrHistogram's axis; dashed where it is only a
    lower bound."""

    def picture(axes: Axes, palette: dict[str, str]) -> None:
        for index, (name, found) in enumerate(lines, 1):
            color, exact = palette[f"--c{index}"], found.exact
            axes.plot(found.ratio[:exact], found.latency_ms[:exact], color=color, label=name, lw=2)
            if exact < len(found.ratio):
                bound = slice(max(0, exact - 1), None)
                axes.plot(found.ratio[bound], found.latency_ms[bound], color=color, ls="--", lw=2)
        highest = max(line.percentiles.ratio[-1] for line in lines)
        ticks = [1, 2, *(10**power for power in range(1, 9) if 10**power <= highest)]
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(ticks, [phrases.share(1 - 1 / tick) for tick in ticks])
        axes.set_xticks([], minor=True)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlim(1, highest)
        axes.set(xlabel="percentile", ylabel="latency, ms")
        axes.grid(visible=True)
        axes.legend(loc="best")

    return picture


def waterfall(operation: Operation) -> Draw:
    """`waterfall` draws the stages of one operation from left to right, each as long as its mean
    time."""

    def picture(axes: Axes, palette: dict[str, str]) -> None:
        names = list(dict.fromkeys(stage.name for stage in operation.stages))
        for stage in operation.stages:
            waits = "topic" in stage.name or "lag" in stage.name
            axes.barh(
                0,
                stage.times.mean_ms,
                left=stage.begin_ms,
                color=palette[f"--c{names.index(stage.name) % 8 + 1}"],
                edgecolor=palette["--card"],
                hatch="//" if waits else None,
                label=stage.name,
            )
            if stage.times.mean_ms >= LABELLED_SHARE_MIN * operation.total.mean_ms:
                axes.annotate(
                    phrases.ms(stage.times.mean_ms),
                    (stage.begin_ms + stage.times.mean_ms / 2, 0),
                    ha="center",
                    va="center",
                    color=palette["--text"],
                    bbox={"boxstyle": "round,pad=0.15", "fc": palette["--card"], "lw": 0},
                )
        handles, labels = axes.get_legend_handles_labels()
        shown = dict(zip(labels, handles, strict=True))
        axes.legend(shown.values(), shown.keys(), ncols=5, loc="lower left", bbox_to_anchor=(0, 1))
        axes.set_yticks([0], [operation.name])
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set(xlabel="mean time since the request was due, ms")

    return picture


LEVEL_MARKS = {"held": "o", "not held": "x", "unknown": "D"}


def knee(found: CapacityRecord) -> Draw:
    """`knee` draws latency against rate: filled marks held the service level, crosses did not, and
    of open ones nobody can tell."""

    def picture(axes: Axes, palette: dict[str, str]) -> None:
        ordered, knee_per_s = by_rate(found), found.knee_per_s
        for index, (name, values) in enumerate(
            (
                ("p50", [step.p50_ms for step in ordered]),
                ("p99", [step.p99_ms for step in ordered]),
                ("p99.9", [step.p999_ms for step in ordered]),
            ),
            1,
        ):
            known = [
                (step.rate_per_s, value, level_state(step))
                for step, value in zip(ordered, values, strict=True)
                if value is not None
            ]
            color = palette[f"--c{index}"]
            axes.plot([each[0] for each in known], [each[1] for each in known], color=color, lw=2)
            for state, mark in LEVEL_MARKS.items():
                fill = "none" if state == "unknown" else "full"
                if chosen := [each[:2] for each in known if each[2] == state]:
                    axes.plot(*zip(*chosen, strict=True), mark, color=color, fillstyle=fill)
            axes.plot([], [], "o-", color=color, label=name)
        axes.axhline(found.level.p99_ms, color=palette["--limit"], ls="--", label="p99 allowed")
        if knee_per_s is not None:
            rate = phrases.rate(knee_per_s)
            name = f"at least: {rate}/s" if found.at_least else f"highest that held: {rate}/s"
            axes.axvline(knee_per_s, color=palette["--good"], ls=":", lw=2, label=name)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlim(left=0)
        axes.set(xlabel="rate, requests/s", ylabel="latency, ms")
        axes.grid(visible=True)
        axes.legend(loc="upper left")

    return picture


def growth(title: str, points: Sequence[Grown], names: Sequence[str] = ()) -> Draw:
    """`growth` draws what a request took against what grows: CPU of each group as areas on each
    other, and the p99 as a line with an axis of its own; `names` stand for values that are no
    numbers."""

    def picture(axes: Axes, palette: dict[str, str]) -> None:
        values = [point.value for point in points]
        groups = [group for group in points[0].cpu_us if all(group in p.cpu_us for p in points)]
        axes.stackplot(
            values,
            *([point.cpu_us[group] for point in points] for group in groups),
            labels=groups,
            colors=[palette[f"--c{index}"] for index in range(2, 2 + len(groups))],
            alpha=0.6,
        )
        right = axes.twinx()
        right.spines[["top", "left"]].set_visible(False)
        right.plot(values, [point.p99_ms for point in points], "o-", color=palette["--c1"], lw=2)
        right.set_ylabel("p99, ms", color=palette["--c1"])
        right.set_ylim(bottom=0)
        axes.set_xlim(min(values), max(values))
        if max(values) >= DECADES * min(values):
            axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set(xlabel=title, ylabel="CPU a request, µs")
        if names:
            axes.set_xticks(values, [names[round(value) - 1] for value in values])
        axes.grid(visible=True)
        axes.legend(ncols=len(groups), loc="lower left", bbox_to_anchor=(0, 1))

    return picture
