"""The commands ``compare`` and ``history`` of ``python -m bench``.

arguments = add_commands(subparsers)        # in the parser
return COMMANDS[args.command](args)         # an exit code; `BenchError` is for the caller
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.compare.aa_spread import read_spreads
from bench.compare.budgets import DEFAULT_FILE, read_budgets
from bench.compare.comparison import EXIT_CODES, compare
from bench.compare.outputs import markdown, write_outputs
from bench.errors import BenchError

EXIT_UNREADABLE = EXIT_CODES["unreadable"]
EXIT_TEXT = ", ".join(f"{code} {name.replace('_', ' ')}" for name, code in EXIT_CODES.items())


def add_commands(commands: Any) -> None:
    """`commands`: what `add_subparsers` returns."""
    comparing = commands.add_parser(
        "compare",
        help="slower, faster, the same, or can't tell: two sets of recorded runs",
        epilog=f"exit codes: {EXIT_TEXT}, 2 wrong usage",
    )
    comparing.add_argument("a", type=Path, metavar="RUN_A",
                           help="older: a run's folder, or one that holds several")  # fmt: skip
    comparing.add_argument("b", type=Path, metavar="RUN_B", help="newer: the same")
    comparing.add_argument("--fresh", type=Path, nargs=2, metavar=("RUN_A", "RUN_B"),
                           help="a later batch, to repeat what the first shows")  # fmt: skip
    comparing.add_argument("--aa", type=Path, metavar="FOLDER",
                           help="comparisons of a commit with itself")  # fmt: skip
    comparing.add_argument("--out", type=Path, metavar="FOLDER",
                           help="for the Markdown, JSON and XML files of CI")  # fmt: skip
    drawing = commands.add_parser("history", help="each metric over commits, with change points")
    drawing.add_argument("folder", type=Path, metavar="DIR", help="holds run folders at any depth")
    drawing.add_argument("--out", type=Path, default=Path("history.html"), metavar="FILE",
                         help="the page (default: %(default)s)")  # fmt: skip
    for command in (comparing, drawing):
        command.add_argument("--budgets", type=Path, default=DEFAULT_FILE, metavar="FILE",
                             help="thresholds and levels (default: the harness's own)")  # fmt: skip


def run_compare(args: argparse.Namespace) -> int:
    """The exit code."""
    try:
        budgets = read_budgets(args.budgets)
        spreads = read_spreads(args.aa) if args.aa else None
    except BenchError as cause:
        return _refuse(cause)
    fresh = tuple(args.fresh) if args.fresh else None
    comparison = compare(args.a, args.b, budgets, fresh, spreads=spreads)
    print(markdown(comparison))
    if args.out:
        try:
            paths = write_outputs(comparison, args.out)
        except OSError as cause:
            raise BenchError(f"cannot write to {args.out}: {cause.strerror}") from None
        print(f"written: {', '.join(map(str, paths))}", file=sys.stderr)
    return int(comparison["exit_code"])


def run_history(args: argparse.Namespace) -> int:
    """The exit code."""
    from bench.compare.history import read_history
    from bench.report.history_page import describe, page

    try:
        history = read_history(args.folder, read_budgets(args.budgets))
    except BenchError as cause:
        return _refuse(cause)
    print(describe(history))
    try:
        args.out.write_text(page(history), encoding="utf-8")
    except OSError as cause:
        raise BenchError(f"cannot write {args.out}: {cause.strerror}") from None
    print(f"written: {args.out}", file=sys.stderr)
    return 0


def _refuse(cause: BenchError) -> int:
    print(f"error: {cause}", file=sys.stderr)
    return EXIT_UNREADABLE


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "compare": run_compare,
    "history": run_history,
}
