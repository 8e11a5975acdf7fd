"""One stack for the whole run; tests that break a part of it mend it."""

import threading
import time
from collections.abc import Callable, Iterator

import pytest

from system.runtime.stack import Stack, StackOptions

WAIT_S = 300.0
"""Ends a test that hangs; nothing that is waited for comes near it."""

POLL_S = 0.05


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack(StackOptions(), progress=print) as stack:
        yield stack


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], object]], None]:
    """``until(condition)`` returns when the condition holds, and fails when it never does."""

    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + WAIT_S
        never = threading.Event()
        while not condition():
            assert time.monotonic() < deadline
            never.wait(POLL_S)

    return until
