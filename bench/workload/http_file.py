"""A workload file says in TOML what to send to any HTTP service; see docs/any-service.md.

    timeout_s = 10                    # then a request is given up; default 10
    keep_alive = true                 # false: each request has a connection of its own

    thresholds = { p99_ms = 50, max_failed = 0.001 }   # a run beyond them has failed

    [values]                          # {name} in a path, header or body is one of these
    user = ["u1", "u2", "u3"]         # at random
    id = { from = 1, to = 1000000000 }       # in shuffled order, each once in so many requests
    account = { csv = "accounts.csv" }       # so too; {account.name}, {account.password}: one row

    [[request]]
    operation = "find_user"           # results are grouped by it
    method = "GET"                    # default GET
    path = "/users/find/{user}"
    weight = 5                        # how often, relative to the others; default 1
    headers = { Accept = "application/json", Authorization = { env = "TOKEN", prefix = "Bearer " } }
    body = "..."                      # none by default; or { file = "body.json" }, sent as it is
    expect = [200, 404]               # statuses that are answers; default: below 400
    check = { header = { Server = "nginx" }, body = "u1", json = { "/user/active" = true } }

    [[sequence]]                      # requests one after the other
    weight = 1
    [[sequence.request]]
    operation = "log_in"
    method = "POST"
    path = "/login"
    capture = { token = "/token" }    # {token} in the requests after it: by JSON Pointer

``{{name}}`` is the text ``{name}``; all other braces are text.
"""

import csv
import io
import os
import re
import tomllib
from collections.abc import Iterable, Mapping
from json import dumps
from pathlib import Path
from typing import Any, NamedTuple

from bench.errors import UnreadableError
from bench.workload.address import in_target
from bench.workload.answer import TIMEOUT_S
from bench.workload.template import Check, Flow, Template, Text
from bench.workload.values import RANGE_MAX, Values

TIMEOUT_S_MAX = 600.0
"""A workload file's `timeout_s` is at most this; a phase may be as long."""
FILE_BYTES_MAX = 16 * 1024 * 1024
"""A workload file, and each file that it names, has at most this many bytes."""
REQUEST_BYTES_MAX = 1024 * 1024
"""A request's body in a workload file has at most this many bytes; a larger one can be a file of
its own."""
OPERATIONS_MAX = 1000
"""A workload file has at most this many requests: each is a row of the tables."""
STEPS_MAX = 100
"""One sequence has at most this many requests."""
VALUES_MAX = 1_000_000
"""A list has at most this many values, a CSV file as many rows; a range may have more."""
P99_MS_MAX = 60_000.0
"""A longer p99 can't be asked for."""
WEIGHT_MAX = 1_000_000
"""A request's weight relative to the others is at most this."""

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_OURS = ("transfer-encoding", "te", "upgrade", "trailer")

Entry = dict[str, Any]
"""An entry is a table of the file as TOML has it, not checked yet."""


class WorkloadError(UnreadableError):
    """A workload file can't be used; the message says which entry and why."""


class Thresholds(NamedTuple):
    """A run must keep these thresholds; None: not said here."""

    p99_ms: float | None = None
    max_failed: float | None = None
    """This share of 1 may fail."""


class Workload(NamedTuple):
    flows: tuple[Flow, ...]
    values: Mapping[str, Values]
    timeout_s: float
    keep_alive: bool = True
    thresholds: Thresholds = Thresholds()
    files: tuple[Path, ...] = ()
    """Values and bodies were read from these; headers are made of each machine's own secrets."""

    @property
    def templates(self) -> tuple[Template, ...]:
        return tuple(template for flow in self.flows for template in flow.steps)

    @property
    def is_plain(self) -> bool:
        """A plain workload looks at nothing more than an answer's status."""
        steps = [flow.steps for flow in self.flows]
        return all(len(own) == 1 and not own[0].check and not own[0].capture for own in steps)


def read_workload(path: Path) -> Workload:
    """`read_workload` reads a file; those that it names are relative to its folder. It raises
    `WorkloadError`."""
    content = _content(path)
    try:
        return parse(tomllib.loads(content.decode()), path.parent)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise WorkloadError(f"{path} is not TOML: {cause}") from None
    except WorkloadError as cause:
        raise WorkloadError(f"{path}: {cause}") from None


