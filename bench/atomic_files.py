"""Files of results: whole or not there, and JSON that a person can read too."""

import os
from pathlib import Path

import orjson


def write(path: Path, content: bytes) -> None:
    """All of it or nothing: a reader never finds half a file."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def to_json(content: object) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
