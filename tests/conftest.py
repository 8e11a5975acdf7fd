"""One stack for the whole run; tests that break a part of it mend it."""

from collections.abc import Iterator

import pytest

from system.runtime.stack import Stack, StackOptions


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with Stack(StackOptions(), progress=print) as stack:
        yield stack
