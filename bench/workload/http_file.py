"""What the generator sends: requests of a workload file, or the shop's journeys.

A workload file describes requests to any HTTP service, in TOML:

    timeout_s = 10                    # then a request is given up; default 10

    [values]                          # {name} in a path or body is one of these, at random
    user = ["u1", "u2", "u3"]
    amount = { from = 1, to = 100 }

    [[request]]
    operation = "find_user"           # results are grouped by it
    method = "GET"                    # default GET
    path = "/users/find/{user}"
    weight = 5                        # how often, relative to the others; default 1
    headers = { Accept = "application/json" }
    body = "..."                      # none by default
    expect = [200, 404]               # statuses that are answers; default: below 400
"""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from bench.errors import UnreadableError

TIMEOUT_S = 10.0
"""Well above the gateway's own timeout: whoever waits this long has lost the connection."""
TIMEOUT_S_MAX = 600.0
"""The longest `timeout_s` of a workload file; as long as a phase may be."""
FILE_BYTES_MAX = 16 * 1024 * 1024
"""Of a workload file."""
REQUEST_BYTES_MAX = 1024 * 1024
"""Of a request's body in a workload file."""
OPERATIONS_MAX = 1000
"""Requests of a workload file: each is a row of the tables."""
VALUES_MAX = 1_000_000
"""Values of one name of a workload file."""
WEIGHT_MAX = 1_000_000
"""Of one request relative to the others."""

VERBS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PLACE = re.compile(r"\{(\w+)\}")
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\uffff]")


class WorkloadError(UnreadableError):
    """A workload file that can't be used; the message says which entry and why."""


class Values(NamedTuple):
    """The values of one name."""

    listed: tuple[str, ...]
    first: int
    last: int

    def choose(self, random: Random) -> str:
        return random.choice(self.listed) if self.listed else str(random.randint(*self[1:]))


class Template(NamedTuple):
    operation: str
    verb: str
    path: str
    weight: float
    headers: Mapping[str, str]
    body: str
    expect: frozenset[int]
    """Empty: every status below 400."""

    def is_expected(self, status: int) -> bool:
        return status in self.expect if self.expect else status < 400


class Workload(NamedTuple):
    templates: tuple[Template, ...]
    values: Mapping[str, Values]
    timeout_s: float


class Address(NamedTuple):
    """Where requests go."""

    host: str
    port: int
    netloc: str
    prefix: str

    @classmethod
    def of(cls, url: str) -> "Address":
        parts = urlsplit(url)
        return cls(parts.hostname or "127.0.0.1", parts.port or 80, parts.netloc,
                   parts.path.rstrip("/"))  # fmt: skip


