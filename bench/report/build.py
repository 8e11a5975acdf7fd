"""report.html of a run, from what is recorded in its folder alone."""

from pathlib import Path

from bench.atomic_files import write
from bench.records import samples
from bench.records.run_files import read_run
from bench.records.run_record import PhaseRecord
from bench.records.samples import Window
from bench.records.series_file import read_series
from bench.report import waterfall
from bench.report.page import PhaseData, page
from bench.stats import curves


def build(folder: Path) -> Path:
    """Writes report.html anew. Raises `BenchError` in one line for what can't be read."""
    run = read_run(folder)
    target = folder / "report.html"
    write(target, page(run, [_phase(folder, phase) for phase in run.phases]).encode())
    return target


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
