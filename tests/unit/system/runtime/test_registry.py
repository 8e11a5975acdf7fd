"""The stacks of this machine by their names; a process that is killed leaves its files."""

import json
import os
import signal
import threading
from dataclasses import asdict
from pathlib import Path

import pytest

from machine.cache import cache_dir
from machine.errors import StackError
from system.runtime import registry
from system.runtime.registry import Entry

ENTRY = Entry("one", 1, "http://here:1", ["http://here:1"], "here:2", "here:3", "/data", {})


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path))


def test_a_stack_is_found_while_its_name_is_reserved() -> None:
    with registry.reserve("one") as file:
        assert registry.find("one") is None
        registry.write(file, ENTRY)
        assert registry.find("one") == ENTRY
    assert registry.find("one") is None


def test_a_stack_that_is_not_up_yet_is_starting() -> None:
    assert registry.starting("one") is None
    with registry.reserve("one") as file:
        assert registry.starting("one") == os.getpid()
        registry.write(file, ENTRY)
        assert registry.starting("one") is None
    (cache_dir() / "up" / "one.pid").write_text("17")  # killed while it started
    assert registry.starting("one") is None


def test_who_ends_a_stack_does_not_wait_for_the_next_of_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ended: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda *told: ended.append(told))
    with registry.reserve("one"):
        registry.end("one", 17)
    assert ended == [(17, signal.SIGTERM)]


def test_a_stack_of_another_version_is_found_as_far_as_it_tells() -> None:
    with registry.reserve("one") as file:
        told = asdict(ENTRY) | {"new": 1}
        del told["urls"]
        file.write_text(json.dumps(told))
        assert registry.find("one") == ENTRY
        del told["pids"]
        file.write_text(json.dumps(told))
        with pytest.raises(StackError, match="of another version, and does not tell its pids"):
            registry.find("one")


def test_a_name_is_reserved_once_and_free_again() -> None:
    with registry.reserve("one"):
        with registry.reserve("two"):
            pass
        again = registry.reserve("one")
        with pytest.raises(StackError, match="a stack named one is running"):
            again.__enter__()
    with registry.reserve("one"):
        pass


def test_what_a_stack_that_failed_or_was_killed_left_is_removed_by_the_next() -> None:
    folder = cache_dir() / "up"
    failing = registry.reserve("failed")
    registry.write(failing.__enter__(), ENTRY)
    failing.__exit__(StackError, StackError("it failed"), None)
    assert registry.find("failed") is None
    for name in ("killed", "killed-too"):
        (folder / f"{name}.lock").touch()
        registry.write(folder / f"{name}.json", ENTRY)
    for half_written in ("killed.17", "killed.asked.1a", "one.asked", "one.answered.1a"):
        (folder / half_written).touch()
    with registry.reserve("one") as file:
        registry.write(file, ENTRY)
        with registry.reserve("two"):
            names = {"one.lock", "one.json", "one.pid", "two.lock", "two.pid"}
            assert {path.name for path in folder.iterdir()} == names


def test_who_looks_neither_finds_a_killed_stack_nor_keeps_its_name_from_the_next() -> None:
    with registry.reserve("one") as file:
        pass
    stopping = threading.Event()

    def look() -> None:
        while not stopping.is_set():
            found.append(registry.find("one"))

    found: list[Entry | None] = []
    looking = threading.Thread(target=look)
    looking.start()
    try:
        for _ in range(100):
            registry.write(file, ENTRY)  # as one that is killed leaves it
            assert registry.find("one") is None
            with registry.reserve("one"):
                pass
    finally:
        stopping.set()
        looking.join()
    assert found
    assert [entry for entry in found if entry is not None] == []
