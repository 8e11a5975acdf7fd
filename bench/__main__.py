"""Benchmarks the reference system.

exit codes: 0 the run is valid, 1 an invariant is broken or the run is invalid, 2 wrong usage,
3 the stack could not come up, 130 Ctrl-C (what was measured is kept)
"""

import argparse
import math
import signal
import sys
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from bench import summary
from bench.errors import BenchError
from bench.run import Run
from bench.settings import DURATION_S_MAX, GENERATORS_MAX, SCENARIOS, USERS_MAX, Settings
from bench.web import serve
from system.runtime.errors import StackError

EXIT_CODES = {"valid": 0, "failed": 1, "invalid": 1, "interrupted": 130}
EXIT_INVALID, EXIT_STACK_FAILED, EXIT_INTERRUPTED = 1, 3, 130
WORKERS_MAX = 64
SEED_MAX = 2**31 - 1
ZIPF_MAX = 5.0


def whole(name: str, largest: int, smallest: int = 1) -> "type[int]":
    """An argparse type: an integer from `smallest` to `largest`."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not smallest <= int(text) <= largest:
            raise argparse.ArgumentTypeError(f"{text!r}: {name} from {smallest} to {largest}")
        return int(text)

    return parse  # type: ignore[return-value]


def users(text: str) -> tuple[int, ...]:
    counts = tuple(map(whole("users", USERS_MAX), text.split(",")))
    if len(set(counts)) != len(counts):
        raise argparse.ArgumentTypeError(f"{text!r}: each number of users once")
    return counts


def real(largest: float, above: float) -> "type[float]":
    def parse(text: str) -> float:
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not above < number <= largest:
            raise argparse.ArgumentTypeError(f"{text!r}: above {above:g}, at most {largest:g}")
        return number

    return parse  # type: ignore[return-value]


def url(text: str) -> str:
    address = urlsplit(text)
    if address.scheme != "http" or not address.hostname:
        raise argparse.ArgumentTypeError(f"{text!r}: http://HOST:PORT")
    return text.rstrip("/")


def parser() -> argparse.ArgumentParser:
    default = Settings()
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--scenario", choices=SCENARIOS, default=default.scenario)
    shared.add_argument("--zipf", type=real(ZIPF_MAX, -1e-9), default=default.zipf, metavar="X",
                        help="skew of the items' popularity, for --scenario checkout")  # fmt: skip
    shared.add_argument("--seed", type=whole("a seed", SEED_MAX, 0), default=default.seed)
    shared.add_argument("--workers", type=whole("workers", WORKERS_MAX), default=default.workers,
                        help="gateway processes (default: %(default)s)")  # fmt: skip
    top = argparse.ArgumentParser(
        prog="python -m bench",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", parents=[shared], help="measure, judge and record")
    run.add_argument("--quick", action="store_true", help="short phases: done within 90 s")
    run.add_argument("--users", type=users, default=default.users, metavar="N,N,...",
                     help="simulated users of each phase (default: 1,64,256)")  # fmt: skip
    run.add_argument("--duration", type=real(DURATION_S_MAX, 0), metavar="S",
                     help="seconds measured of each phase (default: 20; quick: 4)")  # fmt: skip
    run.add_argument("--generators", type=whole("generators", GENERATORS_MAX), metavar="N",
                     default=default.generators, help="Locust processes (default: 1)")  # fmt: skip
    run.add_argument("--target", type=url, metavar="URL", help="a gateway that is up already")
    run.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER",
                     help="where the run's folder is made (default: %(default)s)")  # fmt: skip
    locust = commands.add_parser("locust", parents=[shared], help="Locust's web UI on a stack")
    locust.add_argument("--web-port", type=whole("a port", 65535, 0), default=0,
                        help="0 for any free one (default: %(default)s)")  # fmt: skip
    locust.add_argument("arguments", nargs="*", metavar="-- ARGUMENT",
                        help="further arguments for Locust")  # fmt: skip
    return top


def settings_of(args: argparse.Namespace) -> Settings:
    settings = Settings(
        scenario=args.scenario, zipf=args.zipf, seed=args.seed, workers=args.workers
    )
    if args.command == "locust":
        return settings
    settings = replace(settings, users=args.users, generators=args.generators, target=args.target)
    if args.quick:
        settings = settings.quick()
    return replace(settings, duration_s=args.duration) if args.duration else settings


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> int:
    arguments = parser()
    args = arguments.parse_args()
    if args.zipf and args.scenario != "checkout":
        arguments.error("--zipf is for --scenario checkout")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if args.command == "locust":
            serve(settings_of(args), args.web_port, args.arguments, progress)
            return 0
        run, folder = Run(settings_of(args), args.out, progress).execute()
    except KeyboardInterrupt:
        progress("interrupted")
        return EXIT_INTERRUPTED
    except StackError as cause:
        progress(f"error: {cause}")
        return EXIT_STACK_FAILED
    except BenchError as cause:
        progress(f"error: {cause}")
        return EXIT_INVALID
    print(summary.summarize(run))
    progress(f"recorded in {folder}")
    return EXIT_CODES[run["verdict"]]


if __name__ == "__main__":
    sys.exit(main())
