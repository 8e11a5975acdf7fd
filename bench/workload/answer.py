"""An HTTP answer as its bytes came, and what is read of it where more than its status counts."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple, Protocol

import orjson

TIMEOUT_S = 10.0
"""Well above the gateway's own timeout: whoever waits this long has lost the connection."""

TEXT_CHARS_MAX = 8_192
"""Of a captured text: above it no server takes a request that has it in its path or headers."""


class Answer(Protocol):
    """What came; its head is only taken apart where somebody asks."""

    @property
    def status(self) -> int: ...

    @property
    def head(self) -> bytes:
        """The status line and the headers, without the blank line."""

    @property
    def parts(self) -> list[bytes]:
        """Of the body."""


class Received(NamedTuple):
    """An answer that another client has received."""

    status: int
    head: bytes
    parts: list[bytes]


def final_head(received: bytes) -> bytes:
    """Returns the status line and the headers of the answer itself, without the blank line.

    `received` is all that came until its head was whole, and may be more: interim answers (1xx)
    before it, a body behind it.
    """
    head, _, rest = received.lstrip(b"\r\n").partition(b"\r\n\r\n")
    while head.partition(b" ")[2][:1] == b"1" and rest:
        head, _, rest = rest.lstrip(b"\r\n").partition(b"\r\n\r\n")
    return head


def headers(head: bytes) -> Iterator[tuple[str, str]]:
    """Yields the headers in their order, names in lower case, values without outer spaces."""
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        yield name.strip().lower().decode("latin-1"), value.strip().decode("latin-1")


def values(head: bytes, name: str) -> list[str]:
    """Returns the items of the header `name` (in lower case), which commas part."""
    found = [value for own, value in headers(head) if own == name]
    return [item.strip() for value in found for item in value.split(",")]


def has_length(head: bytes) -> bool:
    """Whether the body's end is known without the connection's (RFC 9112, 6.3)."""
    if codings := values(head, "transfer-encoding"):
        return codings[-1].lower() == "chunked"
    return bool(values(head, "content-length"))


def is_persistent(head: bytes) -> bool:
    """Whether the server keeps the connection open after this answer (RFC 9112, 9.3)."""
    options = {option.lower() for option in values(head, "connection")}
    return "close" not in options and (head[:8] != b"HTTP/1.0" or "keep-alive" in options)


class NoValueError(Exception):
    """Nothing is where a JSON Pointer points to, or not what was asked for."""


def at(document: object, pointer: str) -> object:
    """Returns the value that a JSON Pointer (RFC 6901) names. Raises `NoValueError`."""
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
    """Returns the value at each pointer as a text that can stand in a request.

    Raises `NoValueError` where there is none, or one that is not a text on one line, a number or a
    truth value.
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


def has_all(expected: Mapping[str, object], parts: list[bytes]) -> bool:
    """Whether the body is JSON that has each value where its pointer says."""
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
