"""An HTTP answer is kept as its bytes came; more than its status is read where that counts."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import NamedTuple, Protocol

import orjson

TIMEOUT_S = 10.0
"""An answer is waited for so long, well above the gateway's usual timeout: whoever waits longer has
lost the connection."""

TEXT_CHARS_MAX = 8_192
"""A captured text has at most this many characters: above it no server takes a request that has it
in its path or headers."""


EXCERPT_CHARS_MAX = 200
"""So many characters of an answer are shown: enough for what an error says first."""
EXCERPT_BYTES_MAX = 4_096
"""So many bytes of an answer are looked at for them; patterns are searched in these alone."""
SECRET_CHARS_MIN = 4
"""A shorter text is no secret, and would blank out parts of words."""
HIDDEN = "[hidden]"
_KEYED = re.compile(
    r"""((?:token|secret|passw(?:or)?d|credential|session|cookie|authorization|api[-_]?key)"""
    r"""[\w-]{0,32}\\?["']?\s{0,8}[:=]\s{0,8})"""
    r"""("(?:[^"\\]|\\.)*(?:"|$)|'[^']*(?:'|$)|\\".*?(?:\\"|$)"""
    r"""|\[(?:[^][{}"]|"(?:[^"\\]|\\.)*")*\]|\{(?:[^][{}"]|"(?:[^"\\]|\\.)*")*\}|[\[{].*"""
    r"""|[^\s,;&})<]+)""",
    re.IGNORECASE | re.DOTALL,
)
"""A key that names a secret, and its value: of JSON, a header, a query or a cookie. Of a list or an
object that has others in it all that follows is hidden."""
_COOKIE = re.compile(r"((?<!set-)cookie:\s{0,8})[^\r\n]+", re.IGNORECASE)
"""A header that holds cookies, each of any name."""
_TOKEN = re.compile(r"\beyJ[\w-]{8,}(?:\.[\w-]*){0,4}|\b(?:Bearer|Basic)\s+[\w.~+/=-]{4,}")
"""A JSON Web Token, or what an Authorization header holds."""


class Answer(Protocol):
    """An answer is what came; its head is only taken apart where somebody asks."""

    @property
    def status(self) -> int: ...

    @property
    def head(self) -> bytes:
        """`head` returns the status line and the headers, without the blank line."""

    @property
    def parts(self) -> list[bytes]:
        """The body came in these parts."""


class Received(NamedTuple):
    """Another client has received this answer."""

    status: int
    head: bytes
    parts: list[bytes]


Show = Callable[[str, str, str], object]
"""`show(operation, outcome, text)` is called with the first answer of a kind that failed."""


def forget(operation: str, outcome: str, text: str) -> None:
    """`forget` is the `Show` of whoever doesn't look."""


def excerpt(answer: Answer, secrets: Iterable[str] = ()) -> str:
    """`excerpt` returns how an answer's body begins, as one line of printable text.

    It has at most `EXCERPT_CHARS_MAX` characters, without `secrets`, and without what looks like
    one.
    """
    body = b"".join(answer.parts)
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SECRET_CHARS_MIN:
            body = body.replace(secret.encode(errors="surrogateescape"), HIDDEN.encode())
    text = body[:EXCERPT_BYTES_MAX].decode(errors="replace")
    text = _COOKIE.sub(rf"\1{HIDDEN}", _TOKEN.sub(HIDDEN, text))
    text = _KEYED.sub(rf"\1{HIDDEN}", text)
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    is_whole = len(text) <= EXCERPT_CHARS_MAX
    return text if is_whole else f"{text[: EXCERPT_CHARS_MAX - 1]}…"


def final_head(received: bytes) -> bytes:
    """`final_head` returns the status line and the headers of the answer itself, without the blank
    line.

    `received` is all that came until its head was whole, and may be more: interim answers (1xx)
    before it, a body behind it.
    """
    head, _, rest = received.lstrip(b"\r\n").partition(b"\r\n\r\n")
    while head.partition(b" ")[2][:1] == b"1" and rest:
        head, _, rest = rest.lstrip(b"\r\n").partition(b"\r\n\r\n")
    return head


def headers(head: bytes) -> Iterator[tuple[str, str]]:
    """`headers` yields the headers in their order, names in lower case, values without outer
    spaces."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        yield name.strip().lower().decode("latin-1"), value.strip().decode("latin-1")


def values(head: bytes, name: str) -> list[str]:
    """`values` returns the items of the header `name` (in lower case), which commas part."""
    found = [value for own, value in headers(head) if own == name]
    return [item.strip() for value in found for item in value.split(",")]


def has_length(head: bytes) -> bool:
    """`has_length` returns whether the body's end is known without the connection's (RFC 9112,
    6.3)."""
    if codings := values(head, "transfer-encoding"):
        return codings[-1].lower() == "chunked"
    return bool(values(head, "content-length"))


def is_persistent(head: bytes) -> bool:
    """`is_persistent` returns whether the server keeps the connection open after this answer (RFC
    9112, 9.3)."""
    options = {option.lower() for option in values(head, "connection")}
    return "close" not in options and (head[:8] != b"HTTP/1.0" or "keep-alive" in options)


class NoValueError(Exception):
    """A JSON Pointer points to nothing, or not to what was asked for."""


def at(document: object, pointer: str) -> object:
    """`at` returns the value that a JSON Pointer (RFC 6901) names. It raises `NoValueError`."""
    found = document
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and name in found:
            found = found[name]
        elif isinstance(found, list) and name.isascii() and name.isdecimal():
            if int(name) >= len(found):
                raise NoValueError
            found = found[int(name)]
        else:
            raise NoValueError
    return found


def texts(pointers: Mapping[str, str], parts: list[bytes]) -> dict[str, str]:
    """`texts` returns the value at each pointer as a text that can stand in a request.

    It raises `NoValueError` where there is none, or one that is not a text on one line, a number or
    a truth value.
    """
    document, found = _json(parts), {}
    for name, pointer in pointers.items():
        value = at(document, pointer)
        text = value if isinstance(value, str) else orjson.dumps(value).decode()
        if value is None or isinstance(value, dict | list) or len(text) > TEXT_CHARS_MAX:
            raise NoValueError
        if any(ord(character) < 32 or ord(character) == 127 for character in text):
            raise NoValueError
        found[name] = text
    return found


def each_text(pointers: Mapping[str, str], parts: list[bytes]) -> list[str]:
    """`each_text` returns the values that are there, whatever others lack."""
    found = list[str]()
    for name, pointer in pointers.items():
        with suppress(NoValueError):
            found += texts({name: pointer}, parts).values()
    return found


def has_all(expected: Mapping[str, object], parts: list[bytes]) -> bool:
    """`has_all` returns whether the body is JSON that has each value where its pointer says."""
    try:
        document = _json(parts)
        return all(
            (found := at(document, pointer)) == value
            and isinstance(found, bool) == isinstance(value, bool)
            for pointer, value in expected.items()
        )
    except NoValueError:
        return False


def _json(parts: list[bytes]) -> object:
    try:
        return orjson.loads(b"".join(parts))
    except orjson.JSONDecodeError:
        raise NoValueError from None
