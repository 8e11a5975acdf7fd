"""The command ``report``: report.html and summary.md of recorded runs, anew."""

import argparse
from pathlib import Path

from bench.atomic_files import write
from bench.cli.arguments import ANY_EXITS, Command, add_json, show, show_json
from bench.errors import ExitCode
from bench.records.run_files import read_run
from bench.report import markdown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    from bench.report import build  # loading what draws takes a second

    written = []
    for folder in args.runs:
        page, summary = build.build(folder), folder / "summary.md"
        write(summary, markdown.summarize(read_run(folder)).encode())
        written.append({"run": str(folder), "report": str(page), "summary": str(summary)})
        if not args.json:
            show(str(page))
    if args.json:
        show_json(written)
    return ExitCode.DONE


COMMAND = Command(
    "report",
    "report.html and summary.md of recorded runs, anew",
    "results/20261125T163024Z-9fe744f8b2-1",
    add_arguments,
    run,
    (*ANY_EXITS, ExitCode.UNREADABLE, ExitCode.MISSING_METRIC, ExitCode.OTHER_SCHEMA),
)
