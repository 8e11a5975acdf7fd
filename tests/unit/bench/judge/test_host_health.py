"""The machine under a run, with made-up readings of the kernel's files."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.host_health import (
    FOREIGN_SHARE_MAX,
    RUNNABLE_PER_CORE_MAX,
    SAMPLES_MIN,
    STEAL_SHARE_MAX,
    Host,
    of_window,
    reasons,
)
from bench.observe.processes import GROUPS
from bench.records.series import Series

SECOND_NS = 1_000_000_000
CORES = st.integers(1, 256)


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
