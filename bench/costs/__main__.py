"""``python -m bench.costs NAME [NAME]`` loads stacks in turns, and prints CPU µs a request by part.

    python -m system up --name now
    python -m bench.costs now --flames FOLDER

A second stack comes from a work tree of its own: the first is "before", the ratio says what became
of it. With --flames the last stack is looked at in a window of its own, which leaves gateway.svg,
taskmanager-python.svg and taskmanager.svg in the folder.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.atomic_files import make_folder, write
from bench.cli.arguments import DEFAULT
from bench.costs.flame_graph import svg
from bench.costs.profiles import JvmProfile, python_profile
from bench.costs.table import GENERATOR, Window, table
from bench.costs.threads import ThreadMeter
from bench.errors import BenchError, ExitCode, progress
from bench.generator.fleet import Generators
from bench.generator.spec import READY_TIMEOUT_S, Load, Phase
from bench.observe.gateway import scrape
from machine.arguments import Parser, positive, whole
from system.runtime import registry
from system.runtime.registry import Entry

USERS_MAX = 4096
"""More users than a gateway takes requests would be refused."""
SECONDS_MAX = 600.0
"""A longer window hides more of a machine's changes than it averages out."""
ROUNDS_MAX = 100
"""More rounds than these take hours."""
SETTLE_S = 2.0
"""The load runs for so long before a window opens: all users send."""
POLL_S = 0.1
"""This much time passes between looks whether the users are prepared."""


def main(argv: list[str] | None = None) -> int:
    """`main` returns the exit code; whatever a person can do wrong is one line."""
    args = parse(argv)
    try:
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
            if rounds:
                print(table(args.names, rounds))
        if args.flames is not None:
            draw(stacks[-1], args.users, args.duration, args.flames)
    except KeyboardInterrupt:
        progress("interrupted")
        return ExitCode.INTERRUPTED
    except BenchError as cause:
        progress(f"error: {cause}")
        return cause.exit_code
    except OSError as cause:
        progress(f"error: {cause.filename or 'the machine'}: {cause.strerror}")
        return ExitCode.FAILED
    return ExitCode.DONE


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m bench.costs",
        description=__doc__,
        epilog="example: python -m bench.costs before now --users 64 --rounds 8",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("names", nargs="+", metavar="NAME", help="a stack that is up; two are compared")
    add("--users", type=whole("users", USERS_MAX), default=64, metavar="N",
        help="of the shop's mix, in a closed loop (default: %(default)s)")  # fmt: skip
    add("--duration", type=positive(SECONDS_MAX), default=10.0, metavar="S",
        help="seconds of a window (default: %(default)g)")  # fmt: skip
    add("--warm-up", type=positive(SECONDS_MAX), default=60.0, metavar="S",
        help="seconds of load before the first window (default: %(default)g)")  # fmt: skip
    add("--rounds", type=whole("rounds", ROUNDS_MAX), default=8, metavar="N",
        help="windows of each stack (default: %(default)s)")  # fmt: skip
    add("--flames", type=Path, metavar="FOLDER", help="where flame graphs are drawn")
    args = parser.parse_args(argv)
    if len(args.names) > 2 or len({*args.names}) < len(args.names):
        parser.error("one stack, or two different ones")
    return args


def found(name: str) -> Entry:
    """`found` returns the stack of this name; it raises `BenchError` where none is up."""
    stack = registry.find(name)
    if stack is None:
        raise BenchError(f"no stack {name} is up: `python -m system up --name {name}` brings it up")
    return stack


@contextmanager
def load(stack: Entry, users: int, duration_s: float) -> Iterator[Generators]:
    """`load` has users play the shop's mix. It raises `BenchError`."""
    shop = Load("shop", DEFAULT.zipf, 1, DEFAULT.in_flight_max, 0)
    phase = Phase("costs", users, SETTLE_S, duration_s)
    with TemporaryDirectory() as folder:
        # Another seed each time, so that no users are asked to be made twice.
        seed = time.time_ns() % 2**31
        generators = Generators(stack.url, shop, phase, seed, Path(folder))
        try:
            deadline_s = time.monotonic() + READY_TIMEOUT_S
            while generators.unready():
                generators.check()
                generators.read()
                if time.monotonic() > deadline_s:
                    raise BenchError(f"the users of {stack.name} are not ready in time")
                time.sleep(POLL_S)
            generators.go()
            time.sleep(SETTLE_S)
            yield generators
        finally:
            generators.close()


def measured(stack: Entry, users: int, duration_s: float) -> Window:
    """`measured` loads the stack for a while; it raises `BenchError`."""
    with load(stack, users, duration_s) as generators:
        workers = max(1, len(stack.pids["gateway"]) - 1)  # several have a supervisor
        meter = ThreadMeter(stack.pids | {GENERATOR: [os.getpid(), *generators.pids()]})
        before, begin_s = scrape(stack.url, workers), time.monotonic()
        time.sleep(duration_s)
        spent, after = meter.spent(), scrape(stack.url, workers)
        generators.check()
        requests = after.responses - before.responses
        if not requests:
            raise BenchError(f"{stack.name} answered no request")
        return Window(requests, time.monotonic() - begin_s, spent)


def draw(stack: Entry, users: int, duration_s: float, folder: Path) -> None:
    """`draw` leaves three flame graphs in the folder; it raises `BenchError`."""
    gateway, task_manager = stack.pids["gateway"][0], stack.pids["flink_taskmanager"][0]
    for name, title, pid, in_jvm in (
        ("gateway", "gateway", gateway, False),
        ("taskmanager-python", "TaskManager's Python", task_manager, True),
    ):
        with load(stack, users, duration_s):
            stacks = python_profile(pid, duration_s, in_jvm=in_jvm)
        write(folder / f"{name}.svg", svg(title, stacks).encode())
    with load(stack, users, duration_s):
        recording = JvmProfile(task_manager)
        time.sleep(duration_s)
        stacks = recording.stacks()
    write(folder / "taskmanager.svg", svg("TaskManager", stacks).encode())


if __name__ == "__main__":
    sys.exit(main())
