"""The commands ``report`` and ``history`` draw recorded runs: one by one, and over commits."""

import argparse
from pathlib import Path

from bench.cli.arguments import ANY_EXITS, Command, add_json, show, show_json
from bench.cli.compare import add_budgets
from bench.compare.budgets import read_budgets
from bench.errors import BenchError, ExitCode, progress
from bench.records.run_files import read_run
from bench.records.samples_csv import write_csv
from bench.regression.worktree import ancestors, resolve
from bench.report import markdown
from bench.result_files import make_folder
from machine.whole_files import write


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument("--csv", action="store_true",
                        help="samples.csv too: a row for each request")  # fmt: skip
    parser.add_argument("--images", action="store_true",
                        help="only SVG pictures, light and dark, in the folder images")  # fmt: skip
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    from bench.report import build  # loading what draws takes a second

    written = []
    for folder in args.runs:
        files = (
            {"images": build.pictures(folder)}
            if args.images
            else {
                "report": [build.build(folder)],
                "summary": [_summarize(folder)],
            }
        )
        if args.csv:
            files["samples"] = [_write_samples(folder)]
        paths = {name: [*map(str, found)] for name, found in files.items()}
        written.append({"run": str(folder), **paths})
        if not args.json:
            show("\n".join(path for name in paths for path in paths[name] if name != "summary"))
    if args.json:
        show_json(written)
    return ExitCode.DONE


def _summarize(folder: Path) -> Path:
    summary = folder / "summary.md"
    write(summary, markdown.summarize(read_run(folder)).encode())
    return summary


def _write_samples(folder: Path) -> Path:
    target = folder / "samples.csv"
    phases = read_run(folder).phases
    write_csv(target, ((each.name, [folder / name for name in each.samples]) for each in phases))
    return target


COMMAND = Command(
    "report",
    "report.html and summary.md of recorded runs, anew",
    "results/20261125T163024Z-9fe744f8b2-1",
    add_arguments,
    run,
    (*ANY_EXITS, ExitCode.UNREADABLE, ExitCode.MISSING_METRIC, ExitCode.OTHER_SCHEMA),
)


# ---- history


def add_history(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds run folders at any depth")
    parser.add_argument("--out", type=Path, default=Path("history.html"), metavar="FILE",
                        help="the page (default: %(default)s)")  # fmt: skip
    add_budgets(parser)
    add_json(parser)


def show_history(args: argparse.Namespace) -> ExitCode:
    from bench.compare.history import read_history
    from bench.report.history_page import describe, page

    budgets = read_budgets(args.budgets)
    make_folder(args.out.parent)
    history = read_history(args.folder, budgets, _commits())
    if args.json:
        show_json(history.to_json())
    else:
        show(describe(history))
    write(args.out, page(history).encode())
    progress(f"written: {args.out}")
    return ExitCode.DONE


def _commits() -> list[str]:
    """All commits up to the one that is checked out; none outside of a repository."""
    try:
        return ancestors(resolve("HEAD"))
    except BenchError:
        return []


HISTORY = Command(
    "history",
    "each metric over commits, with the points where it changed",
    "results --out history.html",
    add_history,
    show_history,
    (*ANY_EXITS, ExitCode.UNREADABLE),
)
