"""HTTP to this machine, without a third-party client: `system.runtime` runs in any process."""

import json
import urllib.request
from typing import Any

# No proxy: one that the environment names can't reach this machine's loopback.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class HttpError(Exception):
    """No answer, or one that is not a 2xx."""


def call(verb: str, url: str, timeout_s: float) -> bytes:
    """The body of a 2xx answer; raises `HttpError` for anything else."""
    try:
        with _OPENER.open(urllib.request.Request(url, method=verb), timeout=timeout_s) as response:
            body: bytes = response.read()
            return body
    except OSError as cause:
        raise HttpError(f"{verb} {url}: {cause}") from None


def call_json(verb: str, url: str, timeout_s: float) -> dict[str, Any]:
    """A JSON object; raises `HttpError`."""
    body = call(verb, url, timeout_s)
    try:
        answer: dict[str, Any] = json.loads(body)
    except ValueError as cause:
        raise HttpError(f"{verb} {url}: {cause}") from None
    return answer


def answers(url: str, timeout_s: float) -> bool:
    """Whether a GET is answered by a 2xx."""
    try:
        call("GET", url, timeout_s)
    except HttpError:
        return False
    return True
