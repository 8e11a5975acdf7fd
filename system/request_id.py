"""Request ids certify themselves, and the ids of new entities follow from them.

    kf_<minute>_<16 random characters>_<16 characters of the request's fingerprint>

The minute is the one in which the id was made, since 1970, as 7 hexadecimal digits: services refuse
an id that is older than their memory reaches back. The fingerprint ties an id to one request, so a
gateway knows without any memory whether an id of this form is sent again with the same request. It
guards against mistakes, and is not a secret.
"""

import os
import time
from base64 import urlsafe_b64encode
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import orjson

from system.wire import MINTED_PATTERN

DIGEST_BYTES = 12  # 96 bits are 16 characters of base64
"""So many bytes are 96 bits of hash or randomness: no two alike in any run."""
_BATCH = 256


def fingerprint(service: str, method: str, params: dict[str, Any]) -> str:
    """The fingerprint is 16 characters that stand for the request; `params` are in the order of the
    route."""
    return _digest(b"request", orjson.dumps((service, method, params)))


def entity_id(service: str, request_id: str) -> str:
    """`entity_id` returns the id of what the request creates: sent again, the request names the
    same entity."""
    return _digest(b"entity", f"{service}:{request_id}".encode())


def is_minted(request_id: str) -> bool:
    """`is_minted` returns whether `request_id` has the form of an id made here."""
    return MINTED_PATTERN.fullmatch(request_id) is not None


def certifies(request_id: str, print_: str) -> bool:
    """`certifies` returns whether an id made here belongs to the request with this fingerprint."""
    return request_id[-16:] == print_


class Mint:
    """The mint makes request ids; it asks the kernel for randomness once for `_BATCH` of them.

    `now_s` is the wall clock, in seconds since 1970.
    """

    def __init__(self, now_s: Callable[[], float] = time.time) -> None:
        self._now_s = now_s
        self._random: list[str] = []

    def __call__(self, print_: str) -> str:
        if not self._random:
            text = urlsafe_b64encode(os.urandom(_BATCH * DIGEST_BYTES)).decode()
            self._random = [text[at : at + 16] for at in range(0, len(text), 16)]
        return f"kf_{int(self._now_s() // 60):07x}_{self._random.pop()}_{print_}"


def _digest(person: bytes, data: bytes) -> str:
    return urlsafe_b64encode(
        blake2b(data, digest_size=DIGEST_BYTES, person=person).digest()
    ).decode()
