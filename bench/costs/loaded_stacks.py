"""Stacks that are up are loaded, one at a time, while their threads are looked at."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.costs.flame_graph import svg
from bench.costs.profiles import jvm_profile, python_profile
from bench.costs.table import GENERATOR, Window
from bench.costs.threads import ThreadMeter
from bench.errors import BenchError
from bench.generator.fleet import Generators
from bench.generator.spec import READY_TIMEOUT_S, Load, Phase
from bench.observe.gateway import scrape
from bench.run.settings import Settings
from machine.whole_files import write
from system.runtime import registry
from system.runtime.parts import GATEWAY, TASKMANAGER
from system.runtime.registry import Entry

SETTLE_S = 2.0
"""The load runs for so long before a window opens: all users send."""
POLL_S = 0.1
"""This much time passes between looks whether the users are prepared."""
SETTINGS = Settings()


def found(name: str) -> Entry:
    """`found` returns the stack of this name; it raises `BenchError` where none is up."""
    stack = registry.find(name)
    if stack is None:
        raise BenchError(f"no stack {name} is up: `python -m system up --name {name}` brings it up")
    return stack


@contextmanager
def load(stack: Entry, users: int, duration_s: float) -> Iterator[Generators]:
    """`load` has users play the shop's mix. It raises `BenchError`."""
    shop = Load("shop", SETTINGS.zipf, 1, SETTINGS.in_flight_max, 0)
    phase = Phase("costs", users, SETTLE_S, duration_s)
    with TemporaryDirectory() as folder:
        # Another seed each time, so that no users are asked to be made twice.
        seed = time.time_ns() % 2**31
        generators = Generators(stack.url, shop, phase, seed, Path(folder))
        try:
            deadline_s = time.monotonic() + READY_TIMEOUT_S
            while generators.unready():
                generators.check()
                generators.read()
                if time.monotonic() > deadline_s:
                    raise BenchError(f"the users of {stack.name} are not ready in time")
                time.sleep(POLL_S)
            generators.go()
            time.sleep(SETTLE_S)
            yield generators
        finally:
            generators.close()


def measured(stack: Entry, users: int, duration_s: float) -> Window:
    """`measured` loads the stack for a while; it raises `BenchError`."""
    with load(stack, users, duration_s) as generators:
        workers = max(1, len(stack.pids[GATEWAY]) - 1)  # several have a supervisor
        meter = ThreadMeter(stack.pids | {GENERATOR: [os.getpid(), *generators.pids()]})
        before, begin_s = scrape(stack.url, workers), time.monotonic()
        time.sleep(duration_s)
        spent, after = meter.spent(), scrape(stack.url, workers)
        generators.check()
        requests = after.responses - before.responses
        if not requests:
            raise BenchError(f"{stack.name} answered no request")
        return Window(requests, time.monotonic() - begin_s, spent)


def drawn(stack: Entry) -> tuple[int, int]:
    """`drawn` returns the process ids of the gateway and the TaskManager that flame graphs are of;
    it raises `BenchError` where the stack's Flink is not its own."""
    if TASKMANAGER not in stack.pids:
        raise BenchError(f"{stack.name} runs no TaskManager of its own: leave --flames out")
    # The last of a gateway's processes takes requests: several have a supervisor, which is first.
    return stack.pids[GATEWAY][-1], stack.pids[TASKMANAGER][0]


def draw(stack: Entry, users: int, duration_s: float, folder: Path) -> None:
    """`draw` leaves three flame graphs in the folder; it raises `BenchError`."""
    gateway, task_manager = drawn(stack)
    for name, title, pid, in_jvm in (
        ("gateway", "gateway", gateway, False),
        ("taskmanager-python", "TaskManager's Python", task_manager, True),
    ):
        with load(stack, users, duration_s):
            stacks = python_profile(pid, duration_s, in_jvm=in_jvm)
        write(folder / f"{name}.svg", svg(title, stacks).encode())
    with load(stack, users, duration_s):
        stacks = jvm_profile(task_manager, duration_s)
    write(folder / "taskmanager.svg", svg("TaskManager", stacks).encode())
