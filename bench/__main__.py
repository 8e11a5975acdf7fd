"""Measures the round trip over Kafka and Flink, or any HTTP service.

  run       the shop under load: simulated users (--users), or an open loop (--rate)
  capacity  the highest rate that holds for a service level
  probe     single promises, each on its own: what a timeout, an overload, a late reply do
  report    report.html of recorded runs, anew
  compare   two recorded runs, or sets of them: slower, faster, the same, or can't tell
  regression  two commits, built and measured in turns, and compared
  history   each metric over commits
  calibrate this project's own generator: its ceiling, beside wrk and Locust
  locust    Locust's web UI on a stack

exit codes: 0 the run is valid, 1 an invariant is broken or the run is invalid, 2 wrong usage,
3 the stack could not come up, 4 the run is void: the generator or the machine was the bottleneck,
130 Ctrl-C (what was measured is kept)
"""

import argparse
import math
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from bench.atomic_files import write
from bench.calibrate import parts
from bench.cli import compare, regression
from bench.cli.locust_page import serve
from bench.errors import BenchError
from bench.generator.spec import SCENARIOS
from bench.probes.probe import OWN_STACK, Options
from bench.probes.registry import PROBES
from bench.records.run_record import read_run
from bench.report import markdown
from bench.run import capacity
from bench.run.capacity import Level
from bench.run.run import Probing, Run, Search
from bench.run.settings import DURATION_S_MAX, GENERATORS_MAX, USERS_MAX, Settings
from bench.workload.arrivals import ARRIVALS, ScheduleError
from bench.workload.http_file import read_workload
from machine.errors import StackError

