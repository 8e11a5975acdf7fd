"""How often ``regression`` is right, on real runs: ``python -m bench.calibrate.error_rates``.

record FOLDER      many short runs of the system as it is, and of slowed down ones, in turn
resample FOLDER    comparisons drawn from them, and a table of their verdicts
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.calibrate.recorder import SETS, Recorder
from bench.calibrate.resample import BASE, Rates, Round, achieved, rates, read_rounds, table
from bench.calibrate.slowdowns import SLOWDOWNS, Group
from bench.compare.aa_spread import read_spreads
from bench.compare.budgets import DEFAULT_FILE, read_budgets
from bench.errors import BenchError
from bench.regression.job import RATE_PER_S, Options
from bench.regression.worktree import resolve
from machine.errors import StackError

EXIT_FAILED, EXIT_STACK_FAILED, EXIT_INTERRUPTED = 1, 3, 130
COMPARISONS = 40
CYCLES, ROUNDS = 13, 2
DURATION_S, WARMUP_S = 3.0, 0.5
"""Of a run: shorter than those of ``regression``, and so noisier."""
FIRST_WARMUP_S = 40.0
"""At most, of a stack that was just started, where error rates are recorded."""
SHOWN: dict[Group, str] = {"gateway": "open gateway CPU ratio", "service": "open flink CPU ratio"}
"""The metric that a slowdown of the group adds to."""
RECORDS = "open kafka_records per request"


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="python -m bench.calibrate.error_rates",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True)
    record = commands.add_parser("record", help="further rounds; a folder may hold earlier ones")
    record.add_argument("folder", type=Path)
    record.add_argument("--commit", default="HEAD")
    record.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS), metavar="SET",
                        help=f"up together: {', '.join(SETS)} (default: each in turn)")  # fmt: skip
    record.add_argument("--rounds", type=int, default=ROUNDS, help="(default: %(default)s)")
    record.add_argument("--cycles", type=int, default=CYCLES, help="(default: %(default)s)")
    record.add_argument("--rate", type=float, default=RATE_PER_S, help="(default: %(default)g)")
    record.add_argument("--duration", type=float, default=DURATION_S, help="(default: %(default)g)")
    draw = commands.add_parser("resample", help="a table of verdicts")
    draw.add_argument("folder", type=Path)
    draw.add_argument("--comparisons", type=int, default=COMPARISONS,
                      help="of each variant (default: %(default)s)")  # fmt: skip
    draw.add_argument("--budgets", type=Path, default=DEFAULT_FILE)
    draw.add_argument("--aa", type=Path, help="comparisons of a commit with itself")
    draw.add_argument("--seed", type=int, default=1)
    return top


def progress(line: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {line}", file=sys.stderr, flush=True)


def record(args: argparse.Namespace) -> None:
    options = Options(args.rate, args.duration, WARMUP_S, FIRST_WARMUP_S)
    recorder = Recorder(args.folder, resolve(args.commit), options, args.cycles, progress)
    for _ in range(args.rounds):
        for name in args.sets:
            recorder.record(name)


def resample(args: argparse.Namespace) -> str:
    budgets = read_budgets(args.budgets)
    spreads = read_spreads(args.aa) if args.aa else {}
    found: list[Rates] = []
    texts, shares = {}, {}
    for name, up in SETS.items():
        folder = args.folder / name
        rounds = read_rounds(folder) if folder.is_dir() else []
        if len(rounds) < 2:
            progress(f"{folder} has {len(rounds)} rounds; a fresh batch needs a second one")
            continue
        for variant in [BASE, *up.slowdowns] if up.bases > 1 else up.slowdowns:
            row = rates(rounds, variant, args.comparisons, budgets, spreads, args.seed)
            if variant == BASE:
                where = "on one Kafka and Flink" if up.is_shared else "a whole stack each"
                row = row._replace(variant=f"unchanged, {where}")
            else:
                texts[variant] = SLOWDOWNS[variant].text
                shares[variant] = _measured(rounds, variant)
            found.append(row)
    if not found:
        raise BenchError(f"{args.folder} has no two rounds of any set: record them first")
    return table(found, texts, shares)


def _measured(rounds: Sequence[Round], variant: str) -> str:
    """What the slowdown really added, by its own metric."""
    parts = []
    for metric in (SHOWN[SLOWDOWNS[variant].group], RECORDS):
        share = achieved(rounds, variant, metric)
        if share is not None:
            parts.append(f"{metric.removeprefix('open ')} {share:+.1%}")
    return ", ".join(parts)


def main() -> int:
    args = parser().parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if args.command == "record":
            record(args)
        else:
            print(resample(args))
    except KeyboardInterrupt:
        progress("interrupted; what was measured is kept")
        return EXIT_INTERRUPTED
    except StackError as cause:
        progress(f"error: {cause}")
        return EXIT_STACK_FAILED
    except BenchError as cause:
        progress(f"error: {cause}")
        return EXIT_FAILED
    return 0


if __name__ == "__main__":
    sys.exit(main())
