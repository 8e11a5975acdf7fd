"""The head of an HTTP answer, read from its bytes: for the few who ask for more than the status."""

from collections.abc import Iterator


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
    """Returns what the header `name` (in lower case) says: one text for each comma-less item."""
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
