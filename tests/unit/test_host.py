"""The machine under a run, with made-up readings of the kernel's files."""

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cpu import GROUPS
from bench.host import (
    FOREIGN_SHARE_MAX,
    RUNNABLE_PER_CORE_MAX,
    SAMPLES_MIN,
    STEAL_SHARE_MAX,
    TICK_HZ,
    Host,
    HostMeter,
    Times,
    of_window,
    parse_pressure,
    parse_runnable,
    parse_stat,
    reasons,
)
from bench.series import Series

SECOND_NS = 1_000_000_000
STAT = "cpu  {} 0 20 5000 7 1 2 {} 3 0\ncpu0 1 2 3 4 5 6 7 8 9 10\nintr 5\n"
PRESSURE = "some avg10=1.00 avg60=0.50 avg300=0.25 total={}\nfull avg10=0.00 total=7\n"
CORES = st.integers(1, 256)


def proc(folder: Path, user: int, steal: int, waited_us: int, running: int) -> None:
    (folder / "pressure").mkdir(exist_ok=True)
    (folder / "stat").write_text(STAT.format(user, steal))
    (folder / "pressure" / "cpu").write_text(PRESSURE.format(waited_us))
    (folder / "loadavg").write_text(f"0.41 0.37 0.70 {running}/426 15538\n")


@given(st.lists(st.integers(0, 10**12), min_size=8, max_size=10))
def test_busy_is_all_but_idle_waiting_and_steal(fields: list[int]) -> None:
    times = parse_stat(f"cpu  {' '.join(map(str, fields))}\ncpu0 1\n")
    idle, iowait, steal = fields[3], fields[4], fields[7]
    assert times.steal_s == steal / TICK_HZ
    assert times.busy_s * TICK_HZ == pytest.approx(sum(fields[:8]) - idle - iowait - steal)


def test_what_the_kernel_writes() -> None:
    assert parse_stat(STAT.format(100, 50)) == Times(123 / TICK_HZ, 50 / TICK_HZ)
    assert parse_pressure(PRESSURE.format(2_500_000)) == 2.5
    assert parse_runnable("0.41 0.37 0.70 12/426 15538\n") == 12
    if Path("/proc/stat").exists():  # the real one, where there is one
        assert parse_stat(Path("/proc/stat").read_text()).busy_s > 0


@pytest.mark.parametrize("parse", [parse_stat, parse_pressure, parse_runnable])
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
    monkeypatch.setattr("bench.host.time", SimpleNamespace(monotonic_ns=clock_ns))
    meter = HostMeter(tmp_path, cores=2)
    proc(tmp_path, user=1000, steal=0, waited_us=0, running=9)
    assert meter.read() == {}
    for running in (1, 3, 5, 13):
        proc(tmp_path, user=1000 + 3 * TICK_HZ, steal=TICK_HZ, waited_us=500_000, running=running)
        meter.tick()
    # Of 1, 3, 5, 13 one is the reader, and two have a core.
    assert meter.read() == {"busy": 1.5, "steal": 0.5, "pressure": 0.25, "runnable": 3.0}


def test_a_meter_leaves_out_what_the_kernel_does_not_tell(tmp_path: Path) -> None:
    meter = HostMeter(tmp_path)
    (tmp_path / "stat").write_text("no cpu here\n")
    meter.tick()
    assert meter.read() == meter.read() == {}


def test_a_quiet_machine_voids_nothing() -> None:
    assert reasons(Host(2, busy=1.9, steal=0.0, runnable=3.0, own=1.85)) == []
    assert reasons(Host(2, None, None, None, None)) == []


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (Host(2, 1.0, 0.2, 0.0, 1.0), "the hypervisor took 10%"),
        (Host(2, 1.5, 0.0, 0.0, 0.5), "other processes used 50%"),
        (Host(2, 1.0, 0.0, 20.0, 1.0), "20 processes waited for 2 cores"),
    ],
)
def test_each_disturbance_is_told(host: Host, told: str) -> None:
    (line,) = reasons(host)
    assert told in line
    assert "\n" not in line


@given(CORES, st.floats(0, 1), st.floats(0, 1), st.floats(0, 100), st.floats(0, 1))
def test_a_reason_for_each_limit_that_is_passed(
    cores: int, busy: float, steal: float, waiting: float, own: float
) -> None:
    """The shares count, not the number of cores."""
    host = Host(cores, busy * cores, steal * cores, waiting * cores, own * cores)
    passed = (
        host.steal > STEAL_SHARE_MAX * cores,
        host.busy - host.own > FOREIGN_SHARE_MAX * cores,
        host.runnable > RUNNABLE_PER_CORE_MAX * cores,
    )
    assert len(reasons(host)) == sum(passed)


@given(CORES, st.floats(0, 1), st.floats(0, 1))
def test_more_steal_never_makes_a_run_better(cores: int, less: float, more: float) -> None:
    less, more = sorted((less, more))
    judged = [len(reasons(Host(cores, None, share * cores, None, None))) for share in (less, more)]
    assert judged == sorted(judged)


def test_without_all_parts_of_a_run_nobody_is_foreign() -> None:
    assert reasons(Host(2, busy=2.0, steal=0.0, runnable=0.0, own=None)) == []


def sampled(seconds: int, **values: float) -> Series:
    names = {name.replace("_", ".", 1): value for name, value in values.items()}
    at_ns = [second * SECOND_NS for second in range(seconds + 1)]
    return Series(at_ns, {name: [None] + [value] * seconds for name, value in names.items()}, [])


def test_a_window_of_a_series() -> None:
    used = {f"cpu_{group}": 0.25 for group in set(GROUPS.values())}
    series = sampled(6, host_busy=1.5, host_steal=0.1, host_runnable=2.0, **used)
    host = of_window(series, SECOND_NS, 5 * SECOND_NS, cores=2)
    assert host == Host(2, 1.5, pytest.approx(0.1), 2.0, 0.25 * len(used))
    del series.series["cpu.kafka"]
    assert of_window(series, SECOND_NS, 5 * SECOND_NS, cores=2).own is None


def test_a_window_that_is_too_short_says_nothing() -> None:
    series = sampled(10, host_busy=2.0, host_steal=2.0)
    closed_ns = SAMPLES_MIN * SECOND_NS
    assert reasons(of_window(series, 0, closed_ns, os.cpu_count() or 1))
    assert reasons(of_window(series, SECOND_NS, closed_ns, os.cpu_count() or 1)) == []