EXIT_CODES = {"valid": 0, "failed": 1, "invalid": 1, "void": 4, "interrupted": 130}
EXIT_INVALID, EXIT_STACK_FAILED, EXIT_INTERRUPTED = 1, 3, 130
WORKERS_MAX = 64
"""Gateway processes, as the gateway's own limit."""
SEED_MAX = 2**31 - 1
"""The largest seed: 31 bits, as every random generator takes."""
ZIPF_MAX = 5.0
"""The largest skew of item popularity; far beyond any market."""
IN_FLIGHT_MAX = 20_000
"""The largest `--in-flight`: above the ports that one address has, nothing can connect."""
TRACE_EVERY_MAX = 1_000_000
"""The largest `--trace-every`."""
P99_MS_MAX = 60_000.0
"""The longest p99 that a capacity can be searched for."""
PROBED_TIMEOUT_S_MAX = 60.0
"""The longest timeout of a gateway that is probed."""


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
    load = argparse.ArgumentParser(add_help=False)
    load.add_argument("--target", type=url, metavar="URL", help="a gateway that is up already")
    load.add_argument("--workload", type=Path, metavar="FILE",
                      help="requests to any service at --target: docs/measuring.md")  # fmt: skip
    load.add_argument("--arrivals", choices=ARRIVALS, default=default.arrivals,
                      help="of an open loop (default: %(default)s)")  # fmt: skip
    load.add_argument("--in-flight", type=whole("requests", IN_FLIGHT_MAX), metavar="N",
                      default=default.in_flight_max,
                      help="of an open loop; more are dropped (default: %(default)s)")  # fmt: skip
    load.add_argument("--trace-every", type=whole("requests", TRACE_EVERY_MAX, 0), metavar="N",
                      default=default.trace_every,
                      help="trace each N-th request of an open loop (default: none)")  # fmt: skip
    load.add_argument("--generators", type=whole("generators", GENERATORS_MAX), metavar="N",
                      default=default.generators, help="processes (default: 1)")  # fmt: skip
    load.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER",
                      help="where the run's folder is made (default: %(default)s)")  # fmt: skip
    run = commands.add_parser("run", parents=[shared, load], help="measure, judge and record")
    run.add_argument("--quick", action="store_true", help="short phases: done within 90 s")
    kind = run.add_mutually_exclusive_group()
    kind.add_argument("--users", type=users, default=default.users, metavar="N,N,...",
                      help="simulated users of each phase (default: 1,64,256)")  # fmt: skip
    kind.add_argument("--rate", metavar="RATE",
                      help="open loop, requests/s: 500, 100..1000, or 100,200@10")  # fmt: skip
    run.add_argument("--locust", action="store_true", help="let Locust walk the schedule of --rate")
    run.add_argument("--duration", type=real(DURATION_S_MAX, 0), metavar="S",
                     help="seconds measured of each phase (default: 20; quick: 4)")  # fmt: skip
    search = commands.add_parser(
        "capacity", parents=[shared, load], help="find the highest rate that holds"
    )
    search.add_argument("--p99-ms", type=real(P99_MS_MAX, 0), default=Level().p99_ms, metavar="MS",
                        help="that must hold (default: %(default)g)")  # fmt: skip
    search.add_argument("--failed-share", type=real(1.0, -1e-9), default=Level().failed_share,
                        metavar="X", help="that is allowed (default: %(default)g)")  # fmt: skip
    search.add_argument("--start", type=real(capacity.RATE_PER_S_MAX, 0), metavar="RATE",
                        default=capacity.START_PER_S,
                        help="requests/s to try first (default: %(default)g)")  # fmt: skip
    search.add_argument("--duration", type=real(DURATION_S_MAX, 0), metavar="S",
                        help="seconds measured of each step (default: 20)")  # fmt: skip
    probe = commands.add_parser("probe", help="single promises, each judged by itself")
    probe.add_argument("names", nargs="*", metavar="NAME",
                       help=f"of {', '.join(PROBES)} (default: all)")  # fmt: skip
    probe.add_argument("--target", type=url, metavar="URL", help="a gateway that nobody else uses")
    probe.add_argument("--kafka", metavar="HOST:PORT", help="of the target")
    probe.add_argument("--timeout-s", type=real(PROBED_TIMEOUT_S_MAX, 0), metavar="S",
                       help="of the target's gateway (default: 5)")  # fmt: skip
    probe.add_argument("--seed", type=whole("a seed", SEED_MAX, 0), default=default.seed)
    probe.add_argument("--out", type=Path, default=Path("results"), metavar="FOLDER",
                       help="where the run's folder is made (default: %(default)s)")  # fmt: skip
    drawing = commands.add_parser("report", help="report.html and summary.md from recorded data")
    drawing.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="a run's folder")
    compare.add_commands(commands)
    regression.add_command(commands, real, whole, SEED_MAX)
    calibrate = commands.add_parser("calibrate", help="the generator itself, beside wrk and Locust")
    calibrate.add_argument("names", nargs="*", metavar="PART",
                           help=f"of {', '.join(parts.PARTS)} (default: all)")  # fmt: skip
    calibrate.add_argument("--pairs", type=whole("pairs", parts.PAIRS_MAX), default=8,
                           help="bursts of each side (default: %(default)s)")  # fmt: skip
    calibrate.add_argument("--duration", type=real(parts.BURST_S_MAX, 0), metavar="S",
                           default=5.0, help="of a burst (default: %(default)g)")  # fmt: skip
    locust = commands.add_parser("locust", parents=[shared], help="Locust's web UI on a stack")
    locust.add_argument("--web-port", type=whole("a port", 65535, 0), default=0,
                        help="0 for any free one (default: %(default)s)")  # fmt: skip
    locust.add_argument("--rate", metavar="RATE", help="an open loop instead of users; as for run")
    locust.add_argument("--duration", type=real(DURATION_S_MAX, 0), metavar="S",
                        help="of the open loop (default: 20)")  # fmt: skip
    locust.add_argument("arguments", nargs="*", metavar="-- ARGUMENT",
                        help="further arguments for Locust")  # fmt: skip
    return top


