"""The heads of JSON answers are made once a second, and shared by all that are sent in it."""

import time
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import SERVER_SOFTWARE

JSON = {"Content-Type": "application/json"}


class Heads:
    """A status has a head, as aiohttp would write it. `headers` leads from a status to the headers
    of its answers, where they are more than `JSON`."""

    def __init__(self, headers: Mapping[int, Mapping[str, str]]) -> None:
        self._headers = headers
        self._made: dict[tuple[int, bool], bytes] = {}
        self._made_s = 0
        """They bear this time, in s since 1970."""

    def head(self, status: int, *, closes: bool) -> bytes:
        """`head` returns what comes before the length of a body, of a connection that `closes` or
        stays."""
        now_s = int(time.time())
        if now_s != self._made_s:
            self._made_s = now_s
            self._made.clear()
        head = self._made.get((status, closes))
        if head is None:
            fields = {
                **self._headers.get(status, JSON),
                "Date": rfc822_formatted_time(),
                "Server": SERVER_SOFTWARE,
                **({"Connection": "close"} if closes else {}),
            }
            lines = (f"{name}: {value}\r\n" for name, value in fields.items())
            head = (
                f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{''.join(lines)}Content-Length: "
            ).encode()
            self._made[status, closes] = head
        return head
