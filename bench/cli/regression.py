"""The command ``regression`` of ``python -m bench``: builds, measures and compares two commits."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench.cli.compare import EXIT_TEXT
from bench.compare.aa_spread import read_spreads
from bench.compare.budgets import DEFAULT_FILE, read_budgets
from bench.compare.comparison import EXIT_CODES
from bench.compare.outputs import markdown, write_outputs
from bench.errors import BenchError
from bench.regression import job
from bench.regression.job import Job, Options
from bench.regression.worktree import CommitError, is_dirty, resolve
from bench.run.model import Progress

EXIT_USAGE = 2
EXIT_UNREADABLE = EXIT_CODES["unreadable"]
RATE_PER_S_MAX = 10_000.0
"""The highest `--rate` of a regression job."""
DURATION_S_MAX = 60.0
"""The longest run of a regression job."""
WARMUP_S_MAX = 300.0
"""The longest `--warmup`."""

Real = Callable[[float, float], Any]
Whole = Callable[..., Any]


def add_command(commands: Any, real: Real, whole: Whole, seed_max: int) -> None:
    """`commands`: what `add_subparsers` returns; `real` and `whole` make argparse's types."""
    command = commands.add_parser(
        "regression",
        help="measure two commits side by side: slower, faster, the same, or can't tell",
        epilog=f"exit codes: {EXIT_TEXT}, 2 wrong usage, 3 a side can't be built or started, "
        "130 Ctrl-C (the runs are kept)",
    )
    add, default = command.add_argument, Options()
    add("base", metavar="BASE", help="the older commit: an id, a branch, a tag")
    add("head", metavar="HEAD", nargs="?", default="HEAD",
        help="the newer one (default: the commit that is checked out)")  # fmt: skip
    add("--rate", type=real(RATE_PER_S_MAX, 0), default=default.rate_per_s, metavar="RATE",
        help="requests/s, about half of the capacity (default: %(default)g)")  # fmt: skip
    add("--duration", type=real(DURATION_S_MAX, 0), default=default.duration_s, metavar="S",
        help="seconds measured of each run (default: %(default)g)")  # fmt: skip
    add("--warmup", type=real(WARMUP_S_MAX, 0), default=default.first_warmup_s, metavar="S",
        help="at most, of a stack that was just started (default: %(default)g)")  # fmt: skip
    add("--budget-s", type=real(job.BUDGET_S_MAX, job.BUDGET_S_MIN), metavar="S",
        default=default.budget_s, help="for all of it (default: %(default)g)")  # fmt: skip
    add("--seed", type=whole("a seed", seed_max, 0), default=default.seed)
    add("--budgets", type=Path, default=DEFAULT_FILE, metavar="FILE",
        help="thresholds, levels (default: bench/compare/budgets.toml)")  # fmt: skip
    add("--aa", type=Path, metavar="FOLDER", help="comparisons of a commit with itself")
    add("--results", type=Path, default=Path("results"), metavar="FOLDER",
        help="where the runs are recorded (default: %(default)s)")  # fmt: skip
    add("--out", type=Path, metavar="FOLDER",
        help="for the Markdown, JSON and XML files of CI (default: beside the runs)")  # fmt: skip


def run_regression(args: argparse.Namespace, progress: Progress) -> int:
    """The exit code. Raises `StackError`, `BenchError` and `KeyboardInterrupt` for the caller."""
    try:
        base, head = resolve(args.base), resolve(args.head)
    except CommitError as cause:
        progress(f"error: {cause}")
        return EXIT_USAGE
    try:
        budgets = read_budgets(args.budgets)
        spreads = read_spreads(args.aa) if args.aa else None
    except BenchError as cause:
        progress(f"error: {cause}")
        return EXIT_UNREADABLE
    if args.head == "HEAD" and is_dirty():
        progress("note: system/ has changes that are not committed; they are not measured")
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    folder = args.results / f"regression-{now}-{base.short}-{head.short}"
    options = Options(
        rate_per_s=args.rate,
        duration_s=args.duration,
        warmup_s=min(Options().warmup_s, args.duration),
        first_warmup_s=args.warmup,
        budget_s=args.budget_s,
        seed=args.seed,
    )
    try:
        job = Job(base, head, options, budgets, spreads, progress)
        comparison = job.execute(folder)
        paths = write_outputs(comparison, args.out or folder)
    except OSError as cause:
        raise BenchError(f"cannot write {cause.filename or folder}: {cause.strerror}") from None
    except KeyboardInterrupt:
        progress(f"runs that were measured are kept in {folder}")
        raise
    print(markdown(comparison))
    progress(f"written: {', '.join(map(str, paths))}")
    return int(comparison["exit_code"])
