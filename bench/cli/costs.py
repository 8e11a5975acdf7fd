"""The commands ``costs``, ``scaling`` and ``plan`` say what requests cost, and what more need."""

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import median

from bench.cli.arguments import (
    ANY_EXITS,
    RUN_COMMAND_EXITS,
    Command,
    add_json,
    add_seed,
    show,
    show_json,
)
from bench.cli.run import exit_of
from bench.costs.loaded_stacks import draw, drawn, found, measured
from bench.costs.table import Window, costs, table
from bench.errors import ExitCode, UsageError, progress
from bench.records.run_record import RunRecord
from bench.records.typed_json import to_plain
from bench.result_files import make_folder
from bench.run.environment import commit, environment
from bench.run.model import Subject, System, beside
from bench.run.run import Run, own_stack
from bench.run.settings import DURATION_S_MAX, GENERATORS_MAX, Settings
from bench.scaling import plan as planning
from bench.scaling.axes import AXES, MACHINE, PARTITIONS
from bench.scaling.entities import make_entities
from bench.scaling.study import Site, Walk, machine_of, missing, resume, told_of
from bench.scaling.study_record import Study, Windows, read_study
from bench.scaling.table import gateway_cost
from bench.scaling.table import table as study_table
from bench.workload.http_file import P99_MS_MAX
from machine.arguments import one_of, positive, real, whole
from machine.cache import LockHeldError, lock
from machine.whole_files import write
from system.runtime.options import StackOptions

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
        drawn(stacks[-1])  # or it is refused, before minutes of load
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


# ---- scaling

RUNS = "runs"
LOCK = "study.lock"
RATE_PER_S_MAX = 100_000_000.0
"""A plan is for at most this rate: above it, no study of one machine tells anything."""
PAIRS_MAX = 100
"""More pairs of each point than these take days."""
FIRST_WARMUP_S = 60.0
"""The first warm-up of each stack ends when it is steady, at most this late: its pair is as old."""
TABLE = "study.md"


def axes(text: str) -> tuple[str, ...]:
    """`axes` is an argparse type: names of axes, with commas between."""
    return tuple(one_of("axis", AXES)(name) for name in text.split(","))


def add_study(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--axes", type=axes, default=tuple(AXES), metavar="NAME,...",
                       help=f"of {', '.join(AXES)} (default: all)")  # fmt: skip
    which.add_argument("--machine", type=settings_of_a_machine, metavar="AXIS=VALUE,...",
                       help="a machine with all of these, to hold a plan against")  # fmt: skip
    add("--out", type=Path, default=Path("results/scaling"), metavar="FOLDER",
        help="the study's, which goes on where it was left (default: %(default)s)")  # fmt: skip
    add("--quick", action="store_true", help="short windows, to see that it works")
    add("--duration", type=positive(DURATION_S_MAX), metavar="S",
        help="seconds of each window (default: 10; quick: 4)")  # fmt: skip
    add("--pairs", type=whole("pairs", PAIRS_MAX), metavar="N",
        help="of each point with the base (default: 4; quick: 1)")  # fmt: skip
    add("--generators", type=whole("generators", GENERATORS_MAX), default=1, metavar="N",
        help="processes that send, where one is too busy (default: %(default)s)")  # fmt: skip
    add_seed(parser)


def study(args: argparse.Namespace) -> ExitCode:
    """`study` raises what a run does; the points that were measured until then are kept."""
    settings = Settings(
        seed=args.seed,
        generators=args.generators,
        duration_s=10.0,
        first_warmup_s=FIRST_WARMUP_S,
    )
    if args.quick:
        settings = settings.quick()
    args.pairs = args.pairs or (1 if args.quick else 4)
    if args.duration:
        settings = replace(settings, duration_s=args.duration)
    make_folder(args.out / RUNS)
    try:
        with lock(args.out / LOCK, wait=False):
            return _study(args, settings)
    except LockHeldError:
        raise UsageError(f"another study writes {args.out}: choose another --out") from None


