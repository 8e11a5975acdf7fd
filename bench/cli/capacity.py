"""The command ``capacity`` finds the highest rate that holds for a service level."""

import argparse
from dataclasses import replace

from bench.cli.arguments import RUN_COMMAND_EXITS, Command, Plan, add_load, add_shop, load_settings
from bench.records.run_record import Level
from bench.run import capacity
from bench.run.model import Search
from bench.workload.http_file import P99_MS_MAX
from machine.arguments import positive, real


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add, level = parser.add_argument, Level()
    add("--p99-ms", type=positive(P99_MS_MAX), default=level.p99_ms, metavar="MS",
        help="that must hold (default: %(default)g)")  # fmt: skip
    add("--failed-share", type=real(1, 0), default=level.failed_share, metavar="X",
        help="that is allowed (default: %(default)g)")  # fmt: skip
    add("--start", type=positive(capacity.RATE_PER_S_MAX), default=capacity.START_PER_S,
        metavar="RATE", help="requests/s to try first (default: %(default)g)")  # fmt: skip
    add_shop(parser)
    add_load(parser)


def plan(args: argparse.Namespace) -> Plan:
    settings = load_settings(args)
    if args.duration:
        settings = replace(settings, duration_s=args.duration)
    return Plan(settings, Search(Level(args.p99_ms, args.failed_share), args.start))


COMMAND = Command(
    "capacity",
    "the highest rate that holds for a service level",
    "--p99-ms 50",
    add_arguments,
    exits=RUN_COMMAND_EXITS,
    plan=plan,
)
