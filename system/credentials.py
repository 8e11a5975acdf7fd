"""A client shows the gateway tokens from the environment, which are never recorded.

They are read where a request is made and sent to the shop only. They are part of no settings: so of
no run.json, no report, no command line and no log.
"""

from machine.secrets import read_secret
from system.wire import METRICS_TOKEN, SHOP_TOKEN


def shop_headers() -> dict[str, str]:
    """A request to the shop carries these headers; there are none without a token. It raises
    `SecretError`."""
    return _bearer(SHOP_TOKEN) or metrics_headers()


def metrics_headers() -> dict[str, str]:
    """A request that reads /metrics or asks for traces carries these headers. It raises
    `SecretError`."""
    return _bearer(METRICS_TOKEN)


def _bearer(name: str) -> dict[str, str]:
    token = read_secret(name)
    return {} if token is None else {"Authorization": f"Bearer {token}"}
