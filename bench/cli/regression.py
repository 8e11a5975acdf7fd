"""The command ``regression`` builds, measures and compares two commits."""

import argparse
from datetime import UTC, datetime
from pathlib import Path

from bench.atomic_files import make_folder
from bench.cli.arguments import STACK_EXITS, Command, add_json, add_results, add_seed
from bench.cli.compare import COMPARISON_COMMAND_EXITS, add_budgets, add_spreads, finish, rules
from bench.errors import ExitCode, progress
from bench.regression import job
from bench.regression.job import Job
from bench.regression.runs import DURATION_S_MAX, RATE_PER_S_MAX, USERS_MAX, Options
from bench.regression.worktree import fork_point, is_dirty, resolve
from bench.run.run import measure
from machine.arguments import positive, real, whole

WARMUP_S_MAX = 300.0
"""The `--warmup` is at most this long."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add, default = parser.add_argument, Options()
    add("base", metavar="BASE", help="the older commit: an id, a branch, a tag")
    add("head", metavar="HEAD", nargs="?", default="HEAD",
        help="the newer one (default: the commit that is checked out)")  # fmt: skip
    add("--rate", type=positive(RATE_PER_S_MAX), default=default.rate_per_s, metavar="RATE",
        help="requests/s, about half of the capacity (default: %(default)g)")  # fmt: skip
    add("--users", type=whole("users", USERS_MAX), default=default.users, metavar="N",
        help="that saturate it (default: %(default)s)")  # fmt: skip
    add("--duration", type=positive(DURATION_S_MAX), default=default.duration_s, metavar="S",
        help="seconds, at the rate and again at saturation (default: %(default)g)")  # fmt: skip
    add("--warmup", type=positive(WARMUP_S_MAX), default=default.first_warmup_s, metavar="S",
        help="at most, of a stack that was just started (default: %(default)g)")  # fmt: skip
    add("--budget-s", type=real(job.BUDGET_S_MAX, job.BUDGET_S_MIN), metavar="S",
        default=default.budget_s, help="for all of it (default: %(default)g)")  # fmt: skip
    add("--out", type=Path, metavar="FOLDER",
        help="for the Markdown, JSON and XML files of CI (default: beside the runs)")  # fmt: skip
    add_seed(parser, default.seed)
    add_budgets(parser)
    add_spreads(parser)
    add_results(parser, "--results")
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    asked, head = resolve(args.base), resolve(args.head)
    base = fork_point(asked, head)
    if base.id != asked.id:
        progress(f"{args.base} went on since {base.short}, which is what is compared with")
    budgets, spreads = rules(args)
    now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    folder = args.results / f"regression-{now}-{base.short}-{head.short}"
    for place in filter(None, (folder, args.out)):
        make_folder(place)
    if args.head == "HEAD" and is_dirty():
        progress("note: system/ has changes that are not committed; they are not measured")
    options = Options(
        rate_per_s=args.rate,
        users=args.users,
        duration_s=args.duration,
        warmup_s=min(Options().warmup_s, args.duration),
        first_warmup_s=args.warmup,
        budget_s=args.budget_s,
        seed=args.seed,
    )
    try:
        job = Job(base, head, options, budgets, spreads, measure, progress)
        comparison = job.execute(folder)
    except KeyboardInterrupt:
        progress(f"runs that were measured are kept in {folder}")
        raise
    return finish(comparison, args.out or folder, args.json)


COMMAND = Command(
    "regression",
    "two commits, built and measured in turns: slower, faster, the same, or can't tell",
    "main --budget-s 600 --out regression",
    add_arguments,
    run,
    (*COMPARISON_COMMAND_EXITS, *STACK_EXITS),
)
