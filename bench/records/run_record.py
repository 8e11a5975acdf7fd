"""Reads what was recorded of a run, and says in one line why it can't."""

from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from bench.errors import ExitCode, UnreadableError

SCHEMA_FILE = Path(__file__).with_name("run.schema.json")
CONTROL = "control"
"""The probe under whose name a run keeps how fast the machine itself was."""
MESSAGE_MAX = 200
"""Characters of what the schema says; it may cite all of a file."""


class RunFileError(UnreadableError):
    """A recorded file that can't be read; the message says which and why."""


class VersionError(RunFileError):
    """It is of another schema version."""

    exit_code = ExitCode.OTHER_SCHEMA


class MissingFigureError(RunFileError):
    """A measured window lacks a figure."""

    exit_code = ExitCode.MISSING_METRIC


def read_run(where: Path) -> dict[str, Any]:
    """The content of run.json; `where` is it, or its folder. Raises `RunFileError`."""
    path = where / "run.json" if where.is_dir() else where
    schema = _schema()
    run = read_part(path, schema["properties"]["schema_version"]["const"])
    error = best_match(Draft202012Validator(schema).iter_errors(run))
    if error is not None:
        place = error.json_path.removeprefix("$").removeprefix(".") or "the whole"
        message = error.message.splitlines()[0]
        is_figure = error.validator == "required" and "window" in error.absolute_path
        kind = MissingFigureError if is_figure else RunFileError
        raise kind(f"{path} is not the record of a run: {place}: {message[:MESSAGE_MAX]}")
    return run


def read_part(path: Path, version: int) -> dict[str, Any]:
    """A JSON file of the folder, of the schema version that is asked for.

    Raises `RunFileError`.
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
    if found < version:
        raise VersionError(
            f"{path} was written by an older version: its schema is {found}, and this version "
            f"reads {version}; measure anew"
        )
    return dict(content)


@cache
def _schema() -> Any:
    return orjson.loads(SCHEMA_FILE.read_bytes())
