"""Secrets come from the environment or a file that it names, so that no process list shows them.

Two variables can have one:

    NAME=…             the secret itself
    NAME_FILE=/path    a file with the secret, as orchestrators mount them; line ends do not count
"""

import os
import re
from collections.abc import Mapping
from pathlib import Path

from machine.errors import StackError

SECRET_BYTES_MAX = 4096
"""A secret has at most this many bytes: half of what the gateway takes as a header, which must
carry it."""
_NAMES_A_FILE = re.compile(r"(?:KAFLINKSHOP|KAFKA)_\w+_FILE")


class SecretError(StackError):
    """A secret can't be had; the message names the variable, never its value."""


def read_secret(name: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """`read_secret` returns the secret, or None where neither variable is set. It raises
    `SecretError`."""
    value, path = environment.get(name), environment.get(f"{name}_FILE")
    if value and path:
        raise SecretError(f"{name} and {name}_FILE are both set: unset one of them")
    if path:
        try:
            with Path(path).open("rb") as file:
                value = file.read(SECRET_BYTES_MAX + 1).decode().strip("\r\n")
        except OSError as cause:
            raise SecretError(f"{name}_FILE can't be read: {cause.strerror}") from None
        except UnicodeDecodeError:
            raise SecretError(f"{name}_FILE is no text in UTF-8") from None
        if not value:
            raise SecretError(f"the file of {name}_FILE is empty")
    if value and len(value.encode()) > SECRET_BYTES_MAX:
        raise SecretError(f"{name} is longer than {SECRET_BYTES_MAX} bytes")
    return value or None


def named_files(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """`named_files` returns the variables that name a file, as a child finds it that runs in
    another folder than who named it."""
    return {
        name: str(Path(given).absolute())
        for name, given in environment.items()
        if given and _NAMES_A_FILE.fullmatch(name)
    }
