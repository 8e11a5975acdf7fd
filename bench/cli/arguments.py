"""What a command is, and what commands share: the types of arguments, options, and output."""

import argparse
import math
import re
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from urllib.parse import urlsplit

from bench.atomic_files import to_json
from bench.errors import ExitCode

PORT_MAX = 65_535
"""The largest TCP port."""
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


class Parser(argparse.ArgumentParser):
    """A parser that says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(ExitCode.USAGE, f"error: {message}; see {self.prog} --help\n")


# ---- types of arguments


def whole(name: str, largest: int, smallest: int = 1) -> Callable[[str], int]:
    """An argparse type: an integer from `smallest` to `largest`."""

    def parse(text: str) -> int:
        digits = text.isascii() and text.isdecimal() and len(text) <= len(str(largest))
        if not digits or not smallest <= int(text) <= largest:
            raise argparse.ArgumentTypeError(f"{text!r}: {name} from {smallest} to {largest}")
        return int(text)

    return parse


def real(largest: float, smallest: float) -> Callable[[str], float]:
    """An argparse type: a number from `smallest` to `largest`."""

    def parse(text: str) -> float:
        number = _number(text)
        if not smallest <= number <= largest:
            raise argparse.ArgumentTypeError(f"{text!r}: from {smallest:g} to {largest:g}")
        return number

    return parse


def positive(largest: float) -> Callable[[str], float]:
    """An argparse type: a number above 0, at most `largest`."""

    def parse(text: str) -> float:
        number = _number(text)
        if not 0 < number <= largest:
            raise argparse.ArgumentTypeError(f"{text!r}: above 0, at most {largest:g}")
        return number

    return parse


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def one_of(what: str, names: Collection[str]) -> Callable[[str], str]:
    """An argparse type: one of the names; ``choices`` would not allow that there is none."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"no {what} {text!r}: there are {', '.join(names)}")
        return text

    return parse


def url(text: str) -> str:
    """An argparse type: ``http://HOST:PORT``, without a slash at its end; a path may follow."""
    try:
        address = urlsplit(text)
        host, port = address.hostname or "", address.port
    except ValueError as cause:
        raise argparse.ArgumentTypeError(f"{text!r}: {cause}") from None
    if address.scheme != "http" or not re.fullmatch(r"[\w.:-]+", host, re.ASCII) or port == 0:
        raise argparse.ArgumentTypeError(f"{text!r}: http://HOST:PORT is expected")
    if address.username is not None or address.query or address.fragment or not text.isascii():
        raise argparse.ArgumentTypeError(f"{text!r}: no user, query or fragment is sent")
    return text.rstrip("/")


def address(text: str) -> str:
    """An argparse type: ``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[\w.-]+", host, re.ASCII):
        raise argparse.ArgumentTypeError(f"{text!r}: HOST:PORT is expected")
    whole("a port", PORT_MAX)(port)
    return text


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
