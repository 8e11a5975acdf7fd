"""A template is a request of a workload file; path, headers and body have places for values."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from bench.records.samples import EXPECTED, REDIRECT, UNEXPECTED
from bench.workload.address import Address, in_target
from bench.workload.answer import Answer, has_all, headers

PLACE = re.compile(r"\{\{(\w+(?:\.\w+)?)\}\}|\{(\w+(?:\.\w+)?)\}")
"""A place is as ``{user}`` or ``{account.id}``; and ``{{user}}`` is the text ``{user}``. All other
braces are text."""

REDIRECTS = frozenset({301, 302, 303, 307, 308})
"""They are not followed, but counted under their names unless they are what is expected."""


class Text(NamedTuple):
    """A text has places: texts are at the even positions, names of values at the odd ones."""

    parts: tuple[str, ...] = ("",)

    @classmethod
    def of(cls, text: str) -> "Text":
        parts, done = [""], 0
        for found in PLACE.finditer(text):
            parts[-1] += text[done : found.start()]
            done = found.end()
            if found[2] is None:
                parts[-1] += f"{{{found[1]}}}"
            else:
                parts += [found[2], ""]
        parts[-1] += text[done:]
        return cls(tuple(parts))

    @property
    def names(self) -> tuple[str, ...]:
        return self.parts[1::2]

    def with_texts(self, form: Callable[[str], str]) -> "Text":
        """`with_texts` returns it with its own text brought into a form, without that of its
        places."""
        parts = list(self.parts)
        parts[::2] = map(form, parts[::2])
        return Text(tuple(parts))

    def fill(self, chosen: Mapping[str, str], form: Callable[[str], str] = str) -> str:
        """`fill` returns the text with the value of each place, brought into its form there."""
        if len(self.parts) == 1:
            return self.parts[0]
        filled = list(self.parts)
        filled[1::2] = [form(chosen[name]) for name in self.names]
        return "".join(filled)


class Check(NamedTuple):
    """A check says what an answer must be like, besides its status."""

    headers: Mapping[str, str] = {}
    """The headers are name in lower case → the value."""
    body: str = ""
    """The body must have this in it."""
    json: Mapping[str, object] = {}
    """The JSON is: JSON Pointer → the value there."""

    def __bool__(self) -> bool:
        return bool(self.headers or self.body or self.json)

    def problem(self, answer: Answer) -> str | None:
        """`problem` returns which part of an answer is not as it must be: header, body or json."""
        if self.headers:
            given = list(headers(answer.head))
            if not all(expected in given for expected in self.headers.items()):
                return "header"
        if self.body and self.body.encode() not in b"".join(answer.parts):
            return "body"
        if self.json and not has_all(self.json, answer.parts):
            return "json"
        return None


class Template(NamedTuple):
    operation: str
    verb: str
    path: Text
    headers: tuple[tuple[str, Text], ...]
    """The headers are without Content-Length; a Host among them stands for the address's."""
    body: Text | bytes
    expect: frozenset[int]
    """The statuses may be empty: then every one below 400 is expected."""
    check: Check = Check()
    capture: Mapping[str, str] = {}
    """The captures are: name of a value for the requests after this one → JSON Pointer into the
    answer."""
    secrets: tuple[str, ...] = ()
    """The secrets are values of headers that are never recorded."""

    def is_expected(self, status: int) -> bool:
        return status in self.expect if self.expect else status < 400

    def outcome(self, status: int) -> str:
        """`outcome` returns the outcome of a sample: see `bench.records.samples`."""
        if not self.is_expected(status):
            return f"{UNEXPECTED} {status}"
        if status in REDIRECTS and not self.expect:
            return f"{status} {REDIRECT}"
        return f"{EXPECTED} {status}" if status >= 500 else str(status)

    @property
    def names(self) -> tuple[str, ...]:
        """`names` returns the names of all places."""
        of_body = () if isinstance(self.body, bytes) else self.body.names
        of_headers = (name for _, text in self.headers for name in text.names)
        return (*self.path.names, *of_headers, *of_body)

    def request(self, address: Address, chosen: Mapping[str, str] = {}) -> bytes:
        body = self.body if isinstance(self.body, bytes) else self.body.fill(chosen).encode()
        headers = ((name, text.fill(chosen)) for name, text in self.headers)
        return encode(address, self.verb, self.path.fill(chosen, in_target), headers, body)


class Flow(NamedTuple):
    """A flow is requests one after the other, each after the answer to the one before; mostly just
    one."""

    steps: tuple[Template, ...]
    weight: float = 1.0


def encode(
    address: Address,
    verb: str,
    path: str,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes = b"",
) -> bytes:
    """`encode` returns an HTTP/1.1 request, with one Host and at most one Content-Length."""
    given = list(headers)
    lines = [f"{verb} {address.prefix}{path} HTTP/1.1"]
    if not any(name.lower() == "host" for name, _ in given):
        lines.append(f"Host: {address.netloc}")
    lines += [f"{name}: {value}" for name, value in given]
    if body or verb in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "\r\n"]).encode() + body
