"""Request ids that certify themselves, and the ids of new entities that follow from them.

    kf_<16 random characters>_<16 characters of the request's fingerprint>

The fingerprint ties an id to one request, so a gateway knows without any memory whether an id of
this form is sent again with the same request. It guards against mistakes, and is not a secret.
"""

import os
import re
from base64 import urlsafe_b64encode
from hashlib import blake2b
from typing import Any

import orjson

DIGEST_BYTES = 12  # 96 bits are 16 characters of base64
"""96 bits of hash or randomness: no two alike in any run."""
_FORM = re.compile(r"kf_[A-Za-z0-9_-]{16}_[A-Za-z0-9_-]{16}")
_BATCH = 256


def fingerprint(service: str, method: str, params: dict[str, Any]) -> str:
    """16 characters that stand for the request; `params` in the order of the route."""
    return _digest(b"request", orjson.dumps((service, method, params)))


def entity_id(service: str, request_id: str) -> str:
    """The id of what the request creates: sent again, the request names the same entity."""
    return _digest(b"entity", f"{service}:{request_id}".encode())


def is_minted(request_id: str) -> bool:
    """Whether `request_id` has the form of an id made here."""
    return _FORM.fullmatch(request_id) is not None


def certifies(request_id: str, print_: str) -> bool:
    """Whether an id made here belongs to the request with this fingerprint."""
    return request_id[-16:] == print_


class Mint:
    """Makes request ids; asks the kernel for randomness once for `_BATCH` of them."""

    def __init__(self) -> None:
        self._random: list[str] = []

    def __call__(self, print_: str) -> str:
        if not self._random:
            text = urlsafe_b64encode(os.urandom(_BATCH * DIGEST_BYTES)).decode()
            self._random = [text[at : at + 16] for at in range(0, len(text), 16)]
        return f"kf_{self._random.pop()}_{print_}"


def _digest(person: bytes, data: bytes) -> str:
    return urlsafe_b64encode(
        blake2b(data, digest_size=DIGEST_BYTES, person=person).digest()
    ).decode()
