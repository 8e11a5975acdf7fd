"""This module finds the commands of ``python -m bench``, and says what ends them early."""

import argparse
import os
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any

from bench.cli import (
    calibrate,
    compare,
    error_rates,
    faults,
    history,
    locust_page,
    probe,
    regression,
    report,
    run,
)
from bench.cli.arguments import Command
from bench.errors import BenchError, ExitCode, progress
from machine.arguments import Parser
from machine.errors import StackError

PROGRAM = "python -m bench"
DESCRIPTION = "Measures the round trip over Kafka and Flink, or any HTTP service."

COMMANDS: tuple[Command, ...] = (
    run.COMMAND,
    run.CAPACITY,
    probe.COMMAND,
    faults.COMMAND,
    report.COMMAND,
    compare.COMMAND,
    regression.COMMAND,
    history.COMMAND,
    calibrate.COMMAND,
    error_rates.COMMAND,
    locust_page.COMMAND,
)


def parser() -> Parser:
    """`parser` returns that of all commands; it puts the command's `run` into what it returns."""
    top = Parser(
        prog=PROGRAM,
        description=DESCRIPTION,
        epilog=epilog(tuple(ExitCode), "", COMMANDS[0].name + " --quick"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add(top, COMMANDS)
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
    return command.run if plan is None else lambda args: run.measure(args, plan(args))


def main() -> int:
    """`main` runs the command that this process was started for; SIGTERM is as Ctrl-C is."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return call(sys.argv[1:])


def call(arguments: Sequence[str]) -> int:
    """`call` runs a command and returns its exit code; whatever a person can do wrong is one line.

    It raises `SystemExit` for wrong usage and ``--help``, as argparse does.
    """
    args = parser().parse_args(arguments)
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