def parse(document: Mapping[str, Any], folder: Path = Path()) -> Workload:
    """`parse` returns the workload of a file's content. It raises `WorkloadError`."""
    fields = {"timeout_s", "keep_alive", "thresholds", "values", "request", "sequence"}
    _only(document, fields, "the file")
    timeout_s = _number(document.get("timeout_s", TIMEOUT_S), "timeout_s", TIMEOUT_S_MAX)
    keep_alive = document.get("keep_alive", True)
    if not isinstance(keep_alive, bool):
        raise WorkloadError("keep_alive: true or false")
    entries = document.get("values", {})
    if not isinstance(entries, dict):
        raise WorkloadError("values: a table of names")
    values = {name: _values(name, entry, folder) for name, entry in entries.items()}
    reader = _Requests(folder, keep_alive)
    flows = [reader.alone(*table) for table in _tables(document, "request")]
    flows += [reader.sequence(*table) for table in _tables(document, "sequence")]
    thresholds = _thresholds(document.get("thresholds", {}))
    files = [folder / entries[name]["csv"] for name, each in values.items() if each.columns]
    files += reader.files
    workload = Workload(tuple(flows), values, timeout_s, keep_alive, thresholds, tuple(files))
    operations = [template.operation for template in workload.templates]
    if not 1 <= len(operations) <= OPERATIONS_MAX:
        raise WorkloadError(f"[[request]]: 1 to {OPERATIONS_MAX} of them")
    if len(set(operations)) < len(operations):
        raise WorkloadError("two requests of the same operation")
    _check_places(workload)
    return workload


def _thresholds(entry: Any) -> Thresholds:
    if not isinstance(entry, dict):
        raise WorkloadError("thresholds: a table of p99_ms and max_failed")
    _only(entry, Thresholds._fields, "thresholds")
    p99_ms, share = entry.get("p99_ms"), entry.get("max_failed")
    if p99_ms is not None:
        p99_ms = _number(p99_ms, "thresholds: p99_ms", P99_MS_MAX)
    if share is not None and share != 0:
        share = _number(share, "thresholds: max_failed, a share of 1", 1.0)
    return Thresholds(p99_ms, share)


def _tables(document: Mapping[str, Any], kind: str) -> Iterable[tuple[str, Entry]]:
    entries = document.get(kind, [])
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise WorkloadError(f"{kind}: each begins with [[{kind}]]")
    return [(f"{kind} {number}", entry) for number, entry in enumerate(entries, 1)]


def _check_places(workload: Workload) -> None:
    known = set[str]()
    for name, values in workload.values.items():
        known |= {f"{name}.{column}" for column in values.columns} or {name}
    for flow in workload.flows:
        captured: set[str] = set()
        for template in flow.steps:
            for name in template.names:
                if name not in known | captured:
                    raise WorkloadError(
                        f"{template.operation}: {{{name}}} is not in [values] (for braces as text "
                        f"write {{{{{name}}}}})"
                    )
            if taken := sorted(known & set(template.capture)):
                raise WorkloadError(f"{template.operation}: capture {taken[0]!r} is in [values]")
            captured |= set(template.capture)


def _values(name: str, entry: Any, folder: Path) -> Values:
    where = f"values.{name}"
    if not re.fullmatch(r"\w+", name):
        raise WorkloadError(f"{where}: a name of letters, digits and _")
    if isinstance(entry, list) and 1 <= len(entry) <= VALUES_MAX:
        rows = [(each if isinstance(each, str) else dumps(each),) for each in entry
                if isinstance(each, str | int | float)]  # fmt: skip
        if len(rows) == len(entry) and not any(_CONTROLS.search(text) for (text,) in rows):
            return Values(rows, size=len(rows))
    elif isinstance(entry, dict) and entry.keys() == {"from", "to"}:
        first, last = entry["from"], entry["to"]
        if type(first) is int and type(last) is int and first <= last:
            if last - first >= RANGE_MAX:
                raise WorkloadError(f"{where}: at most {RANGE_MAX} values")
            return Values(first=first, size=last - first + 1, each_once=True)
    elif isinstance(entry, dict) and entry.keys() == {"csv"} and isinstance(entry["csv"], str):
        return _csv(where, folder / entry["csv"])
    raise WorkloadError(
        f"{where}: a list of texts on one line, {{ from = 1, to = 9 }} or {{ csv = FILE }}"
    )


