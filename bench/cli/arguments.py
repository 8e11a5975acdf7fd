"""What a command is, and what commands share: options, and how a result is shown."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bench.atomic_files import to_json
from bench.errors import ExitCode
from bench.workload.address import Address, AddressError
from machine.arguments import whole

SEED_MAX = 2**31 - 1
"""The largest seed: 31 bits, as every random generator takes."""

ANY_EXITS = (ExitCode.DONE, ExitCode.FAILED, ExitCode.USAGE)
STACK_EXITS = (ExitCode.STACK_FAILED, ExitCode.INTERRUPTED)


class Command(NamedTuple):
    """A command of ``python -m bench``, as `bench.cli.main` adds and calls it."""

    name: str
    help: str
    """`help` is half a line for the list of commands."""
    example: str = ""
    """`example` is a call that makes sense, without ``python -m bench NAME``."""
    add_arguments: Callable[[argparse.ArgumentParser], object] = lambda parser: None
    run: Callable[[argparse.Namespace], int] = lambda args: ExitCode.DONE
    """`run` returns the exit code; what it raises is `bench.cli.main`'s to say."""
    exits: Sequence[ExitCode] = ANY_EXITS
    parts: Sequence["Command"] = ()
    """`parts` are commands below this one, which then does nothing by itself."""


def url(text: str) -> str:
    """An argparse type: a server's URL, as `Address.of` reads it, in ASCII and without a slash."""
    try:
        found = Address.of(text)
    except AddressError as cause:
        raise argparse.ArgumentTypeError(str(cause)) from None
    return f"http{'s' if found.tls else ''}://{found.netloc}{found.prefix}"


def gateway_url(text: str) -> str:
    """An argparse type: as `url`, of a gateway, which speaks no TLS."""
    found = url(text)
    if found.startswith("https:"):
        raise argparse.ArgumentTypeError(f"{found!r}: a gateway is reached by http://")
    return found


# ---- options that several commands have


def add_seed(parser: argparse.ArgumentParser, default: int = 1) -> None:
    parser.add_argument("--seed", type=whole("a seed", SEED_MAX, 0), metavar="N", default=default,
                        help="of all that is random (default: %(default)s)")  # fmt: skip


def add_results(parser: argparse.ArgumentParser, option: str = "--out") -> None:
    parser.add_argument(option, type=Path, default=Path("results"), metavar="FOLDER",
                        help="where the run's folder is made (default: %(default)s)")  # fmt: skip


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def show(text: str) -> None:
    """Prints a result, on stdout."""
    print(text, flush=True)


def show_json(content: Any) -> None:
    """Prints a result as JSON, on stdout."""
    sys.stdout.write(to_json(content).decode())
    sys.stdout.flush()
