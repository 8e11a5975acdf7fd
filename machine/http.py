"""This client speaks HTTP to a server near by: blocking, without proxies, redirects or retries.

A proxy that the environment names can't reach this machine's loopback, and a retry would count
twice. What runs on an event loop has `bench.judge.client`.
"""

import json
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection, HTTPException
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit, urlunsplit

BODY_BYTES_MAX = 4 * 1024 * 1024
"""An answer has at most this many bytes; a larger one counts as none. Flink's and the gateways' own
are some KiB."""


class HttpError(Exception):
    """A server gave no answer, or one that is not a 2xx; the message names the URL."""

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        """The status is None where there was no answer."""


class KeepAlive:
    """A `KeepAlive` is one connection to a server that is asked again and again; several threads
    can't share it."""

    def __init__(
        self, url: str, timeout_s: float, headers: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """`url` is ``http://host:port``; a path of its own comes before that of each call, and
        `headers` go with it."""
        self._headers = dict(headers)
        self._url = url.rstrip("/")
        address = urlsplit(self._url)
        self._prefix = address.path
        self._connection = HTTPConnection(
            address.hostname or "", address.port or 80, timeout=timeout_s
        )

    def call(self, verb: str, path: str, sent: dict[str, Any] | None = None) -> bytes:
        """`call` returns the body of a 2xx; `sent` goes as JSON. On anything else it raises
        `HttpError`, and the next call connects anew."""
        try:
            if sent is None:
                self._connection.request(verb, self._prefix + path, headers=self._headers)
            else:
                headers = self._headers | {"Content-Type": "application/json"}
                self._connection.request(verb, self._prefix + path, json.dumps(sent), headers)
            response = self._connection.getresponse()
            body = response.read(BODY_BYTES_MAX + 1)
        except (OSError, HTTPException) as cause:
            self.close()
            raise HttpError(f"{self._url}{path} does not answer: {cause}") from None
        if len(body) > BODY_BYTES_MAX:
            self.close()
            raise HttpError(f"{self._url}{path} answers with more than {BODY_BYTES_MAX:,} bytes")
        if not 200 <= response.status < 300:
            raise HttpError(f"{self._url}{path} answers {response.status}", response.status)
        return body

    def close(self) -> None:
        self._connection.close()


def call(
    verb: str,
    url: str,
    timeout_s: float,
    sent: dict[str, Any] | None = None,
    headers: Mapping[str, str] = MappingProxyType({}),
) -> bytes:
    """`call` returns the body of a 2xx, over a connection of its own; `sent` goes as JSON. It
    raises `HttpError`."""
    address = urlsplit(url)
    target = urlunsplit(("", "", address.path or "/", address.query, ""))
    server = f"{address.scheme}://{address.netloc}"
    with closing(KeepAlive(server, timeout_s, headers)) as connection:
        return connection.call(verb, target, sent)


def call_json(
    verb: str, url: str, timeout_s: float, sent: dict[str, Any] | None = None
) -> dict[str, Any]:
    """`call_json` returns the JSON object of a 2xx; it raises `HttpError` for anything else."""
    body = call(verb, url, timeout_s, sent)
    try:
        answer: dict[str, Any] = json.loads(body)
    except ValueError as cause:
        raise HttpError(f"{url} answers what is not JSON: {cause}") from None
    return answer


def answers(url: str, timeout_s: float, headers: Mapping[str, str] = MappingProxyType({})) -> bool:
    """`answers` returns whether a GET is answered by a 2xx."""
    try:
        call("GET", url, timeout_s, headers=headers)
    except HttpError:
        return False
    return True