def _csv(where: str, path: Path) -> Values:
    try:
        lines = io.StringIO(_content(path).decode("utf-8-sig"), newline="")
        head, *rows = csv.reader(lines, strict=True)
    except (UnicodeDecodeError, csv.Error, ValueError) as cause:
        raise WorkloadError(f"{where}: {path} is no CSV of UTF-8 text: {cause}") from None
    rows = [row for row in rows if row]
    if not head or len(set(head)) < len(head) or not all(re.fullmatch(r"\w+", n) for n in head):
        raise WorkloadError(f"{where}: the first line of {path} names its columns, as id,name")
    if not 1 <= len(rows) <= VALUES_MAX:
        raise WorkloadError(f"{where}: {path} has {len(rows)} rows, 1 to {VALUES_MAX}")
    for number, row in enumerate(rows, 1):
        if len(row) != len(head) or any(map(_CONTROLS.search, row)):
            raise WorkloadError(f"{where}: row {number} of {path} is not {len(head)} texts")
    return Values(list(map(tuple, rows)), tuple(head), size=len(rows), each_once=True)


class _Requests:
    """Reads requests and sequences of a file."""

    def __init__(self, folder: Path, keep_alive: bool) -> None:
        self._folder = folder
        self._keep_alive = keep_alive
        self._secrets: list[str] = []
        """The secrets are those of the request that is read."""
        self.files: list[Path] = []
        """All bodies that were read are in these."""

    def alone(self, where: str, entry: Entry) -> Flow:
        fields = {name: value for name, value in entry.items() if name != "weight"}
        weight = _number(entry.get("weight", 1), f"{where}: weight", WEIGHT_MAX)
        return Flow((self._template(where, fields),), weight)

    def sequence(self, where: str, entry: Entry) -> Flow:
        _only(entry, {"weight", "request"}, where)
        steps = list(_tables(entry, "request"))
        if not 1 <= len(steps) <= STEPS_MAX:
            raise WorkloadError(f"{where}: 1 to {STEPS_MAX} times [[sequence.request]]")
        templates = tuple(self._template(f"{where}, {name}", step, True) for name, step in steps)
        return Flow(templates, _number(entry.get("weight", 1), f"{where}: weight", WEIGHT_MAX))

    def _template(self, where: str, entry: Entry, in_sequence: bool = False) -> Template:
        fields = {"operation", "method", "path", "headers", "body", "expect", "check"}
        _only(entry, fields | {"capture"} if in_sequence else fields, where)
        operation, verb = entry.get("operation"), entry.get("method", "GET")
        path = entry.get("path")
        if not isinstance(operation, str) or not operation or _CONTROLS.search(operation):
            raise WorkloadError(f"{where}: operation is its name in the results, on one line")
        if not isinstance(verb, str) or not _TOKEN.fullmatch(verb):
            raise WorkloadError(f"{where}: method is one word, as GET")
        if verb == "CONNECT":
            raise WorkloadError(f"{where}: CONNECT makes a tunnel, which no request can go through")
        if not isinstance(path, str) or path[:1] != "/" or _CONTROLS.search(path) or "#" in path:
            raise WorkloadError(f"{where}: path begins with /, on one line, without #")
        body = self._body(where, entry.get("body", ""))
        self._secrets.clear()
        return Template(
            operation,
            verb,
            Text.of(path).with_texts(in_target),
            self._headers(where, entry.get("headers", {}), body),
            body,
            _expect(where, entry.get("expect", [])),
            _check(where, entry.get("check", {})),
            _capture(where, entry.get("capture", {})),
            tuple(self._secrets),
        )

    def _body(self, where: str, entry: Any) -> Text | bytes:
        if isinstance(entry, str) and len(entry) <= REQUEST_BYTES_MAX:
            return Text.of(entry)
        if isinstance(entry, dict) and entry.keys() == {"file"} and isinstance(entry["file"], str):
            self.files.append(self._folder / entry["file"])
            return _content(self.files[-1])
        raise WorkloadError(
            f"{where}: body is a text of at most {REQUEST_BYTES_MAX} characters, or {{ file = "
            "FILE }"
        )

    def _headers(self, where: str, entry: Any, body: Text | bytes) -> tuple[tuple[str, Text], ...]:
        if not isinstance(entry, dict):
            raise WorkloadError(f"{where}: headers are names and values")
        headers = [] if self._keep_alive else [("Connection", Text.of("close"))]
        for name, value in entry.items():
            own = f"{where}: header {name}"
            if not _TOKEN.fullmatch(name):
                raise WorkloadError(f"{own}: no name of a header")
            if name.lower() in _OURS:
                raise WorkloadError(f"{own}: leave it out, a body is sent with its length")
            if name.lower() == "connection" and not self._keep_alive:
                continue
            text = Text.of(value) if isinstance(value, str) else self._from_elsewhere(own, value)
            if any(_CONTROLS.sub("", part.replace("\t", "")) != part.replace("\t", "")
                   for part in text.parts):  # fmt: skip
                raise WorkloadError(f"{own}: headers are names and values on one line")
            if name.lower() == "content-length":
                _check_length(own, text, body)
            else:
                headers.append((name, text))
        names = [name.lower() for name, _ in headers]
        if len(set(names)) < len(names):
            raise WorkloadError(f"{where}: headers: one of them twice")
        return tuple(headers)

    def _from_elsewhere(self, where: str, entry: Any) -> Text:
        """A value that is not in the file; it is never recorded, and its braces are text."""
        prefix = entry.get("prefix", "") if isinstance(entry, dict) else None
        if isinstance(prefix, str) and len(entry.keys() - {"prefix"}) == 1:
            try:
                if isinstance(name := entry.get("env"), str):
                    if name not in os.environ:
                        raise WorkloadError(f"{where}: the environment has no {name}")
                    return self._secret(prefix, os.environb[name.encode()].decode())
                if isinstance(name := entry.get("file"), str):
                    content = _content(self._folder / name)
                    return self._secret(prefix, content.decode().strip("\r\n"))
            except UnicodeError:
                raise WorkloadError(f"{where}: {name} is no text") from None
        raise WorkloadError(
            f'{where}: a text on one line, {{ env = "NAME" }} or {{ file = "FILE" }}; with '
            'prefix = "Bearer " or without'
        )

    def _secret(self, prefix: str, value: str) -> Text:
        self._secrets.append(value.strip())
        return Text((prefix + value,))


