"""The recorded history of a run is a file of JSON lines for each generator process.

    {"schema_version": 1, "fields": [...], "monotonic_ns": ..., "wall_ns": ...}     header
    ["add_credit", "/users/credit/add/7/20", null, 100, 200, 200, {"credit": 20}]   one per request
    {"wrong": "get_credit: credit 5 + 20 - 15 is 9"}                        one per wrong answer
    {"scheduled": 1, "dropped": 0}                                                  footer

All times are ns of the machine's monotonic clock; the header ties it to the wall clock. A request
without a reply has status 0. A file without its footer is of a generator that was killed.
"""

import gzip
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import orjson

from bench.errors import UnreadableError

SCHEMA_VERSION = 1
Body = dict[str, Any]
"""The body of an answer is kept as it came: judged by the contract, never trusted."""
BUFFER_BYTES = 256 * 1024
"""The writer gathers so much of a history before it is written."""
FLUSH_INTERVAL_NS = 250_000_000
"""Whoever watches the file sees a row after at most this long, while more rows are coming."""


class HistoryError(UnreadableError):
    """A history can't be read; the message says which and where."""


def text_in(fields: Any, name: str) -> str | None:
    """`text_in` returns a text of an object; None where there is none, or no object."""
    value = fields.get(name) if isinstance(fields, dict) else None
    return value if isinstance(value, str) else None


def error_code(body: Body) -> str | None:
    """`error_code` returns the code of an error as the contract has it; None where there is
    none."""
    return text_in(body.get("error"), "code")


def body_of(content: bytes) -> Body:
    """`body_of` returns the JSON object that an answer has, an empty one where it has none."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


class Row(NamedTuple):
    """A row is one request as its sender saw it."""

    operation: str
    path: str
    key: str | None
    """The Idempotency-Key is what was sent along."""
    sent_ns: int
    done_ns: int
    status: int
    body: Body

    @property
    def request_id(self) -> str | None:
        return self.key or text_in(self.body, "request_id")

    @property
    def code(self) -> str | None:
        return error_code(self.body)


class Writer:
    """The writer appends to a new file. Count each request in `scheduled` before it is sent."""

    def __init__(self, path: Path) -> None:
        self.scheduled = 0
        self.dropped = 0
        self._file: BinaryIO = path.open("xb", buffering=BUFFER_BYTES)
        self._flushed_ns = 0
        self._write(
            {
                "schema_version": SCHEMA_VERSION,
                "fields": Row._fields,
                "monotonic_ns": time.monotonic_ns(),
                "wall_ns": time.time_ns(),
            }
        )

    def append(
        self,
        operation: str,
        path: str,
        key: str | None,
        sent_ns: int,
        done_ns: int,
        status: int,
        body: Body,
    ) -> None:
        row = (operation, path, key, sent_ns, done_ns, status, body)
        self._file.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))
        if done_ns - self._flushed_ns > FLUSH_INTERVAL_NS:
            self._file.flush()
            self._flushed_ns = done_ns

    def wrong(self, message: str) -> None:
        """An answer contradicted the contract, as its journey found."""
        self._write({"wrong": message})

    def close(self) -> None:
        self._write({"scheduled": self.scheduled, "dropped": self.dropped})
        self._file.close()

    def _write(self, mark: Mapping[str, object]) -> None:
        self._file.write(orjson.dumps(mark, option=orjson.OPT_APPEND_NEWLINE))
        self._file.flush()


class Footer(NamedTuple):
    scheduled: int
    dropped: int


class History:
    """A history is recorded files, read as one; iterate as often as needed."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = tuple(paths)

    def __iter__(self) -> Iterator[Row]:
        for path in self.paths:
            for entry in _entries(path):
                if isinstance(entry, list):
                    yield Row(*entry)

    def footers(self) -> list[Footer | None]:
        """`footers` returns one for each file; None where its generator did not come to its end."""
        footers: list[Footer | None] = []
        for path in self.paths:
            footer = None
            for entry in _entries(path):
                if isinstance(entry, dict) and "scheduled" in entry:
                    footer = Footer(entry["scheduled"], entry["dropped"])
            footers.append(footer)
        return footers

    def wrong(self) -> list[str]:
        """`wrong` returns what the journeys found wrong with the answers, each a line."""
        return [
            entry["wrong"]
            for path in self.paths
            for entry in _entries(path)
            if isinstance(entry, dict) and "wrong" in entry
        ]


def _entries(path: Path) -> Iterator[list[Any] | Body]:
    opened: Callable[..., Any] = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        for number, line in enumerate(cast(BinaryIO, file), 1):
            if not line.endswith(b"\n"):
                return  # the writer was killed in the middle of a line: the footer is missing too
            try:
                entry = orjson.loads(line)
            except orjson.JSONDecodeError as cause:
                raise HistoryError(f"{path} line {number}: {cause}") from None
            if number == 1 and entry.get("schema_version") != SCHEMA_VERSION:
                raise HistoryError(f"{path} is not a history of schema {SCHEMA_VERSION}")
            yield entry


def compress(path: Path) -> Path:
    """`compress` replaces the file by its gzip form."""
    target = path.with_name(path.name + ".gz")
    with path.open("rb") as source, gzip.open(target, "wb", compresslevel=1) as sink:
        while chunk := source.read(1 << 20):
            sink.write(chunk)
    path.unlink()
    return target
