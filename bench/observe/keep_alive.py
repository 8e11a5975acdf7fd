"""One connection to a server that is asked again and again: for what is sampled each second."""

from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

from bench.errors import BenchError

TIMEOUT_S = 1.0
"""A figure that comes later than the next sample is of no use."""
BODY_BYTES_MAX = 4 * 1024 * 1024
"""Of an answer to the sampler; more is none."""


class KeepAlive:
    """Not for use by several threads at once. No proxies, no redirects."""

    def __init__(self, url: str) -> None:
        """`url` is ``http://host:port``."""
        self._url = url.rstrip("/")
        address = urlsplit(self._url)
        self._connection = HTTPConnection(
            address.hostname or "", address.port or 80, timeout=TIMEOUT_S
        )

    def get(self, path: str) -> bytes:
        """The body of a 200. Raises `BenchError`; the next call then connects anew."""
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = response.read(BODY_BYTES_MAX + 1)
        except (OSError, HTTPException) as cause:
            self.close()
            raise BenchError(f"{self._url}{path} does not answer: {cause}") from None
        if len(body) > BODY_BYTES_MAX:
            self.close()
            raise BenchError(f"{self._url}{path} answers with more than {BODY_BYTES_MAX:,} bytes")
        if response.status != 200:
            raise BenchError(f"{self._url}{path} answers {response.status}")
        return body

    def close(self) -> None:
        self._connection.close()
