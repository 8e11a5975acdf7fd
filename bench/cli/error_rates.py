"""The command ``error-rates`` tells how often ``regression`` is right, on real runs."""

import argparse
import shutil
from pathlib import Path

from bench.calibrate import recorder, resample
from bench.calibrate.aa_spread import read_spreads, read_verdicts
from bench.calibrate.recorder import Recorder
from bench.calibrate.slowdowns import SETS
from bench.cli.arguments import ANY_EXITS, STACK_EXITS, Command, add_json, add_seed, show, show_json
from bench.cli.compare import add_budgets, add_spreads, rules
from bench.cli.regression import add_measuring, options_of
from bench.compare.budgets import read_budgets
from bench.compare.outputs import write_outputs
from bench.errors import ExitCode, progress
from bench.regression.job import Job
from bench.regression.runs import DURATION_S_MAX, RATE_PER_S_MAX, Options
from bench.regression.worktree import resolve
from bench.result_files import make_folder
from bench.run.run import measure
from machine.arguments import one_of, positive, whole

ROUNDS_MAX = 100
"""One call makes at most this many rounds; a round takes about ten minutes."""
CYCLES_MAX = 500
"""A round has at most this many cycles: a comparison has at most as many pairs."""
JOBS = 20
"""So many unchanged jobs tell a share of 80 % to about 18 points."""
JOBS_MAX = 200
"""One call has at most this many jobs; each takes up to 25 minutes."""
COMPARISONS_MAX = 10_000
"""A variant has at most this many comparisons drawn: further ones repeat the same runs."""


def add_recording(parser: argparse.ArgumentParser) -> None:
    add, default = parser.add_argument, Options()
    add("folder", type=Path, metavar="FOLDER", help="may hold earlier rounds")
    add("--commit", default="HEAD", help="what is recorded (default: %(default)s)")
    add("--sets", nargs="+", type=one_of("set", SETS), default=list(SETS), metavar="SET",
        help=f"up together: {', '.join(SETS)} (default: each in turn)")  # fmt: skip
    add("--rounds", type=whole("rounds", ROUNDS_MAX), default=recorder.ROUNDS, metavar="N",
        help="of each set, earlier ones included (default: %(default)s)")  # fmt: skip
    add("--cycles", type=whole("cycles", CYCLES_MAX), default=recorder.CYCLES, metavar="N",
        help="of a round (default: %(default)s)")  # fmt: skip
    add("--rate", type=positive(RATE_PER_S_MAX), default=default.rate_per_s, metavar="RATE",
        help="requests/s (default: %(default)g)")  # fmt: skip
    add("--duration", type=positive(DURATION_S_MAX), default=default.duration_s, metavar="S",
        help="of a run, as of regression (default: %(default)g)")  # fmt: skip
    add_budgets(parser)


def record(args: argparse.Namespace) -> ExitCode:
    commit = resolve(args.commit)
    read_budgets(args.budgets)
    make_folder(args.folder)
    options = Options(rate_per_s=args.rate, duration_s=args.duration)
    kind = {"commit": commit.id, **options._asdict(), "cycles": args.cycles}
    recorder.freeze(args.folder, args.budgets, kind)
    rounds = Recorder(args.folder, commit, options, args.cycles, measure, progress)
    left = [
        name for number in range(args.rounds) for name in args.sets if rounds.rounds(name) <= number
    ]
    about_s = sum(recorder.round_s(SETS[name], options, args.cycles) for name in left)
    progress(f"{len(left)} rounds: about {about_s / 3600:.1f} h on an idle machine")
    try:
        for name in left:
            rounds.record(name)
    except KeyboardInterrupt:
        progress(f"rounds that are whole are kept in {args.folder}: the same command goes on")
        raise
    return ExitCode.DONE


def add_resampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER",
                        help="what record has filled, with the budgets that it keeps")  # fmt: skip
    parser.add_argument("--comparisons", type=whole("comparisons", COMPARISONS_MAX),
                        default=resample.COMPARISONS, metavar="N",
                        help="of each variant (default: %(default)s)")  # fmt: skip
    add_spreads(parser)
    add_seed(parser)
    add_json(parser)


def draw(args: argparse.Namespace) -> ExitCode:
    budgets = read_budgets(args.folder / recorder.BUDGETS_FILE)
    spreads = read_spreads(args.aa) if args.aa else {}
    found = resample.resample(args.folder, args.comparisons, budgets, spreads, args.seed, progress)
    if args.json:
        show_json(found.to_json())
    else:
        show(str(found))
    return ExitCode.DONE


def add_unchanged(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="may hold earlier jobs")
    parser.add_argument("--commit", default="HEAD", help="the one (default: %(default)s)")
    parser.add_argument("--jobs", type=whole("jobs", JOBS_MAX), default=JOBS, metavar="N",
                        help="in all, earlier ones included (default: %(default)s)")  # fmt: skip
    add_measuring(parser, results=False)


def unchanged(args: argparse.Namespace) -> ExitCode:
    commit, (budgets, spreads) = resolve(args.commit), rules(args)
    make_folder(args.folder)
    options = options_of(args)
    kind = {"commit": commit.id, **options._asdict(), "spreads": spreads}
    recorder.freeze(args.folder, args.budgets, kind)
    progress(f"at most {args.jobs * options.budget_s / 3600:.1f} h, for all {args.jobs} jobs")
    for number in range(1, args.jobs + 1):
        place = args.folder / f"job-{number:02}"
        if (place / "comparison.json").exists():
            continue
        if place.exists():  # it was interrupted: half a job is none
            shutil.rmtree(place)
        job = Job(commit, commit, options, budgets, spreads, measure, progress)
        write_outputs(job.execute(place), place)
    verdicts = read_verdicts(args.folder)
    for verdict, count in verdicts.most_common():
        show(f"{verdict}: {count} of {verdicts.total()} ({count / verdicts.total():.0%})")
    return ExitCode.DONE


READING_EXITS = (ExitCode.UNREADABLE, ExitCode.MISSING_METRIC, ExitCode.OTHER_SCHEMA)
COMMAND = Command(
    "error-rates",
    "how often regression is right, on recorded runs of slowed down systems",
    exits=(*ANY_EXITS, *READING_EXITS, *STACK_EXITS),
    parts=(
        Command(
            "record",
            "many short runs of the system as it is, and of slowed down ones, in turn",
            "rates --rounds 2",
            add_recording,
            record,
            (*ANY_EXITS, *STACK_EXITS),
        ),
        Command(
            "resample",
            "comparisons drawn from them, and a table of their verdicts",
            "rates --comparisons 40",
            add_resampling,
            draw,
            (*ANY_EXITS, *READING_EXITS),
        ),
        Command(
            "unchanged",
            "whole jobs of one commit against itself, and how many said SAME",
            "jobs --jobs 20",
            add_unchanged,
            unchanged,
            (*ANY_EXITS, *READING_EXITS, *STACK_EXITS),
        ),
    ),
)
