"""The command ``history`` shows each metric over commits."""

import argparse
from pathlib import Path

from bench.atomic_files import make_folder, write
from bench.cli.arguments import ANY_EXITS, Command, add_json, show, show_json
from bench.cli.compare import add_budgets
from bench.compare.budgets import read_budgets
from bench.errors import BenchError, ExitCode, progress
from bench.regression.worktree import ancestors, resolve


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="DIR", help="holds run folders at any depth")
    parser.add_argument("--out", type=Path, default=Path("history.html"), metavar="FILE",
                        help="the page (default: %(default)s)")  # fmt: skip
    add_budgets(parser)
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
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


COMMAND = Command(
    "history",
    "each metric over commits, with the points where it changed",
    "results --out history.html",
    add_arguments,
    run,
    (*ANY_EXITS, ExitCode.UNREADABLE),
)
