"""Who ran on the same boot of a machine is known, and nobody else is taken for it."""

from pathlib import Path

import pytest

from system.flink_job import clocks
from system.flink_job.clocks import BOOT_MS, BOOTS, Clocks, place


def at(elapsed_ms: int) -> Clocks:
    return Clocks(lambda: 0, lambda: elapsed_ms)


def test_how_long_ago_it_was() -> None:
    begin_ms = 5 * BOOT_MS
    assert at(begin_ms + 1000).since_ms(begin_ms) == 1000
    assert at(begin_ms + 1000).since_ms(begin_ms + 1000) == 0


@pytest.mark.parametrize("other", [4 * BOOT_MS + 2000, 6 * BOOT_MS, 0, 5 * BOOT_MS + 1001])
def test_another_boot_tells_nothing(other: int) -> None:
    """Nor does a time to come: a neighbour that had run for longer."""
    assert at(5 * BOOT_MS + 1000).since_ms(other) is None


def test_a_boot_has_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert place() == place()
    assert 0 <= place() < BOOTS
    (tmp_path / "boot").write_text("0d6f")
    (tmp_path / "time").symlink_to("time:[1]")
    monkeypatch.setattr(clocks, "BOOT_ID", tmp_path / "boot")
    monkeypatch.setattr(clocks, "TIME_NAMESPACE", tmp_path / "time")
    first = place()
    (tmp_path / "time").unlink()
    (tmp_path / "time").symlink_to("time:[2]")
    assert place() != first, "a namespace has clocks of its own"


def test_where_linux_does_not_tell_no_two_processes_are_of_one_boot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clocks, "BOOT_ID", tmp_path / "missing")
    assert len({place() for _ in range(9)}) > 1


def test_the_real_clocks_run_on() -> None:
    own = Clocks()
    begin_ms = own.elapsed_ms()
    since_ms = own.since_ms(begin_ms)
    assert since_ms is not None
    assert since_ms >= 0
    assert own.elapsed_ms() < 2**63
