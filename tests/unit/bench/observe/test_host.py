"""The kernel's figures of the machine, with made-up readings of its files."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.observe.host import (
    TICK_HZ,
    HostMeter,
    Times,
    parse_runnable,
    parse_stalled,
    parse_stat,
)

SECOND_NS = 1_000_000_000
PRESSURE = (
    "some avg10=0.08 avg60=0.09 avg300=0.39 total=9187509835\n"
    "full avg10=0.00 avg60=0.00 avg300=0.27 total={}\n"
)
STAT = "cpu  {} 0 20 5000 7 1 2 {} 3 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n"


def proc(folder: Path, user: int, steal: int, running: int, stalled_us: int = 0) -> None:
    (folder / "pressure").mkdir(exist_ok=True)
    (folder / "pressure" / "io").write_text(PRESSURE.format(stalled_us))
    (folder / "stat").write_text(STAT.format(user, steal))
    (folder / "loadavg").write_text(f"0.41 0.37 0.70 {running}/426 15538\n")


@given(st.lists(st.integers(0, 10**12), min_size=8, max_size=10))
def test_busy_is_all_but_idle_waiting_and_steal(fields: list[int]) -> None:
    times = parse_stat(f"cpu  {' '.join(map(str, fields))}\ncpu0 1\n")
    idle, iowait, steal = fields[3], fields[4], fields[7]
    assert times.steal_s == steal / TICK_HZ
    assert times.busy_s * TICK_HZ == pytest.approx(sum(fields[:8]) - idle - iowait - steal)


def test_what_the_kernel_writes() -> None:
    assert parse_stat(STAT.format(100, 50)) == Times(123 / TICK_HZ, 50 / TICK_HZ)
    assert parse_runnable("0.41 0.37 0.70 12/426 15538\n") == 12
    assert parse_stalled(PRESSURE.format(1_500_000)) == 1.5
    if Path("/proc/stat").exists():  # the real one, where there is one
        assert parse_stat(Path("/proc/stat").read_text()).busy_s > 0


@pytest.mark.parametrize("parse", [parse_stat, parse_runnable, parse_stalled])
@given(text=st.text())
def test_other_text_is_refused_in_one_way(parse, text: str) -> None:
    """By the errors for which a meter leaves a figure out."""
    try:
        parse(text)
    except (ValueError, IndexError, KeyError):
        pass
    else:
        assert text.split()


def test_a_meter_gives_the_means_since_the_last_read(tmp_path: Path, monkeypatch) -> None:
    clock_ns = iter([0, 2 * SECOND_NS]).__next__
    monkeypatch.setattr("bench.observe.host.time", SimpleNamespace(monotonic_ns=clock_ns))
    meter = HostMeter(tmp_path, cores=2)
    proc(tmp_path, user=1000, steal=0, running=9)
    assert meter.read() == {}
    for running in (1, 3, 5, 13):
        proc(tmp_path, 1000 + 3 * TICK_HZ, TICK_HZ, running, stalled_us=500_000)
        meter.tick()
    # Of 1, 3, 5, 13 one is the reader, and two have a core.
    assert meter.read() == {"busy": 1.5, "steal": 0.5, "runnable": 3.0, "io_stalled": 0.25}


def test_a_meter_leaves_out_what_the_kernel_does_not_tell(tmp_path: Path) -> None:
    meter = HostMeter(tmp_path)
    (tmp_path / "stat").write_text("no cpu here\n")
    meter.tick()
    assert meter.read() == meter.read() == {}