def encode(
    address: Address, verb: str, path: str, headers: Mapping[str, str] = {}, body: bytes = b""
) -> bytes:
    """An HTTP/1.1 request."""
    lines = [f"{verb} {address.prefix}{path} HTTP/1.1", f"Host: {address.netloc}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body or verb in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "\r\n"]).encode("latin-1") + body


def stream(workload: Workload, address: Address, seed: int) -> Iterator[tuple[Template, bytes]]:
    """Requests without end; the same seed gives the same ones."""
    random = Random(seed)
    weights = list(accumulate(template.weight for template in workload.templates))
    fixed = {
        template.operation: encode_template(template, {}, address)
        for template in workload.templates
        if not places(template)
    }
    while True:
        (template,) = random.choices(workload.templates, cum_weights=weights)
        request = fixed.get(template.operation)
        if request is None:
            chosen = {name: workload.values[name].choose(random) for name in places(template)}
            request = encode_template(template, chosen, address)
        yield template, request


def places(template: Template) -> list[str]:
    """The names in braces."""
    return _PLACE.findall(template.path) + _PLACE.findall(template.body)


def encode_template(template: Template, chosen: Mapping[str, str], address: Address) -> bytes:
    def fill(text: str) -> str:
        return _PLACE.sub(lambda place: chosen[place[1]], text)

    path, body = fill(template.path), fill(template.body).encode()
    return encode(address, template.verb, path, template.headers, body)


def read_workload(path: Path) -> Workload:
    """Raises `WorkloadError`."""
    try:
        content = path.read_bytes()
    except OSError as cause:
        raise WorkloadError(f"{path}: {cause.strerror}") from None
    if len(content) > FILE_BYTES_MAX:
        raise WorkloadError(f"{path}: {len(content)} bytes, at most {FILE_BYTES_MAX} are read")
    try:
        return parse(tomllib.loads(content.decode()))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as cause:
        raise WorkloadError(f"{path} is not TOML: {cause}") from None
    except WorkloadError as cause:
        raise WorkloadError(f"{path}: {cause}") from None


def parse(document: Mapping[str, Any]) -> Workload:
    """Raises `WorkloadError`."""
    _only(document, {"timeout_s", "values", "request"}, "the file")
    timeout_s = _number(document.get("timeout_s", TIMEOUT_S), "timeout_s", TIMEOUT_S_MAX)
    entries = document.get("values", {})
    if not isinstance(entries, dict):
        raise WorkloadError("values: a table of names")
    values = {name: _values(name, entry) for name, entry in entries.items()}
    requests = document.get("request", [])
    if not isinstance(requests, list) or not 1 <= len(requests) <= OPERATIONS_MAX:
        raise WorkloadError(f"[[request]]: 1 to {OPERATIONS_MAX} of them")
    templates = tuple(_template(number, entry) for number, entry in enumerate(requests, 1))
    if len({template.operation for template in templates}) < len(templates):
        raise WorkloadError("two requests of the same operation")
    for template in templates:
        for name in places(template):
            if name not in values:
                raise WorkloadError(f"{template.operation}: {{{name}}} is not in [values]")
    return Workload(templates, values, timeout_s)


def _values(name: str, entry: Any) -> Values:
    if isinstance(entry, list) and 1 <= len(entry) <= VALUES_MAX:
        listed = tuple(map(str, entry))
        if not any(_UNSAFE.search(text) for text in listed):
            return Values(listed, 0, 0)
    elif isinstance(entry, dict) and entry.keys() == {"from", "to"}:
        first, last = entry["from"], entry["to"]
        if type(first) is int and type(last) is int and first <= last:
            return Values((), first, last)
    raise WorkloadError(
        f"values.{name}: a list of texts of ASCII without spaces, or {{ from = 1, to = 9 }}"
    )


def _template(number: int, entry: Any) -> Template:
    where = f"request {number}"
    if not isinstance(entry, dict):
        raise WorkloadError(f"{where}: a table")
    fields = {"operation", "method", "path", "weight", "headers", "body", "expect"}
    _only(entry, fields, where)
    operation, verb = entry.get("operation"), entry.get("method", "GET")
    path, headers, body = entry.get("path"), entry.get("headers", {}), entry.get("body", "")
    if not isinstance(operation, str) or not operation:
        raise WorkloadError(f"{where}: operation is its name in the results")
    if not isinstance(verb, str) or verb not in VERBS:
        raise WorkloadError(f"{where}: method is one of {', '.join(sorted(VERBS))}")
    if not isinstance(path, str) or path[:1] != "/" or _UNSAFE.search(path):
        raise WorkloadError(f"{where}: path begins with / and is ASCII without spaces")
    if not isinstance(headers, dict) or not all(map(_is_header, headers.items())):
        raise WorkloadError(f"{where}: headers are names and values on one line")
    if not isinstance(body, str) or len(body) > REQUEST_BYTES_MAX:
        raise WorkloadError(f"{where}: body is a text of at most {REQUEST_BYTES_MAX} characters")
    expect = entry.get("expect", [])
    if not isinstance(expect, list) or not all(
        type(status) is int and 100 <= status <= 599 for status in expect
    ):
        raise WorkloadError(f"{where}: expect is a list of statuses, as [200, 404]")
    weight = _number(entry.get("weight", 1), f"{where}: weight", WEIGHT_MAX)
    return Template(operation, verb, path, weight, headers, body, frozenset(expect))


def _is_header(item: tuple[str, Any]) -> bool:
    name, value = item
    named = re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is not None
    return named and isinstance(value, str) and re.fullmatch(r"[\t\x20-\x7e]*", value) is not None


def _number(value: Any, where: str, largest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= largest:
        raise WorkloadError(f"{where}: a number above 0, at most {largest:g}")
    return float(value)


def _only(entry: Mapping[str, Any], allowed: Iterable[str], where: str) -> None:
    if unknown := sorted(set(entry) - set(allowed)):
        raise WorkloadError(f"{where}: {unknown[0]!r} is unknown")
