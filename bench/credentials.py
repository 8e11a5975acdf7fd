"""How the bench proves to the shop's gateway who it is: tokens that are never recorded.

They are read from the environment where a request is made, sent to the shop only, and are part of
no settings: so of no run.json, no report, no command line and no log.
"""

import os

from bench.errors import BenchError
from machine.secrets import SecretError, read_secret
from system.wire import METRICS_TOKEN, SHOP_TOKEN


def shop_headers() -> dict[str, str]:
    """What a request to the shop carries; nothing without a token. Raises `BenchError`."""
    return _bearer(SHOP_TOKEN) or metrics_headers()


def metrics_headers() -> dict[str, str]:
    """What reads /metrics, and asks for traces. Raises `BenchError`."""
    return _bearer(METRICS_TOKEN)


def _bearer(name: str) -> dict[str, str]:
    try:
        token = read_secret(name, os.environ)
    except SecretError as cause:
        raise BenchError(str(cause)) from None
    return {} if token is None else {"Authorization": f"Bearer {token}"}
