"""Requests go to an address: a URL of a server, read strictly."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from bench.errors import BenchError

PORTS = {"http": 80, "https": 443}
_UNSAFE = re.compile(r"[\x00-\x20\x7f-\U0010ffff]")


class AddressError(BenchError):
    """The URL can't be loaded; the message says why."""


class Address(NamedTuple):
    """Requests go to this address; `host` and `port` are what is connected to."""

    host: str
    port: int
    netloc: str
    """The Host header says this."""
    prefix: str
    """The prefix is the base path, which comes before the path of each request; it never ends with
    a slash."""
    tls: bool = False

    @classmethod
    def of(cls, url: str) -> "Address":
        """`of` reads ``http://HOST[:PORT][/BASE]`` or the same with https; HOST may be an IPv6
        address in brackets. It raises `AddressError`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as cause:
            raise AddressError(f"{url!r}: {str(cause).lower()}") from None
        if parts.username is not None or parts.password is not None:
            raise AddressError(
                "a URL with a user or a password: give an Authorization header in the workload "
                "file, with its value from a file or the environment"
            )
        if parts.scheme not in PORTS or not parts.hostname:
            raise AddressError(f"{url!r}: http://HOST:PORT or https://HOST:PORT")
        if "%" in parts.hostname:
            raise AddressError(f"{url!r}: no address with a zone (%): name the host")
        if port == 0:
            raise AddressError(f"{url!r}: no server has port 0")
        if parts.query or parts.fragment:
            raise AddressError(f"{url!r}: without ? and #, which belong to the path of a request")
        host = _ascii(parts.hostname, url)
        shown = f"[{host}]" if ":" in host else host
        netloc = shown if port is None else f"{shown}:{port}"
        prefix = in_target(parts.path).rstrip("/")
        return cls(host, port or PORTS[parts.scheme], netloc, prefix, parts.scheme == "https")


def _ascii(host: str, url: str) -> str:
    try:
        return host if ":" in host else host.encode("idna").decode()
    except UnicodeError:
        raise AddressError(f"{url!r}: {host!r} is no name of a host") from None


def in_target(text: str) -> str:
    """`in_target` returns `text` as it can stand in a request's target.

    Controls, spaces and what is not ASCII are percent-encoded as UTF-8; all else stays as it is, so
    what is percent-encoded already is not again.
    """
    return _UNSAFE.sub(lambda found: "".join(f"%{byte:02X}" for byte in found[0].encode()), text)
