"""Work on an event loop, from wherever it is asked for."""

import asyncio
import threading

import pytest

from bench.errors import BenchError
from bench.judge.client import finish


async def place() -> int:
    await asyncio.sleep(0)
    return threading.get_ident()


async def failing() -> None:
    await asyncio.sleep(0)
    raise BenchError("no answer")


def test_a_thread_without_a_loop_has_one_for_the_time() -> None:
    assert finish(place()) == threading.get_ident()


async def test_a_loop_that_runs_is_not_disturbed() -> None:
    """A notebook has one: a run of the shop ended there with a traceback, after its load."""
    assert finish(place()) != threading.get_ident()
    with pytest.raises(BenchError, match="no answer"):
        finish(failing())
