"""`rescale` asks `up` by files, one at a time, and is told what became of it."""

import errno
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from machine.errors import StackError
from system.runtime import registry, rescaling
from system.runtime.options import RescaleError

ENTRY = registry.Entry("shop", 1, "http://a:1", ["http://a:1"], "a:2", "a:3", "/data", {})


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The entry of a stack that is up."""
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path))
    with registry.reserve("shop") as file:
        registry.write(file, ENTRY)
        yield file


def answered(rescale: rescaling.Rescale, until: Callable[..., None]) -> list[object]:
    """What `ask` returns or raises while `rescale` is served, and what `serve` returned."""
    told: list[object] = []

    def ask() -> None:
        try:
            told.append(rescaling.ask("shop", 2, None))
        except StackError as cause:
            told.append(str(cause))

    asking = threading.Thread(target=ask)
    asking.start()
    until(lambda: told or registry.beside("shop", registry.ASKED).exists())
    served = rescaling.serve("shop", rescale)
    asking.join()
    return [*told, served]


def test_who_asks_is_told_the_pause(until) -> None:
    wanted = []

    def rescale(*each: int | None) -> float:
        wanted.append(each)
        return 1.5

    assert not rescaling.serve("shop", rescale)
    for _ in range(2):
        assert answered(rescale, until) == [1.5, True]
    assert wanted == [(2, None)] * 2


def test_who_asks_is_told_why_not(until) -> None:
    def refuse(*_: int | None) -> float:
        raise RescaleError("too many")

    assert answered(refuse, until) == ["too many", True]


def test_an_answer_to_another_is_none(until) -> None:
    registry.beside("shop", registry.ANSWERED).write_text('{"id": "other", "paused_s": 9.0}')
    assert answered(lambda *_: 1.0, until) == [1.0, True]


def test_an_answer_before_the_asker_has_tidied_up(monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def served_at_once(*files: Path) -> None:
        link(*files)
        assert rescaling.serve("shop", lambda *_: 2.5)

    monkeypatch.setattr(os, "link", served_at_once)
    assert rescaling.ask("shop", 2, None) == 2.5
    assert sorted(file.name for file in registry.beside("shop", "").parent.iterdir()) == [
        "shop.json",
        "shop.lock",
        "shop.pid",
    ]


def test_one_asks_at_a_time() -> None:
    registry.beside("shop", registry.ASKED).write_text("{}")
    with pytest.raises(StackError, match="the stack shop is being rescaled already"):
        rescaling.ask("shop", 2, 2)


def test_a_stack_whose_next_one_begins_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def cleared_before(whole: Path, asked: Path) -> None:
        whole.unlink()
        link(whole, asked)

    monkeypatch.setattr(os, "link", cleared_before)
    with pytest.raises(StackError, match="the stack shop has ended meanwhile"):
        rescaling.ask("shop", 2, 2)


def test_a_stack_that_ends_meanwhile_does_not_answer(file: Path) -> None:
    file.unlink()
    with pytest.raises(StackError, match="the stack shop has ended meanwhile"):
        rescaling.ask("shop", 2, 2)


def test_an_answer_that_can_not_be_written_ends_no_stack(
    monkeypatch: pytest.MonkeyPatch, until
) -> None:
    """The disk is full: the stack was rescaled all the same, and is not once more."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(rescaling, "write", full)
    told, served = answered(lambda *_: 1.0, until)
    assert served is True
    assert str(told).startswith("the stack shop could not write how the rescaling ended")
    assert not rescaling.serve("shop", lambda *_: 1.0)
