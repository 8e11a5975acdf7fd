"""A fault that can't be put in at once: tried again for a while, and told where it never can."""

import threading
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError
from bench.faults import injection
from bench.faults.fault import FAULTS, Bite
from bench.faults.injection import Injection
from bench.faults.up import Scene
from machine.errors import StackError


def put_in(causes: list[Exception]) -> tuple[Bite, int]:
    """What became of a fault that these errors come before, and how often it was tried."""
    left, tries, nothing = list(causes), [], Any

    def injector(scene: Scene) -> Bite:
        tries.append(scene)
        if left:
            raise left.pop(0)
        return Bite("it bit")

    putting: Any = Injection([], nothing, Path(), 0.0, nothing, print)
    putting._injectors = {"poison": injector}
    up: Any = None
    return putting._inject(Scene(FAULTS["poison"], up, 1, threading.Event())), len(tries)


def test_kafka_that_is_not_back_yet_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(injection, "POLL_S", 0.0)
    assert put_in([BenchError("no answer")] * 2) == (Bite("it bit"), 3)


@pytest.mark.parametrize(
    ("cause", "limit_s"), [(BenchError("no answer"), -1.0), (StackError("no answer"), 60.0)]
)
def test_what_can_not_be_put_in_is_told(
    monkeypatch: pytest.MonkeyPatch, cause: Exception, limit_s: float
) -> None:
    monkeypatch.setattr(injection, "PUT_IN_S", limit_s)
    told = Bite("", broken=("it could not be put in: no answer",))
    assert put_in([cause]) == (told, 1)
