"""How faults are put in: again for a while where one can't be yet, and crowds beside all else."""

import os
import threading
from pathlib import Path
from types import SimpleNamespace
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


def test_a_crowd_yields_and_nothing_else_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux: each thread has a priority of its own."""

    def nice() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    monkeypatch.setattr(injection, "let_in", lambda *asked: Bite(f"{nice()} {asked}"))
    up: Any = SimpleNamespace(url="http://gateway")
    before, fault = nice(), FAULTS["idle-clients"]
    found = injection.INJECTORS["crowd"](Scene(fault, up, 7, threading.Event()))
    asked = (up.url, fault.what, fault.duration_s, 7)
    assert found.proof == f"{max(before, injection.CROWD_NICE)} {asked}"
    assert nice() == before
