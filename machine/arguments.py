"""Command lines of both sides share a parser whose errors are one line, and argument types."""

import argparse
import math
import os
import re
from collections.abc import Callable, Collection
from typing import NoReturn

from machine.errors import StackError

EXIT_USAGE = 2
"""The process exits with this code after wrong usage, as argparse has it."""
PORT_MAX = 65_535
"""TCP has no port above this one."""


class Parser(argparse.ArgumentParser):
    """This parser says in one line what is wrong."""

    def error(self, message: str) -> NoReturn:
        self.exit(EXIT_USAGE, f"error: {message}; see {self.prog} --help\n")


def whole(name: str, largest: int, smallest: int = 1) -> Callable[[str], int]:
    """`whole` returns an argparse type: an integer from `smallest` to `largest`."""

    def parse(text: str) -> int:
        digits = text.isascii() and text.isdecimal() and len(text) <= len(str(largest))
        if not digits or not smallest <= int(text) <= largest:
            raise argparse.ArgumentTypeError(f"{text!r}: {name} from {smallest} to {largest}")
        return int(text)

    return parse


def real(largest: float, smallest: float) -> Callable[[str], float]:
    """`real` returns an argparse type: a number from `smallest` to `largest`."""

    def parse(text: str) -> float:
        number = _number(text)
        if not smallest <= number <= largest:
            raise argparse.ArgumentTypeError(f"{text!r}: from {smallest:g} to {largest:g}")
        return number

    return parse


def positive(largest: float) -> Callable[[str], float]:
    """`positive` returns an argparse type: a number above 0, at most `largest`."""

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
    """`one_of` returns an argparse type: one of the names; ``choices`` would not allow that there
    is none."""

    def parse(text: str) -> str:
        if text not in names:
            raise argparse.ArgumentTypeError(f"no {what} {text!r}: there are {', '.join(names)}")
        return text

    return parse


def port_or_any(text: str) -> int:
    """`port_or_any` is an argparse type: a port, or 0 for any free one."""
    return whole("a port", PORT_MAX, 0)(text)


def address(text: str, port_min: int = 1) -> str:
    """`address` is an argparse type: ``HOST:PORT``."""
    host, _, port = text.rpartition(":")
    if not re.fullmatch(r"[\w.-]+|\[[\da-fA-F:.]+\]", host, re.ASCII) or not _is_name(host):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form HOST:PORT")
    whole("a port", PORT_MAX, port_min)(port)
    return text


def _is_name(host: str) -> bool:
    """No part of a name is empty, or longer than 63 characters: who looks it up raises then."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


def listen_address(text: str) -> str:
    """`listen_address` is an argparse type: ``HOST:PORT``, where port 0 is any free one."""
    return address(text, 0)


def addresses(text: str) -> str:
    """`addresses` is an argparse type: one or several of ``HOST:PORT``, with commas between."""
    return ",".join(map(address, text.split(",")))


def topic_prefix(text: str) -> str:
    """`topic_prefix` is an argparse type: how names of Kafka's topics may begin."""
    if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", text):
        raise argparse.ArgumentTypeError(f"{text!r} is not up to 64 characters of [A-Za-z0-9._-]")
    return text


def addresses_in(variable: str) -> str | None:
    """`addresses_in` returns the `addresses` that a variable of the environment names; None when it
    is not set or empty.

    It raises `StackError` for anything else.
    """
    return _named(variable, addresses)


def address_in(variable: str) -> str | None:
    """`address_in` returns the one address that a variable names, as `addresses_in`."""
    return _named(variable, address)


def _named(variable: str, kind: Callable[[str], str]) -> str | None:
    value = os.environ.get(variable)
    try:
        return kind(value) if value else None
    except argparse.ArgumentTypeError:
        raise StackError(f"{variable}={value} is not of the form host:port") from None
