"""An error that a person should read is one clear line, and has an exit code."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import IntEnum

from machine.arguments import EXIT_USAGE
from machine.errors import EXIT_CODE, StackError
from machine.http import HttpError


class ExitCode(IntEnum):
    """A command of ``python -m bench`` ends with one of these: a figure for scripts, the same in
    all commands."""

    DONE = 0
    """The run is valid; a comparison says SAME or FASTER; or there was nothing to judge."""
    FAILED = 1
    """A promise of the system is broken, a run is invalid, a target is missed, or something else
    went wrong; one line says what."""
    USAGE = EXIT_USAGE
    """An option or a value is wrong; nothing was started."""
    STACK_FAILED = EXIT_CODE
    """The stack could not come up, or ended early; one line says why and what to do."""
    VOID = 4
    """The run is void: the load generator or the machine was the bottleneck."""
    UNANSWERED = 5
    """The run failed: too few of its requests were answered as expected (--max-failed), or its p99
    was too long (--p99-ms)."""
    REGRESSION = 10
    """A comparison found something worse beyond its threshold, and a fresh batch repeats it; or
    the newer side fails surely more often."""
    INCONCLUSIVE = 11
    """A comparison can't tell; its lines say what is missing."""
    INCOMPARABLE = 12
    """The runs are of other machines, settings or workloads."""
    INVALID = 13
    """A run that should be compared is invalid, failed or interrupted, and nobody can say that the
    newer side is why."""
    UNREADABLE = 14
    """A file that was named is missing, broken, or not what it should be."""
    MISSING_METRIC = 15
    """A run lacks a figure that is gated."""
    OTHER_SCHEMA = 16
    """A file was written by another version of the harness."""
    OVER_BUDGET = 17
    """A service level of the budget file is broken."""
    INTERRUPTED = 130
    """Ctrl-C or SIGTERM ended the command; what was measured until then is kept."""

    @property
    def words(self) -> str:
        """`words` is the name as a person writes it, "stack failed"."""
        return self.name.lower().replace("_", " ")


RUN_EXITS: Mapping[str, ExitCode] = {
    "valid": ExitCode.DONE,
    "failed": ExitCode.FAILED,
    "invalid": ExitCode.FAILED,
    "void": ExitCode.VOID,
    "interrupted": ExitCode.INTERRUPTED,
}
"""`RUN_EXITS` is the exit code of each verdict of a run."""

COMPARISON_EXITS: Mapping[str, ExitCode] = {
    "same": ExitCode.DONE,
    "faster": ExitCode.DONE,
    "regression": ExitCode.REGRESSION,
    "inconclusive": ExitCode.INCONCLUSIVE,
    "incomparable": ExitCode.INCOMPARABLE,
    "invalid": ExitCode.INVALID,
    "unreadable": ExitCode.UNREADABLE,
    "missing_metric": ExitCode.MISSING_METRIC,
    "other_schema": ExitCode.OTHER_SCHEMA,
    "over_budget": ExitCode.OVER_BUDGET,
}
"""`COMPARISON_EXITS` is the exit code of each verdict of a comparison."""


class BenchError(Exception):
    """The run can't go on; the message says what is wrong and what to do."""

    exit_code = ExitCode.FAILED
    """`exit_code` is how a command ends that the error ends."""


class UsageError(BenchError):
    """An option or a value is wrong in a way that only the command itself can tell."""

    exit_code = ExitCode.USAGE


class UnreadableError(BenchError):
    """A file can't be read, or is not what it should be; the message says which and why."""

    exit_code = ExitCode.UNREADABLE


@contextmanager
def bench_errors() -> Iterator[None]:
    """A part that ends, or does not answer, while something is measured is a `BenchError`.

    What was measured is then kept. `StackError`s of a stack that does not come up need no such
    context: they end the command.
    """
    try:
        yield
    except (StackError, HttpError) as cause:
        raise BenchError(str(cause)) from None


def progress(line: str) -> None:
    """`progress` prints a line about what is under way, on stderr: stdout is for results."""
    print(line, file=sys.stderr, flush=True)
