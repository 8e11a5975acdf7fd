"""Files of results have a folder that can be written to, and JSON that a person can read too."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import orjson

from bench.errors import BenchError


def make_folder(folder: Path, anew: Iterable[str] = ()) -> None:
    """`make_folder` makes sure that files can be written there, before anything is measured for
    them. Files `anew` are removed: what comes to no end must not be taken for what was there.

    It raises `BenchError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
        for name in anew:
            (folder / name).unlink(missing_ok=True)
    except OSError as cause:
        raise BenchError(f"cannot write to {folder}: {cause.strerror}") from None


def to_json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
