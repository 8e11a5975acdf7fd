"""This module finds the commands of ``python -m bench``, and says what ends them early."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

from bench.cli.arguments import Command
from bench.errors import BenchError, ExitCode, progress
from machine.arguments import Parser
from machine.errors import StackError

PROGRAM = "python -m bench"
DESCRIPTION = "Measures the round trip over Kafka and Flink, or any HTTP service."

PLACES = {
    "run": "run:COMMAND",
    "capacity": "run:CAPACITY",
    "agent": "run:AGENT",
    "probe": "probe:COMMAND",
    "faults": "faults:COMMAND",
    "soak": "faults:SOAK",
    "cluster": "faults:CLUSTER",
    "report": "report:COMMAND",
    "compare": "compare:COMMAND",
    "regression": "regression:COMMAND",
    "bisect": "regression:BISECT",
    "history": "report:HISTORY",
    "costs": "costs:COMMAND",
    "scaling": "costs:SCALING",
    "plan": "costs:PLAN",
    "calibrate": "calibrate:COMMAND",
    "error-rates": "error_rates:COMMAND",
    "locust": "locust_page:COMMAND",
}
"""A command's name leads to its module in this package, and its name there. A module is imported
when its command is called, as all of them together take longer than most commands."""


def commands(wanted: str | None = None) -> tuple[Command, ...]:
    """`commands` returns the wanted command, or all where none of this name is known."""
    places = [PLACES[wanted]] if wanted in PLACES else PLACES.values()
    return tuple(_load(place) for place in places)


def _load(place: str) -> Command:
    module, name = place.split(":")
    command: Command = getattr(import_module(f"bench.cli.{module}"), name)
    return command


def parser(known: Sequence[Command]) -> Parser:
    """`parser` returns that of the known commands; it puts a command's `run` into what it
    returns."""
    top = Parser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=epilog(tuple(ExitCode), "run --quick"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add(top, known)
    return top


def epilog(exits: Sequence[ExitCode], *example: str) -> str:
    """`epilog` returns the end of a help text: exit codes, and a call as an example."""
    codes = ", ".join(f"{code.value} {code.words}" for code in exits)
    words = " ".join(word for word in example if word)
    return f"exit codes: {codes}\n\nexample: {PROGRAM} {words}"


def _add(above: argparse.ArgumentParser, commands: Sequence[Command], path: str = "") -> None:
    places: Any = above.add_subparsers(required=True, metavar="COMMAND")
    for command in commands:
        last = command.parts[0] if command.parts else command
        below = places.add_parser(
            command.name,
            help=command.help,
            description=f"{command.help[0].upper()}{command.help[1:]}.",
            epilog=epilog(command.exits, path, command.name,
                          last.name if command.parts else "", last.example),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        if command.parts:
            _add(below, command.parts, f"{path} {command.name}".strip())
        else:
            command.add_arguments(below)
            below.set_defaults(run=_runs(command))


def _runs(command: Command) -> Callable[[argparse.Namespace], int]:
    plan = command.plan
    if plan is None:
        return command.run
    from bench.cli.run import measure

    return lambda args: measure(args, plan(args))


def main() -> int:
    """`main` runs the command that this process was started for; SIGTERM is as Ctrl-C is."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return call(sys.argv[1:])


def call(arguments: Sequence[str]) -> int:
    """`call` runs a command and returns its exit code; whatever a person can do wrong is one line.

    It raises `SystemExit` for wrong usage and ``--help``, as argparse does.
    """
    args = parser(commands(next(iter(arguments), None))).parse_args(arguments)
    try:
        return int(args.run(args))
    except KeyboardInterrupt:
        progress("interrupted")
        return ExitCode.INTERRUPTED
    except StackError as cause:
        progress(f"error: {cause}")
        return ExitCode.STACK_FAILED
    except BenchError as cause:
        progress(f"error: {cause}")
        return cause.exit_code
    except BrokenPipeError:  # whoever read the result has gone
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    except OSError as cause:
        progress(f"error: {cause.filename or 'the machine'}: {cause.strerror}")
        return ExitCode.FAILED