def _check_length(where: str, text: Text, body: Text | bytes) -> None:
    content = body if isinstance(body, bytes) else "".join(body.parts).encode()
    has_places = not isinstance(body, bytes) and body.names
    if has_places or text != Text((str(len(content)),)):
        raise WorkloadError(f"{where}: leave it out, it is counted from the body")


def _expect(where: str, entry: Any) -> frozenset[int]:
    if not isinstance(entry, list) or not all(
        type(status) is int and 100 <= status <= 599 for status in entry
    ):
        raise WorkloadError(f"{where}: expect is a list of statuses, as [200, 404]")
    return frozenset(entry)


def _check(where: str, entry: Any) -> Check:
    if not isinstance(entry, dict):
        raise WorkloadError(f"{where}: check is a table of header, body and json")
    _only(entry, {"header", "body", "json"}, f"{where}: check")
    headers, body, json = entry.get("header", {}), entry.get("body", ""), entry.get("json", {})
    if not isinstance(headers, dict) or not all(isinstance(v, str) for v in headers.values()):
        raise WorkloadError(f"{where}: check: header: names and values")
    if not isinstance(body, str):
        raise WorkloadError(f"{where}: check: body: a text that it must have in it")
    if not isinstance(json, dict) or not all(map(_is_pointer, json)):
        raise WorkloadError(f'{where}: check: json: JSON Pointers and values, as "/id" = 7')
    try:
        dumps(json, allow_nan=False)
    except (TypeError, ValueError):  # which no answer could ever have
        raise WorkloadError(f"{where}: check: json: JSON has no dates, nan and inf") from None
    return Check({name.lower(): value for name, value in headers.items()}, body, json)


def _capture(where: str, entry: Any) -> Mapping[str, str]:
    if not isinstance(entry, dict) or not all(
        re.fullmatch(r"\w+", name) and isinstance(pointer, str) and _is_pointer(pointer)
        for name, pointer in entry.items()
    ):
        raise WorkloadError(f'{where}: capture: names and JSON Pointers, as id = "/user/id"')
    return entry


def _is_pointer(text: str) -> bool:
    return text == "" or text[0] == "/"


def _number(value: Any, where: str, largest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= largest:
        raise WorkloadError(f"{where}: a number above 0, at most {largest:g}")
    return float(value)


def _only(entry: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    if unknown := sorted(set(entry) - set(allowed)):
        raise WorkloadError(f"{where}: {unknown[0]!r} is unknown")


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except (OSError, ValueError) as cause:  # a name with NUL
        raise WorkloadError(f"cannot read {path}: {getattr(cause, 'strerror', cause)}") from None
    if len(content) > FILE_BYTES_MAX:
        raise WorkloadError(f"{path} is too large: at most {FILE_BYTES_MAX} bytes are read")
    return content