def settings_of(args: argparse.Namespace) -> Settings:
    """Raises `ScheduleError`, and `BenchError` for a workload file."""
    settings = Settings(
        scenario=args.scenario, zipf=args.zipf, seed=args.seed, workers=args.workers
    )
    if args.command == "locust":
        settings = replace(
            settings, rate=args.rate, duration_s=args.duration or settings.duration_s
        )
        if settings.rate is not None:
            settings.schedule()
        return settings
    settings = replace(
        settings,
        workload=None if args.workload is None else str(args.workload),
        arrivals=args.arrivals,
        in_flight_max=args.in_flight,
        trace_every=args.trace_every,
        generators=args.generators,
        target=args.target,
    )
    if args.command == "run":
        settings = replace(settings, users=args.users, rate=args.rate, locust=args.locust)
        if args.quick:
            settings = settings.quick()
    if args.duration:
        settings = replace(settings, duration_s=args.duration)
    if settings.rate is not None:
        settings.schedule()
    if settings.workload is not None:
        read_workload(Path(settings.workload))
    return settings


def progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def task_of(args: argparse.Namespace) -> Search | Probing | None:
    if args.command == "capacity":
        return Search(Level(args.p99_ms, args.failed_share), args.start)
    if args.command == "probe":
        options = OWN_STACK if args.target is None else Options()
        options = options._replace(seed=args.seed)
        if args.timeout_s:
            options = options._replace(timeout_s=args.timeout_s)
        return Probing(tuple(args.names), args.kafka, options)
    return None


def measure(args: argparse.Namespace) -> int:
    """Returns the exit code. Raises what `Run.execute` does."""
    from bench.report import build  # loading what draws takes a second

    if args.command == "probe":
        settings = Settings(seed=args.seed, target=args.target)
    else:
        settings = settings_of(args)
    run, folder = Run(settings, args.out, progress, task_of(args)).execute()
    table = markdown.summarize(run)
    write(folder / "summary.md", table.encode())
    print(table)
    progress(f"recorded in {folder}; to look at: {build.build(folder)}")
    return EXIT_CODES[run["verdict"]]


def rebuild(folders: Sequence[Path]) -> int:
    """report.html and summary.md of recorded runs."""
    from bench.report import build

    for folder in folders:
        print(build.build(folder))
        write(folder / "summary.md", markdown.summarize(read_run(folder)).encode())
    return 0


def main() -> int:
    arguments = parser()
    args = arguments.parse_args()
    measuring = args.command in ("run", "capacity")
    if measuring and args.zipf and args.scenario != "checkout":
        arguments.error("--zipf is for --scenario checkout")
    if measuring and args.workload and not args.target:
        arguments.error("--workload needs the --target that it is for")
    if args.command == "run" and args.locust and args.rate is None:
        arguments.error("--locust is for --rate: users are Locust's anyway")
    if args.command == "probe" and (unknown := sorted({*args.names} - PROBES.keys())):
        arguments.error(f"no probe {unknown[0]!r}: there are {', '.join(PROBES)}")
    if args.command == "calibrate":
        if unknown := sorted({*args.names} - parts.PARTS.keys()):
            arguments.error(f"no part {unknown[0]!r}: there are {', '.join(parts.PARTS)}")
        if args.duration < parts.BURST_S_MIN:
            arguments.error(f"--duration: at least {parts.BURST_S_MIN:g} s")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if args.command in compare.COMMANDS:
            return compare.COMMANDS[args.command](args)
        if args.command == "regression":
            return regression.run_regression(args, progress)
        if args.command == "report":
            return rebuild(args.runs)
        if args.command == "locust":
            serve(settings_of(args), args.web_port, args.arguments, progress)
            return 0
        if args.command == "calibrate":
            holds = parts.calibrate(args.names, args.pairs, args.duration, progress)
            return 0 if holds else EXIT_INVALID
        return measure(args)
    except ScheduleError as cause:
        arguments.error(f"--rate {cause}")
    except KeyboardInterrupt:
        progress("interrupted")
        return EXIT_INTERRUPTED
    except StackError as cause:
        progress(f"error: {cause}")
        return EXIT_STACK_FAILED
    except BenchError as cause:
        progress(f"error: {cause}")
        return EXIT_INVALID


if __name__ == "__main__":
    sys.exit(main())
