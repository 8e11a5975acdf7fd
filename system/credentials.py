"""What a client of the gateway shows: tokens from the environment, which are never recorded.

They are read where a request is made and sent to the shop only. They are part of no settings: so of
no run.json, no report, no command line and no log.
"""

from machine.secrets import read_secret
from system.wire import METRICS_TOKEN, SHOP_TOKEN


def shop_headers() -> dict[str, str]:
    """What a request to the shop carries; nothing without a token. Raises `SecretError`."""
    return _bearer(SHOP_TOKEN) or metrics_headers()


def metrics_headers() -> dict[str, str]:
    """What reads /metrics, and asks for traces. Raises `SecretError`."""
    return _bearer(METRICS_TOKEN)


def _bearer(name: str) -> dict[str, str]:
    token = read_secret(name)
    return {} if token is None else {"Authorization": f"Bearer {token}"}
