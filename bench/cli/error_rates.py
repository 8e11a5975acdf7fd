"""The command ``error-rates`` tells how often ``regression`` is right, on real runs."""

import argparse
from pathlib import Path

from bench.atomic_files import make_folder
from bench.calibrate import recorder, resample
from bench.calibrate.recorder import Recorder
from bench.calibrate.slowdowns import SETS
from bench.cli.arguments import ANY_EXITS, STACK_EXITS, Command, add_json, add_seed, show, show_json
from bench.cli.compare import add_budgets, add_spreads, rules
from bench.errors import ExitCode, progress
from bench.regression.runs import DURATION_S_MAX, RATE_PER_S, RATE_PER_S_MAX, Options
from bench.regression.worktree import resolve
from bench.run.run import measure
from machine.arguments import one_of, positive, whole

ROUNDS_MAX = 100
"""One call makes at most this many rounds; a round takes about ten minutes."""
CYCLES_MAX = 500
"""A round has at most this many cycles: a comparison has at most as many pairs."""
COMPARISONS_MAX = 10_000
"""A variant has at most this many comparisons drawn: further ones repeat the same runs."""


def add_recording(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, metavar="FOLDER", help="may hold earlier rounds")
    add("--commit", default="HEAD", help="what is recorded (default: %(default)s)")
    add("--sets", nargs="+", type=one_of("set", SETS), default=list(SETS), metavar="SET",
        help=f"up together: {', '.join(SETS)} (default: each in turn)")  # fmt: skip
    add("--rounds", type=whole("rounds", ROUNDS_MAX), default=recorder.ROUNDS, metavar="N",
        help="(default: %(default)s)")  # fmt: skip
    add("--cycles", type=whole("cycles", CYCLES_MAX), default=recorder.CYCLES, metavar="N",
        help="of a round (default: %(default)s)")  # fmt: skip
    add("--rate", type=positive(RATE_PER_S_MAX), default=RATE_PER_S, metavar="RATE",
        help="requests/s (default: %(default)g)")  # fmt: skip
    add("--duration", type=positive(DURATION_S_MAX), default=recorder.DURATION_S, metavar="S",
        help="of a run (default: %(default)g)")  # fmt: skip


def record(args: argparse.Namespace) -> ExitCode:
    commit = resolve(args.commit)
    make_folder(args.folder)
    options = Options(args.rate, args.duration, recorder.WARMUP_S, recorder.FIRST_WARMUP_S)
    try:
        rounds = Recorder(args.folder, commit, options, args.cycles, measure, progress)
        for _ in range(args.rounds):
            for name in args.sets:
                rounds.record(name)
    except KeyboardInterrupt:
        progress(f"runs that were measured are kept in {args.folder}")
        raise
    return ExitCode.DONE


def add_resampling(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="what record has filled")
    parser.add_argument("--comparisons", type=whole("comparisons", COMPARISONS_MAX),
                        default=resample.COMPARISONS, metavar="N",
                        help="of each variant (default: %(default)s)")  # fmt: skip
    add_budgets(parser)
    add_spreads(parser)
    add_seed(parser)
    add_json(parser)


def draw(args: argparse.Namespace) -> ExitCode:
    budgets, spreads = rules(args)
    found = resample.resample(args.folder, args.comparisons, budgets, spreads, args.seed, progress)
    if args.json:
        show_json(found.to_json())
    else:
        show(str(found))
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
    ),
)
