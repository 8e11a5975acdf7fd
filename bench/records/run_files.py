"""This module reads and writes run.json, and says in one line why one can't be read."""

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from bench.errors import ExitCode
from bench.records.migrations import OLDEST, update
from bench.records.run_record import SCHEMA_VERSION, RunRecord
from bench.records.typed_json import of_plain, to_plain
from bench.records.versioned_json import RunFileError, read_part
from bench.result_files import to_json
from machine.whole_files import write

SCHEMA_FILE = Path(__file__).with_name("run.schema.json")
RUN_FILE = "run.json"
MESSAGE_MAX = 200
"""A message has at most this many characters of what the schema says; it may cite all of a file."""


class ChangedError(RunFileError):
    """A file is not as it was recorded: by accident, or by a hand that did not forge the digest."""


class MissingFigureError(RunFileError):
    """A measured window lacks a figure."""

    exit_code = ExitCode.MISSING_METRIC


def read_run(where: Path | str) -> RunRecord:
    """`read_run` returns the record of `where`, run.json or its folder, whatever its version.

    It raises `RunFileError`.
    """
    where = Path(where)
    path = where / RUN_FILE if where.is_dir() else where
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
    _refuse_changed(path, content)
    return of_plain(RunRecord, run)


def is_unfinished(folder: Path) -> bool:
    """`is_unfinished` returns whether the folder is that of a run that has no record: one that was
    killed, or is still under way."""
    return not (folder / RUN_FILE).exists() and any(folder.glob("samples-*"))


def write_run(folder: Path, run: RunRecord) -> None:
    """`write_run` writes all of it or nothing, with the digests of what it has. It raises
    `OSError`."""
    named = [folder / name for phase in run.phases for name in phase.samples]
    there = {path.name: _sha256(path.read_bytes()) for path in named if path.exists()}
    samples = {name: digest for name, digest in run.digests.items() if name != RUN_FILE} | there
    content = {**to_plain(run), "digests": samples}
    write(folder / RUN_FILE, to_json({**content, "digests": {**samples, RUN_FILE: _own(content)}}))


def _refuse_changed(path: Path, content: Mapping[str, Any]) -> None:
    """It raises `ChangedError` where a digest is not that of what is there. Samples need not be:
    who keeps run.json alone has none."""
    digests = content.get("digests")
    if not digests:
        return
    others = {name: digest for name, digest in digests.items() if name != RUN_FILE}
    if digests.get(RUN_FILE) != _own({**content, "digests": others}):
        raise ChangedError(f"{path} was changed after it was recorded: its digest is another one")
    for name, digest in others.items():
        place = path.parent / name
        if place.exists() and _sha256(place.read_bytes()) != digest:
            raise ChangedError(f"{place} was changed after it was recorded: measure anew")


def _own(content: Mapping[str, Any]) -> str:
    return _sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS))


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@cache
def _validator() -> Any:
    return Draft202012Validator(orjson.loads(SCHEMA_FILE.read_bytes()))
