"""Bearer tokens say who may use the gateway: one for the shop, one for whoever operates it.

    KAFLINKSHOP_TOKEN           the shop's routes
    KAFLINKSHOP_METRICS_TOKEN   /metrics and X-Trace, and the shop's routes as well

Each may be given in a file, which ``<name>_FILE`` names. A token that is not set guards nothing;
``/`` and ``/health`` are open to all. RFC 6750, "Bearer Token Usage".
"""

import re
from collections.abc import Mapping
from hmac import compare_digest
from typing import NamedTuple, Self

from machine.secrets import SecretError, read_secret
from system.gateway.errors import StartError
from system.wire import METRICS_TOKEN, SHOP_TOKEN

_FORM = re.compile(r"[A-Za-z0-9._~+/-]+=*")


class Tokens(NamedTuple):
    """These values of Authorization are allowed; one is None where anybody is."""

    shop: bytes | None = None
    metrics: bytes | None = None

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Self:
        """`read` takes the tokens from the environment; it raises `StartError`."""
        return cls(_read(SHOP_TOKEN, environment), _read(METRICS_TOKEN, environment))

    def allow_shop(self, authorization: str | None) -> bool:
        """`allow_shop` returns whether this Authorization header may use the shop's routes."""
        if self.shop is None:
            return True
        given = _bytes(authorization)
        # Both are compared: the time that it takes must not tell which one was nearer.
        by_metrics = compare_digest(given, self.metrics or self.shop)
        return compare_digest(given, self.shop) or by_metrics

    def allow_metrics(self, authorization: str | None) -> bool:
        """`allow_metrics` returns whether this Authorization header may read /metrics and ask for
        traces."""
        return self.metrics is None or compare_digest(_bytes(authorization), self.metrics)


def _read(name: str, environment: Mapping[str, str]) -> bytes | None:
    for variable in (name, f"{name}_FILE"):
        if environment.get(variable) == "":  # a command that failed, or a variable of Compose's
            raise StartError(f"{variable} is set, and empty: unset it, or give it a token")
    try:
        token = read_secret(name, environment)
    except SecretError as cause:
        raise StartError(str(cause)) from None
    if token is not None and not _FORM.fullmatch(token):
        raise StartError(f"{name} is no token: letters, digits and ._~+/- with = at its end")
    return None if token is None else f"Bearer {token}".encode()


def _bytes(authorization: str | None) -> bytes:
    """The scheme counts in any case."""
    scheme, _, token = (authorization or "").partition(" ")
    return f"{scheme.capitalize()} {token.strip()}".encode("utf-8", "surrogateescape")
