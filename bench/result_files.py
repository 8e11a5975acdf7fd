"""Files of results have a folder that can be written to, and JSON that a person can read too."""

import tempfile
from pathlib import Path

import orjson

from bench.errors import BenchError


def make_folder(folder: Path) -> None:
    """`make_folder` makes sure that files can be written there, before anything is measured for
    them.

    It raises `BenchError`.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as cause:
        raise BenchError(f"cannot write to {folder}: {cause.strerror}") from None


def to_json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
