"""What all tests share. `support.groups` says which run in turns, in one process.

`nox -s tests` runs two groups at a time (pytest-xdist); plain pytest all in turns.
"""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator

import hypothesis
import pytest
from support.groups import Groups
from xdist.remote import Producer

from system.runtime.options import StackOptions
from system.runtime.stack import Stack

WAIT_S = 300.0
"""Ends a test that hangs; nothing that is waited for comes near it."""

POLL_S = 0.05


# In a git hook these name the repository that it is for, and tests make repositories of their own.
for name in [name for name in os.environ if name.startswith("GIT_")]:
    del os.environ[name]

# A stack of a test lives for seconds, in which the optimising compiler costs more than it saves.
os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"

# A shell has its background jobs ignore Ctrl-C, and what a test starts would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# Who ends a run otherwise leaves nothing behind either.
signal.signal(signal.SIGTERM, signal.default_int_handler)

# A busy machine takes its time, and a test that waits for it has not failed.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> Groups:
    return Groups(config, log)


def pytest_collection_finish() -> None:
    gc.freeze()  # what was found lives until the end, and is not looked at again each time


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """The one stack of the run. Who breaks a part of it mends it, and leaves it ready.

    Not for tests that need other options, that end a stack or that are about its start.
    """
    with Stack(StackOptions(), progress=print) as stack:
        yield stack


@pytest.fixture(scope="session")
def worktrees() -> None:
    """The work trees of this repository: who looks that none is left has them alone."""


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
