"""The command ``run``: the shop under load, or any service; measured, judged and recorded."""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench.atomic_files import make_folder, write
from bench.cli.arguments import (
    ANY_EXITS,
    STACK_EXITS,
    Command,
    add_json,
    add_results,
    add_seed,
    show,
    url,
)
from bench.errors import RUN_EXITS, ExitCode, UsageError, progress
from bench.generator.spec import SCENARIOS
from bench.report import markdown
from bench.run.run import Probing, Run, Search
from bench.run.settings import DURATION_S_MAX, GENERATORS_MAX, USERS_MAX, Settings
from bench.workload.arrivals import ARRIVALS, ScheduleError
from bench.workload.http_file import read_workload
from machine import ports
from machine.arguments import positive, real, whole

RUN_COMMAND_EXITS = (
    *ANY_EXITS,
    ExitCode.VOID,
    ExitCode.UNANSWERED,
    ExitCode.UNREADABLE,
    *STACK_EXITS,
)
ZIPF_MAX = 5.0
"""The largest skew of item popularity; far beyond any market."""
IN_FLIGHT_MAX = 20_000
"""The largest `--in-flight`: above the ports that one address has, nothing can connect."""
TRACE_EVERY_MAX = 1_000_000
"""The largest `--trace-every`."""

DEFAULT = Settings()


def users(text: str) -> tuple[int, ...]:
    """An argparse type: numbers of users, each once."""
    counts = tuple(map(whole("users", USERS_MAX), text.split(",")))
    if len(set(counts)) != len(counts):
        raise argparse.ArgumentTypeError(f"{text!r}: each number of users once")
    return counts


def add_shop(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--scenario", choices=SCENARIOS, default=DEFAULT.scenario,
        help="what users do (default: %(default)s)")  # fmt: skip
    add("--zipf", type=real(ZIPF_MAX, 0), default=DEFAULT.zipf, metavar="X",
        help="skew of the items' popularity, for --scenario checkout")  # fmt: skip
    add_seed(parser)
    add("--workers", type=whole("workers", ports.WORKERS_MAX), default=DEFAULT.workers, metavar="N",
        help="gateway processes (default: %(default)s)")  # fmt: skip


def add_load(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--target", type=url, metavar="URL", help="a gateway that is up already")
    add("--workload", type=Path, metavar="FILE",
        help="requests to any service at --target: docs/measuring.md")  # fmt: skip
    add("--arrivals", choices=ARRIVALS, default=DEFAULT.arrivals,
        help="of an open loop (default: %(default)s)")  # fmt: skip
    add("--in-flight", type=whole("requests", IN_FLIGHT_MAX), metavar="N",
        default=DEFAULT.in_flight_max,
        help="of an open loop; more are dropped (default: %(default)s)")  # fmt: skip
    add("--trace-every", type=whole("requests", TRACE_EVERY_MAX, 0), metavar="N",
        default=DEFAULT.trace_every,
        help="trace each N-th request of an open loop (default: none)")  # fmt: skip
    add("--generators", type=whole("generators", GENERATORS_MAX), metavar="N",
        default=DEFAULT.generators, help="processes (default: 1)")  # fmt: skip
    add("--duration", type=positive(DURATION_S_MAX), metavar="S",
        help="seconds measured of each phase (default: 20; quick: 4)")  # fmt: skip
    add_results(parser)
    add_json(parser)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="short phases: done within 90 s")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--users", type=users, default=DEFAULT.users, metavar="N,N,...",
                      help="simulated users of each phase (default: 1,64,256)")  # fmt: skip
    kind.add_argument("--rate", metavar="RATE",
                      help="open loop, requests/s: 500, 100..1000, or 100,200@10")  # fmt: skip
    parser.add_argument("--max-failed", type=real(100, 0), metavar="PERCENT",
                        default=DEFAULT.max_failed * 100,
                        help="of a window's requests; with more, the run failed (default: "
                        "%(default)g)")  # fmt: skip
    parser.add_argument("--locust", action="store_true", help="let Locust walk the --rate")
    add_shop(parser)
    add_load(parser)


def shop_settings(args: argparse.Namespace) -> Settings:
    """What `add_shop` reads."""
    return Settings(scenario=args.scenario, zipf=args.zipf, seed=args.seed, workers=args.workers)


def load_settings(args: argparse.Namespace) -> Settings:
    """What `add_shop` and `add_load` read.

    Raises `UsageError` for options that do not fit together, `WorkloadError` for the file.
    """
    if args.zipf and args.scenario != "checkout":
        raise UsageError("--zipf is for --scenario checkout")
    if args.workload is not None:
        if not args.target:
            raise UsageError("--workload needs the --target that it is for")
        read_workload(args.workload)
    elif args.target and args.target.startswith("https:"):
        raise UsageError("--target: a gateway is reached by http://; https:// needs a --workload")
    return replace(
        shop_settings(args),
        workload=None if args.workload is None else str(args.workload),
        arrivals=args.arrivals,
        in_flight_max=args.in_flight,
        trace_every=args.trace_every,
        generators=args.generators,
        target=args.target,
    )


def with_schedule(settings: Settings, rate: str | None) -> Settings:
    """The settings with an open loop, where there is a rate. Raises `UsageError`."""
    settings = replace(settings, rate=rate)
    if rate is not None:
        try:
            settings.schedule()
        except ScheduleError as cause:
            raise UsageError(f"--rate {cause}") from None
    return settings


def measure(
    args: argparse.Namespace, settings: Settings, task: Search | Probing | None = None
) -> ExitCode:
    """Measures, writes and shows a run. Raises what `Run.execute` does."""
    from bench.report import build  # loading what draws takes a second

    make_folder(args.out)
    run, folder = Run(settings, args.out, progress, task).execute()
    summary = markdown.summarize(run)
    write(folder / "summary.md", summary.encode())
    show((folder / "run.json").read_text().rstrip() if args.json else summary)
    progress(f"recorded in {folder}; to look at: {build.build(folder)}")
    return exit_of(run)


def exit_of(run: dict[str, Any]) -> ExitCode:
    """A failed run of which no promise is known to be broken was not answered."""
    counts = (run["invariants"] or {}).get("counts", {})
    is_broken = (
        any(counts.values())
        or run["wrong_answers"]["count"]
        or any(probe["state"] == "broken" for probe in run["probes"] or ())
    )
    if run["verdict"] == "failed" and not is_broken:
        return ExitCode.UNANSWERED
    return RUN_EXITS[run["verdict"]]


def run(args: argparse.Namespace) -> ExitCode:
    settings = load_settings(args)
    if args.locust and args.rate is None:
        raise UsageError("--locust is for --rate: users are Locust's anyway")
    settings = replace(
        settings, users=args.users, locust=args.locust, max_failed=args.max_failed / 100
    )
    if args.quick:
        settings = settings.quick()
    if args.duration:
        settings = replace(settings, duration_s=args.duration)
    return measure(args, with_schedule(settings, args.rate))


COMMAND = Command(
    "run",
    "the shop under load: simulated users (--users), or an open loop (--rate)",
    "--rate 300 --duration 20 --seed 7",
    add_arguments,
    run,
    RUN_COMMAND_EXITS,
)
