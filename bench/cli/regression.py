"""The commands ``regression`` and ``bisect`` build, measure and compare commits."""

import argparse
from collections.abc import Collection
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from bench.cli.arguments import (
    ANY_EXITS,
    STACK_EXITS,
    Command,
    add_json,
    add_results,
    add_seed,
    schedule_of,
    show,
    show_json,
)
from bench.cli.compare import COMPARISON_COMMAND_EXITS, add_budgets, add_spreads, finish, rules
from bench.compare.comparison_record import Comparison
from bench.compare.outputs import OUTPUTS, write_outputs
from bench.errors import ExitCode, UsageError, progress
from bench.project import PROJECT_DIR
from bench.records.typed_json import to_plain
from bench.regression import bisection, job
from bench.regression.job import Job
from bench.regression.runs import DURATION_S_MAX, RATE_PER_S_MAX, USERS_MAX, Options
from bench.regression.worktree import MEASURED, Commit, fork_point, is_dirty, resolve
from bench.result_files import make_folder
from bench.run.run import measure
from bench.run.settings import GENERATORS_MAX
from bench.workload.http_file import read_workload
from machine.arguments import positive, real, whole
from machine.whole_files import write

WARMUP_S_MAX = 300.0
"""The `--warmup` is at most this long."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("base", metavar="BASE", help="the older commit: an id, a branch, a tag")
    add("head", metavar="HEAD", nargs="?", default="HEAD",
        help="the newer one (default: the commit that is checked out)")  # fmt: skip
    add("--out", type=Path, metavar="FOLDER",
        help="for the Markdown, JSON and XML files of CI (default: beside the runs)")  # fmt: skip
    add("--service", type=Path, metavar="FOLDER",
        help="compare commits of the package there, a service of your own")  # fmt: skip
    add("--workload", type=Path, metavar="FILE", help="what to send to the --service")
    add_measuring(parser)
    add_json(parser)


def add_measuring(parser: argparse.ArgumentParser, *, results: bool = True) -> None:
    """`add_measuring` adds the options of a comparison of two commits; `results`: and where they
    are kept."""
    add, default = parser.add_argument, Options()
    add("--rate", type=positive(RATE_PER_S_MAX), default=default.rate_per_s, metavar="RATE",
        help="requests/s, about half of the capacity (default: %(default)g)")  # fmt: skip
    add("--users", type=whole("users", USERS_MAX), default=default.users, metavar="N",
        help="that saturate it (default: %(default)s)")  # fmt: skip
    add("--duration", type=positive(DURATION_S_MAX), default=default.duration_s, metavar="S",
        help="seconds, at the rate and again at saturation (default: %(default)g)")  # fmt: skip
    add("--warmup", type=positive(WARMUP_S_MAX), default=default.first_warmup_s, metavar="S",
        help="at most, of a stack that was just started (default: %(default)g)")  # fmt: skip
    add("--budget-s", type=real(job.BUDGET_S_MAX, job.BUDGET_S_MIN), metavar="S",
        default=default.budget_s, help="for it all (default: %(default)g)")  # fmt: skip
    add("--generators", type=whole("generators", GENERATORS_MAX), default=default.generators,
        metavar="N", help="processes that send (default: %(default)s)")  # fmt: skip
    add_seed(parser, default.seed)
    add_budgets(parser)
    add_spreads(parser)
    if results:
        add_results(parser, "--results")


def options_of(args: argparse.Namespace) -> Options:
    """`options_of` returns what `add_measuring` reads. It raises `UsageError` for a rate at which
    nothing would be sent."""
    options = Options(
        rate_per_s=args.rate,
        users=args.users,
        duration_s=args.duration,
        warmup_s=min(Options().warmup_s, args.duration),
        first_warmup_s=args.warmup,
        budget_s=args.budget_s,
        seed=args.seed,
        generators=args.generators,
    )
    schedule_of(options.settings(0), "--rate and --duration:")
    return options


def run(args: argparse.Namespace) -> ExitCode:
    if args.out:
        make_folder(args.out, OUTPUTS)
    if bool(args.service) != bool(args.workload):
        raise UsageError("--service and --workload go together")
    options, service = options_of(args), args.service and args.service.resolve()
    project, measured = service or PROJECT_DIR, (".",) if service else MEASURED
    if service:
        if not (project / "pyproject.toml").is_file():
            raise UsageError(f"--service {args.service} has no package: pyproject.toml is missing")
        read_workload(args.workload)
        options = options._replace(workload=str(args.workload.resolve()))
    asked, head = resolve(args.base, project), resolve(args.head, project)
    base = fork_point(asked, head, project)
    if base.id != asked.id:
        progress(f"{args.base} went on since {base.short}, which is what is compared with")
    budgets, spreads = rules(args)
    folder = args.results / f"regression-{_now()}-{base.short}-{head.short}"
    make_folder(folder)
    if args.head == "HEAD" and is_dirty(project, measured):
        progress("note: there are changes that are not committed; they are not measured")
    try:
        job = Job(base, head, options, budgets, spreads, measure, progress, service=service)
        comparison = job.execute(folder)
    except KeyboardInterrupt:
        progress(f"runs that were measured are kept in {folder}")
        raise
    return finish(comparison, args.out or folder, args.json)


def _now() -> str:
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


COMMAND = Command(
    "regression",
    "two commits, built and measured in turns: slower, faster, the same, or can't tell",
    "main --budget-s 600 --out regression",
    add_arguments,
    run,
    (*COMPARISON_COMMAND_EXITS, *STACK_EXITS),
)


# ---- bisect


def add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("good", metavar="GOOD", help="the older commit, which is fast")
    parser.add_argument("bad", metavar="BAD", nargs="?", default="HEAD",
                        help="the newer one, which is slow (default: HEAD)")  # fmt: skip
    add_measuring(parser)
    add_json(parser)


def bisect(args: argparse.Namespace) -> ExitCode:
    good, bad = resolve(args.good), resolve(args.bad)
    budgets, spreads = rules(args)
    options = options_of(args)
    folder = args.results / f"bisect-{good.short}-{bad.short}"
    make_folder(folder)

    def compare(commit: Commit, metrics: Collection[str], comparisons: int) -> Comparison:
        gated, place = bisection.only(budgets, metrics), folder / f"{commit.short}-{_now()}"
        job = Job(good, commit, options, gated, spreads, measure, progress, comparisons)
        comparison = job.execute(place)
        write_outputs(comparison, place)
        return comparison

    rules_read = sha256(repr((budgets, spreads)).encode()).hexdigest()
    told = f"{options}, budgets and spreads {rules_read[:16]}"
    try:
        search = bisection.Bisection(good, bad, compare, folder, told, progress).find()
    except KeyboardInterrupt:
        progress(f"the steps so far are kept in {folder}: the same command goes on with them")
        raise
    text = bisection.report(search)
    write(folder / "bisect.md", text.encode())
    if args.json:
        show_json(to_plain(search))
    else:
        show(text)
    return ExitCode.DONE if len(search.first_bad) == 1 else ExitCode.INCONCLUSIVE


BISECT = Command(
    "bisect",
    "the first commit that is worse than a good one, by git bisect",
    "v1.0 main --budget-s 900",
    add_search,
    bisect,
    (*ANY_EXITS, ExitCode.INCONCLUSIVE, ExitCode.UNREADABLE, *STACK_EXITS),
)
