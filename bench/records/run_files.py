"""This module reads and writes run.json, and says in one line why one can't be read."""

from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from bench.atomic_files import to_json, write
from bench.errors import ExitCode
from bench.records.migrations import OLDEST, update
from bench.records.run_record import SCHEMA_VERSION, RunRecord
from bench.records.typed_json import of_plain, to_plain
from bench.records.versioned_json import RunFileError, read_part

SCHEMA_FILE = Path(__file__).with_name("run.schema.json")
MESSAGE_MAX = 200
"""A message has at most this many characters of what the schema says; it may cite all of a file."""


class MissingFigureError(RunFileError):
    """A measured window lacks a figure."""

    exit_code = ExitCode.MISSING_METRIC


def read_run(where: Path) -> RunRecord:
    """`read_run` returns the record of `where`, run.json or its folder, whatever its version.

    It raises `RunFileError`.
    """
    path = where / "run.json" if where.is_dir() else where
    content = read_part(path, SCHEMA_VERSION, OLDEST)
    try:
        run = update(content)
    except (KeyError, TypeError, AttributeError) as cause:
        what = f"the record of a run of schema {content['schema_version']}"
        raise RunFileError(f"{path} is not {what}: {cause!r}") from None
    error = best_match(_validator().iter_errors(run))
    if error is not None:
        place = error.json_path.removeprefix("$").removeprefix(".") or "the whole"
        message = error.message.splitlines()[0]
        is_figure = error.validator == "required" and "window" in error.absolute_path
        kind = MissingFigureError if is_figure else RunFileError
        raise kind(f"{path} is not the record of a run: {place}: {message[:MESSAGE_MAX]}")
    return of_plain(RunRecord, run)


def write_run(folder: Path, run: RunRecord) -> None:
    """`write_run` writes all of it or nothing. It raises `OSError`."""
    write(folder / "run.json", to_json(to_plain(run)))


@cache
def _validator() -> Any:
    return Draft202012Validator(orjson.loads(SCHEMA_FILE.read_bytes()))
