"""The command ``report``: report.html and summary.md of recorded runs, anew."""

import argparse
from pathlib import Path

from bench.atomic_files import write
from bench.cli.arguments import ANY_EXITS, Command, add_json, show, show_json
from bench.errors import ExitCode
from bench.records.run_files import read_run
from bench.records.samples_csv import write_csv
from bench.report import markdown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    parser.add_argument("--csv", action="store_true",
                        help="samples.csv too: a row for each request")  # fmt: skip
    parser.add_argument("--images", action="store_true",
                        help="SVG pictures too, light and dark, in the folder images")  # fmt: skip
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    from bench.report import build  # loading what draws takes a second

    written = []
    for folder in args.runs:
        page, summary = build.build(folder), folder / "summary.md"
        write(summary, markdown.summarize(read_run(folder)).encode())
        files = {"report": page, "summary": summary}
        if args.csv:
            phases = read_run(folder).phases
            sources = ((each.name, [folder / name for name in each.samples]) for each in phases)
            files["samples"] = folder / "samples.csv"
            write_csv(files["samples"], sources)
        pictures = build.pictures(folder) if args.images else []
        if pictures:
            files["images"] = folder / "images"
        written.append({"run": str(folder)} | {name: str(path) for name, path in files.items()})
        if not args.json:
            show("\n".join(map(str, [page, *pictures])))
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
