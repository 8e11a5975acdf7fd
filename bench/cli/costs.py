"""The command ``costs`` tells where the CPU time of a request goes, on stacks that are up."""

import argparse
from pathlib import Path

from bench.atomic_files import make_folder
from bench.cli.arguments import ANY_EXITS, Command, add_json, show, show_json
from bench.costs.loaded_stacks import draw, found, measured
from bench.costs.table import Window, costs, table
from bench.errors import ExitCode, UsageError, progress
from machine.arguments import positive, whole

USERS_MAX = 4096
"""More users than a gateway takes requests would be refused."""
SECONDS_MAX = 600.0
"""A longer window hides more of a machine's changes than it averages out."""
ROUNDS_MAX = 100
"""More rounds than these take hours."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("names", nargs="+", metavar="NAME",
        help="a stack that is up; of two, the ratio of the second to the first")  # fmt: skip
    add("--users", type=whole("users", USERS_MAX), default=64, metavar="N",
        help="of the shop's mix, in a closed loop (default: %(default)s)")  # fmt: skip
    add("--duration", type=positive(SECONDS_MAX), default=10.0, metavar="S",
        help="seconds of a window (default: %(default)g)")  # fmt: skip
    add("--warm-up", type=positive(SECONDS_MAX), default=60.0, metavar="S",
        help="seconds of load before the first window (default: %(default)g)")  # fmt: skip
    add("--rounds", type=whole("rounds", ROUNDS_MAX), default=8, metavar="N",
        help="windows of each stack (default: %(default)s)")  # fmt: skip
    add("--flames", type=Path, metavar="FOLDER",
        help="for flame graphs of the last stack, in windows of their own")  # fmt: skip
    add_json(parser)


def run(args: argparse.Namespace) -> ExitCode:
    """`run` raises `BenchError` where no such stack is up, or one can't be loaded."""
    if len(args.names) > 2 or len({*args.names}) < len(args.names):
        raise UsageError("one stack, or two different ones")
    stacks = [found(name) for name in args.names]
    if args.flames is not None:
        make_folder(args.flames)
    progress(f"warming up for {args.warm_up:g} s each")
    for stack in stacks:
        measured(stack, args.users, args.warm_up)
    rounds: list[list[Window]] = []
    try:
        for number in range(args.rounds):
            turn = {}
            for stack in stacks[:: 1 if number % 2 else -1]:
                turn[stack.name] = measured(stack, args.users, args.duration)
            rounds.append([turn[stack.name] for stack in stacks])
            progress(f"round {number + 1} of {args.rounds}")
    finally:  # what was measured until Ctrl-C is kept
        if rounds and args.json:
            show_json([[_plain(window) for window in windows] for windows in rounds])
        elif rounds:
            show(table(args.names, rounds))
    if args.flames is not None:
        draw(stacks[-1], args.users, args.duration, args.flames)
    return ExitCode.DONE


def _plain(window: Window) -> dict[str, object]:
    cpu_us = {f"{part} {share}".rstrip(): us for (part, share), us in costs(window).items()}
    return {"requests": window.requests, "seconds": window.seconds, "cpu_us": cpu_us}


COMMAND = Command(
    "costs",
    "where the CPU time of a request goes, by part and thread; flame graphs",
    "before now --users 64 --rounds 8",
    add_arguments,
    run,
    ANY_EXITS,
)
