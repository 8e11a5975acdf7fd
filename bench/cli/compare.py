"""The command ``compare`` compares two recorded runs, or sets of them."""

import argparse
from pathlib import Path

from bench.calibrate.aa_spread import read_spreads
from bench.cli.arguments import Command, add_json, show, show_json
from bench.compare.budgets import DEFAULT_FILE, Budgets, read_budgets
from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.comparison_record import Comparison
from bench.compare.metric_pairs import Spreads
from bench.compare.outputs import OUTPUTS, markdown, write_outputs
from bench.errors import COMPARISON_EXITS, ExitCode, progress
from bench.records.typed_json import to_plain
from bench.result_files import make_folder

COMPARISON_COMMAND_EXITS = (
    ExitCode.DONE,
    ExitCode.FAILED,
    ExitCode.USAGE,
    *sorted({*COMPARISON_EXITS.values()} - {ExitCode.DONE}),
)


def add_budgets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--budgets", type=Path, default=DEFAULT_FILE, metavar="FILE",
                        help="thresholds and levels (default: the harness's own)")  # fmt: skip


def add_spreads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--aa", type=Path, metavar="FOLDER",
                        help="comparisons of a commit with itself")  # fmt: skip


def rules(args: argparse.Namespace) -> tuple[Budgets, Spreads]:
    """`rules` returns what `add_budgets` and `add_spreads` name. It raises `BudgetError` and
    `SpreadError`."""
    return read_budgets(args.budgets), read_spreads(args.aa) if args.aa else {}


def finish(comparison: Comparison, folder: Path | None, is_json: bool) -> ExitCode:
    """`finish` shows the comparison, writes its files, and returns its exit code."""
    if is_json:
        show_json(to_plain(comparison))
    else:
        show(markdown(comparison))
    if folder is not None:
        progress(f"written: {', '.join(map(str, write_outputs(comparison, folder)))}")
    return COMPARISON_EXITS[comparison.verdict]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("a", type=Path, metavar="RUN_A",
        help="older: a run's folder, or one that holds several; or a file of vegeta, k6, oha or "
        "Locust, or a folder of such files")  # fmt: skip
    add("b", type=Path, metavar="RUN_B", help="newer: the same")
    add("--again", type=Path, metavar="RUN_A2",
        help="the older side on a second system, measured in the same turns")  # fmt: skip
    add("--fresh", type=Path, nargs=2, metavar=("RUN_A", "RUN_B"),
        help="a later batch, to repeat what the first shows")  # fmt: skip
    add("--out", type=Path, metavar="FOLDER", help="for the Markdown, JSON and XML files of CI")
    add_budgets(parser)
    add_spreads(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    if args.out:
        make_folder(args.out, OUTPUTS)
    budgets, spreads = rules(args)
    batch = Folders(args.a, args.b, args.again)
    fresh = Folders(*args.fresh) if args.fresh else None
    comparison = compare(batch, budgets, fresh, spreads=spreads)
    return finish(comparison, args.out, args.json)


COMMAND = Command(
    "compare",
    "slower, faster, the same, or can't tell: two sets of recorded runs",
    "runs/before runs/after --out comparison",
    add_arguments,
    run,
    COMPARISON_COMMAND_EXITS,
)