def _study(args: argparse.Namespace, settings: Settings) -> ExitCode:
    own_commit, here = commit(), environment(own_stack=True)  # as they are when it begins
    ended = list[ExitCode]()
    up, cold = dict[str, System](), set[str]()

    @contextmanager
    def bring(options: StackOptions) -> Iterator[Site]:
        with own_stack(options, progress) as system:
            name = f"stack {len(up)}"
            up[name] = system
            cold.add(name)
            system = system._replace(beside=partial(beside, name, up))
            subject = Subject(system, own_commit, here)

            def run(wanted: Settings) -> tuple[RunRecord, Path]:
                first_warmup_s = settings.first_warmup_s if name in cold else 0.0
                cold.discard(name)
                wanted = replace(wanted, workers=options.workers, first_warmup_s=first_warmup_s)
                record, folder = Run(wanted, args.out / RUNS, progress, subject=subject).execute()
                ended.append(exit_of(record))
                return record, folder

            def fill(numbers: range) -> None:
                assert system.bootstrap is not None
                asyncio.run(make_entities(system.bootstrap, numbers, progress))
                cold.update(up)  # one has worked meanwhile, and the others have not

            try:
                yield Site(run, fill)
            finally:
                del up[name]

    windows = Windows(
        *(settings.duration_s, settings.warmup_s, settings.first_warmup_s),
        args.pairs,
        settings.generators,
    )
    known = resume(args.out, own_commit, here, windows)
    walk = Walk(known, args.out, settings, bring, progress)
    try:
        if args.machine is None:
            walk.axes(args.axes)
        else:
            walk.machine(args.machine)
    finally:  # what was measured until Ctrl-C is kept
        report(walk.study, args.out)
    left = [f"{axis} {value:g}" for axis, value in missing(walk.study, args.axes)]
    if args.machine is not None:
        machine = machine_of(walk.study, args.machine)
        is_left = walk.study.pairs_left(None if machine is None else machine.point)
        left = [told_of(args.machine)] if is_left else []
    lines = [f"left out: {each}" for each in walk.left_out]
    lines += [f"{each}: not sound" for each in left] or ["all points are sound"]
    if (cost := gateway_cost(walk.study)) is not None:
        lines.append(cost)
    show("\n".join(lines))
    ended += [ExitCode.STACK_FAILED] if walk.left_out else []
    worst = (
        *(ExitCode.FAILED, ExitCode.UNANSWERED, ExitCode.STACK_FAILED),
        ExitCode.VOID if left else ExitCode.DONE,
    )
    return next(code for code in worst if code in ended or code == worst[-1])


def report(found: Study, folder: Path) -> None:
    """`report` writes what is known of a study beside its file: a table, and charts."""
    on = found.environment
    about = f"Commit {found.commit.id}; {on.cores} cores of {on.cpu_model}"
    write(folder / TABLE, study_table(found, about).encode())
    for path in (folder / TABLE, *_pictures(found, folder / "images")):
        progress(f"written: {path}")


def _pictures(found: Study, folder: Path) -> Iterator[Path]:
    """Draws each axis of which two points or more are sound."""
    from bench.report import images  # loading what draws takes a second

    for name, axis in AXES.items():
        points = [
            images.Grown(
                each.value,
                planning.cpu_at_usual_speed(found, each),
                median(own.p99_ms / slower for slower, own in found.at_usual_speed(each)),
            )
            for each in found.of(name)
        ]
        for theme in images.THEMES if len(points) > 1 else ():
            make_folder(folder)
            path = folder / f"{name}-{theme}.svg"
            write(path, images.draw(images.growth(axis.title, points, axis.names), theme))
            yield path


SCALING = Command(
    "scaling",
    "a study of what growth costs: rates, partitions, gateways, checkpoints; goes on where it was",
    "--axes rate",
    add_study,
    study,
    RUN_COMMAND_EXITS,
)


def settings_of_a_machine(text: str) -> dict[str, float]:
    """`settings_of_a_machine` is an argparse type: "gateways=2,checkpoint-interval=1"."""
    pairs = [each.partition("=") for each in text.split(",")]
    names = [one_of("axis", MACHINE)(name) for name, _, _ in pairs]
    found = {name: _setting(name, value) for name, _, value in pairs}
    if len({*names}) < len(names):
        raise argparse.ArgumentTypeError(f"{text}: an axis is there twice")
    if {*names} >= {"partitions", "taskmanagers"}:
        raise argparse.ArgumentTypeError(
            f"{text}: with taskmanagers there are {PARTITIONS} partitions; leave partitions out"
        )
    return found


def _setting(axis: str, text: str) -> float:
    """Between the values of its axis; whole where they are."""
    values = AXES[axis].values
    number = real(values[-1], values[0])(text)
    if all(value.is_integer() for value in values) and not number.is_integer():
        raise argparse.ArgumentTypeError(f"{text!r}: {axis} is a whole number")
    return number


def add_plan(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--rate", type=positive(RATE_PER_S_MAX), required=True, metavar="RATE",
        help="requests/s that shall be served")  # fmt: skip
    add("--p99-ms", type=positive(P99_MS_MAX), default=50.0, metavar="MS",
        help="that must hold (default: %(default)g)")  # fmt: skip
    add("--machine", type=settings_of_a_machine, default={}, metavar="AXIS=VALUE,...",
        help=f"set up otherwise than the study's base: of {', '.join(MACHINE)}")  # fmt: skip
    add("--study", type=Path, default=Path("results/scaling"), metavar="FOLDER",
        help="of the command `scaling` (default: %(default)s)")  # fmt: skip
    add_json(parser)


def plan(args: argparse.Namespace) -> ExitCode:
    """`plan` raises `BenchError` where the study is not enough."""
    known = read_study(args.study)
    found = planning.plan(known, args.rate, args.p99_ms, args.machine)
    if args.json:
        show_json(to_plain(found))
    else:
        show(planning.table(found))
    return ExitCode.DONE


PLAN = Command(
    "plan",
    "what a rate needs, by a study: machines, partitions, gateways, memory, with error bars",
    "--rate 100000 --p99-ms 50",
    add_plan,
    plan,
    (*ANY_EXITS, ExitCode.UNREADABLE, ExitCode.OTHER_SCHEMA),
)
