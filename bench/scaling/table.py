"""The findings of a study become Markdown: what each value takes beside the base (pure)."""

from collections.abc import Sequence
from statistics import median

from bench.scaling.axes import AXES, RATE, WAY
from bench.scaling.figures import (
    GENERATOR,
    cpu_beside,
    cpu_us,
    most_beside,
    most_per_s,
    saturated_cpu_beside,
    saturated_cpu_us,
)
from bench.scaling.study import told_of
from bench.scaling.study_record import Figure, Figures, Point, Study

UNKNOWN = "unknown"
HEAD = (
    *("value", "pairs", "CPU of a request, open loop", "at saturation"),
    *("p50", "p99", "requests/s at most"),
)


LATENCIES: tuple[Figure, ...] = (lambda run: run.p50_ms, lambda run: run.p99_ms)
OWN: tuple[Figure, ...] = (cpu_us, saturated_cpu_us, *LATENCIES, most_per_s)
BESIDE: tuple[Figure, ...] = (cpu_beside, saturated_cpu_beside, *LATENCIES, most_beside)


def table(study: Study, about: str) -> str:
    """`table` returns what is sound; `about` says what was measured, and where."""
    windows = study.windows
    lines = [
        f"{about}; {windows.pairs} pairs a point, windows of {windows.duration_s:g} s.",
        "",
        "Each figure is a ratio to the base in the same pair: the median (the smallest to the "
        "largest), of the pairs that count. CPU is that of gateway, Kafka and Flink, without what "
        "JVMs compile; the base's is beside each. Where both sides have the same load, CPU and "
        "requests/s are held against the generator's own CPU in the same window: it tells how fast "
        "the machine was.",
    ]
    for name, axis in AXES.items():
        rows = [(_value(name, each.value), each) for each in study.of(name)]
        lines += _section(f"**{axis.title}**; the base: {_base(study, name)}", rows)
    machines = [each for each in study.machines if not study.pairs_left(each.point)]
    lines += _section(
        "**several at once**", [(told_of(each.settings), each.point) for each in machines]
    )
    if (cost := gateway_cost(study)) is not None:
        lines += ["", cost]
    return "\n".join(lines) + "\n"


def _value(axis: str, value: float) -> str:
    if names := AXES[axis].names:
        return names[round(value) - 1]
    return f"{value:.0%}" if axis == RATE else f"{value:,.9g}"


def _base(study: Study, axis: str) -> str:
    known = [study.base(figure, axis) for figure in OWN]
    words = (
        *("{:,.0f} µs of CPU in the open loop", "{:,.0f} µs at saturation"),
        *("p50 {:.1f} ms", "p99 {:.1f} ms", "{:,.0f} requests/s at most"),
    )
    told = (word.format(value) for word, value in zip(words, known, strict=True) if value)
    return ", ".join(told) or UNKNOWN


def _section(title: str, rows: Sequence[tuple[str, Point]]) -> list[str]:
    if not rows:
        return []
    return [
        *("", title, ""),
        "| " + " | ".join(HEAD) + " |",
        "| --- |" + " ---: |" * (len(HEAD) - 1),
        *(_row(name, point) for name, point in rows),
    ]


def _row(name: str, point: Point) -> str:
    is_other_load = point.axis in AXES and AXES[point.axis].is_other_load
    cells = [span(point.ratios(figure)) for figure in (OWN if is_other_load else BESIDE)]
    counted = f"{len(point.sound)} of {len(point.pairs)}"
    return "| " + " | ".join([name, counted, *cells]) + " |"


def span(ratios: Sequence[float]) -> str:
    """`span` returns the median, and the smallest to the largest."""
    if not ratios:
        return UNKNOWN
    return f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"


def gateway_cost(study: Study) -> str | None:
    """`gateway_cost` returns a line about what a request takes more by way of the gateway; None
    where that was not measured."""
    pairs = [pair for point in study.of(WAY) for pair in point.sound]
    told = [
        (pair.base.p50_ms - pair.own.p50_ms, pair.base.p99_ms - pair.own.p99_ms, base - own)
        for pair in pairs
        if (base := _whole(pair.base)) is not None and (own := _whole(pair.own)) is not None
    ]
    if not told:
        return None
    p50_ms, p99_ms, cpu = (median(each) for each in zip(*told, strict=True))
    return (
        f"The gateway costs {p50_ms:+.2f} ms of p50, {p99_ms:+.2f} ms of p99 and {cpu:+,.0f} µs of "
        f"CPU a request at {pairs[0].base.rate_per_s:g}/s, the generator's part included (medians "
        f"of {len(told)} pairs)."
    )


def _whole(run: Figures) -> float | None:
    generator = run.cpu_us.get(GENERATOR)
    system = cpu_us(run)
    return None if system is None or generator is None else system + generator
