"""Each JSON file of a run's folder says of which schema version it is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from bench.errors import ExitCode, UnreadableError


class RunFileError(UnreadableError):
    """A recorded file can't be read; the message says which and why."""


class VersionError(RunFileError):
    """The file is of another schema version."""

    exit_code = ExitCode.OTHER_SCHEMA


def read_part(path: Path, version: int, oldest: int | None = None) -> Mapping[str, Any]:
    """`read_part` returns the content of a JSON file of schema `version`, or from `oldest` on.

    It raises `RunFileError`.
    """
    try:
        content = orjson.loads(path.read_bytes())
    except OSError as cause:
        raise RunFileError(f"cannot read {path}: {cause.strerror}") from None
    except orjson.JSONDecodeError as cause:
        raise RunFileError(f"{path} is truncated or not JSON: {cause}") from None
    found = content.get("schema_version") if isinstance(content, dict) else None
    if type(found) is not int:
        raise RunFileError(f"{path} has no schema_version: it is not a file of a run")
    if found > version:
        raise VersionError(
            f"{path} was written by a newer version: its schema is {found}, and this version "
            f"reads {version}; update this version"
        )
    if found < (version if oldest is None else oldest):
        raise VersionError(
            f"{path} was written by an older version: its schema is {found}, and this version "
            f"reads {version}; measure anew"
        )
    read: Mapping[str, Any] = content
    return read
