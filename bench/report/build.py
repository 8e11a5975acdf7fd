"""A run's report.html is built from what is recorded in its folder alone."""

from collections.abc import Iterator
from pathlib import Path

from bench.errors import BenchError
from bench.records import samples
from bench.records.run_files import read_run
from bench.records.run_record import PhaseRecord, RunRecord
from bench.records.samples import Window
from bench.records.series_file import read_series
from bench.report import images, phrases, waterfall
from bench.report.page import PhaseData, page
from bench.result_files import make_folder
from bench.stats import curves
from machine.whole_files import write

SHOWN = "checkout"
"""This operation's waterfall is drawn, where it was traced: it goes through most services."""


def build(folder: Path) -> Path:
    """`build` writes report.html anew. It raises `BenchError` in one line for what can't be
    read."""
    run = read_run(folder)
    target = folder / "report.html"
    write(target, page(run, [_phase(folder, phase) for phase in run.phases]).encode())
    return target


def pictures(folder: Path) -> list[Path]:
    """`pictures` draws SVG files into the run's folder ``images``, and returns their paths.

    There is the latency by percentile of all windows, the waterfall of a checkout, or else of the
    operation with the most stages, and latency against rate where a capacity was searched. What
    was not recorded, or whose file is not in the folder any more, has no picture. It raises
    `BenchError` as `build` does, and where nothing can be drawn.
    """
    drawn = list(_drawings(folder, read_run(folder)))
    if not drawn:
        raise BenchError(f"{folder} has nothing to draw: no samples, no traces and no capacity")
    target = folder / "images"
    make_folder(target)
    paths = []
    for name, picture, size_inches in drawn:
        for theme in images.THEMES:
            paths.append(target / f"{name}-{theme}.svg")
            write(paths[-1], images.draw(picture, theme, size_inches))
    return paths


def _drawings(
    folder: Path, run: RunRecord
) -> Iterator[tuple[str, images.Draw, tuple[float, float]]]:
    """Names of pictures, each with how it is drawn and its size."""
    lines: list[images.Line] = []
    operations: list[waterfall.Operation] = []
    for phase in run.phases:
        if phase.window is None:
            continue
        if all((folder / name).exists() for name in phase.samples):
            lines += _lines(phrases.phase_title(phase), _phase(folder, phase).curves)
        if phase.stages and (folder / phase.stages).exists():
            operations += waterfall.read(folder / phase.stages).operations
    if lines:
        yield "percentiles", images.percentiles(lines[: images.LINES_MAX]), images.SIZE_INCHES
    if operations:
        shown = max(
            operations, key=lambda each: (each.name == SHOWN, len(each.stages), each.requests)
        )
        yield "waterfall", images.waterfall(shown), images.SHORT_INCHES
    if run.capacity is not None:
        yield "capacity", images.knee(run.capacity), images.SIZE_INCHES


def _lines(title: str, found: curves.Curves | None) -> Iterator[images.Line]:
    if found is not None and found.response is not None:
        yield images.Line(title, found.response)
    if found is not None and found.service is not None:
        yield images.Line(f"{title}, service time", found.service)


def _phase(folder: Path, phase: PhaseRecord) -> PhaseData:
    recorded = samples.read([folder / name for name in phase.samples])
    series = read_series(folder / phase.series) if phase.series else None
    window = None
    if (found := phase.window) is not None:
        window = Window(found.opened_ns, found.closed_ns, phase.is_open)
        origin_ns = window.opened_ns
    elif len(recorded):
        origin_ns = int(recorded.intended_ns.min())
    else:
        origin_ns = series.at_ns[0] if series and series.at_ns else 0
    return PhaseData(
        phase=phase,
        curves=curves.reduce(recorded, origin_ns, window),
        series=series,
        stages=waterfall.read(folder / phase.stages) if phase.stages else None,
        origin_ns=origin_ns,
    )
