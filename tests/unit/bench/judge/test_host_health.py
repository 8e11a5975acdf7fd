"""The machine under a run, with made-up readings of the kernel's files."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.checks import doubts, worst
from bench.judge.host_health import (
    FOREIGN_SHARE_MAX,
    RUNNABLE_PER_CORE_MAX,
    STEAL_SHARE_MAX,
    Host,
    judge,
    mean_of,
    of_window,
)
from bench.observe.processes import GROUPS
from bench.records.series import Series

SECOND_NS = 1_000_000_000
CORES = st.integers(1, 256)
ALL_QUIET = {
    "host_busy": 1.0,
    "host_steal": 0.0,
    "host_runnable": 0.0,
    **{f"cpu_{group}": 1 / len(set(GROUPS.values())) for group in set(GROUPS.values())},
}


def reasons(host: Host) -> list[str]:
    return doubts(judge(host))


def state(host: Host) -> str:
    return worst(check.state for check in judge(host))


def test_a_quiet_machine_voids_nothing() -> None:
    assert state(Host(2, busy=1.9, steal=0.0, runnable=3.0, own=1.85)) == "holds"


def test_what_is_not_known_never_passes() -> None:
    assert state(Host(2, None, None, None, None)) == "unknown"
    assert len(reasons(Host(2, None, None, None, None))) == 3
    assert state(Host(2, busy=1.0, steal=None, runnable=0.0, own=1.0)) == "unknown"
    assert state(Host(2, busy=1.0, steal=0.0, runnable=None, own=1.0)) == "unknown"
    assert state(Host(2, busy=1.0, steal=0.0, runnable=0.0, own=None)) == "unknown"


def test_a_kernel_that_does_not_tell_of_disks_is_not_asked() -> None:
    assert state(Host(2, 1.0, 0.0, 0.0, 1.0)) == "holds"
    assert state(Host(2, 1.0, 0.0, 0.0, 1.0, io_stalled=None, tells_io=True)) == "unknown"
    told = of_window(sampled(6, **ALL_QUIET, host_io_stalled=0.2), 0, 6 * SECOND_NS, cores=2)
    assert (told.io_stalled, told.tells_io, state(told)) == (pytest.approx(0.2), True, "broken")
    assert not of_window(sampled(6, **ALL_QUIET), 0, 6 * SECOND_NS, cores=2).tells_io


def test_nobody_is_foreign_beside_a_target_whose_processes_have_no_names() -> None:
    assert state(Host(2, 2.0, 0.0, 0.0, own=None, owns_all=False)) == "holds"


@pytest.mark.parametrize(
    ("host", "told"),
    [
        (Host(2, 1.0, 0.2, 0.0, 1.0), "the hypervisor took 10%"),
        (Host(2, 1.5, 0.0, 0.0, 0.5), "other processes used 50%"),
        (Host(2, 1.0, 0.0, 20.0, 1.0), "20 processes waited for 2 cores"),
        (Host(2, 1.0, 0.0, 0.0, 1.0, io_stalled=0.3, tells_io=True), "waited for a disk for 30%"),
    ],
)
def test_each_disturbance_is_told(host: Host, told: str) -> None:
    (line,) = reasons(host)
    assert told in line
    assert "\n" not in line
    assert state(host) == "broken"


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
    judged = [len(reasons(Host(cores, 0.0, share * cores, 0.0, 0.0))) for share in (less, more)]
    assert judged == sorted(judged)


def sampled(seconds: int, **values: float) -> Series:
    names = {name.replace("_", ".", 1): value for name, value in values.items()}
    at_ns = [second * SECOND_NS for second in range(seconds + 1)]
    return Series(at_ns, {name: [None] + [value] * seconds for name, value in names.items()}, [])


def test_a_window_of_a_series() -> None:
    used = {f"cpu_{group}": 0.25 for group in set(GROUPS.values())}
    series = sampled(6, host_busy=1.5, host_steal=0.1, host_runnable=2.0, **used)
    host = of_window(series, SECOND_NS, 5 * SECOND_NS, cores=2)
    expected = Host(2, 1.5, pytest.approx(0.1), 2.0, pytest.approx(0.25 * len(used)))
    assert host == expected
    del series.series["cpu.kafka"]
    assert of_window(series, SECOND_NS, 5 * SECOND_NS, cores=2).own is None


@pytest.mark.parametrize("seconds", [1, 2, 3, 20])
def test_steal_is_seen_in_however_few_samples(seconds: int) -> None:
    """Two samples once said nothing, and three were needed."""
    series = sampled(seconds, **{**ALL_QUIET, "host_steal": 0.95 * 2})
    host = of_window(series, 0, seconds * SECOND_NS, cores=2)
    assert host.steal == pytest.approx(1.9)
    assert state(host) == "broken"


@pytest.mark.parametrize("seconds", [1, 2, 3, 20])
def test_a_quiet_window_is_known_however_short_it_is(seconds: int) -> None:
    series = sampled(seconds + 2, **ALL_QUIET)
    opened_ns = SECOND_NS * 3 // 2
    assert state(of_window(series, opened_ns, opened_ns + seconds * SECOND_NS // 2, 2)) == "holds"


def test_a_sampler_that_died_leaves_the_rest_unknown() -> None:
    series = sampled(10, **ALL_QUIET)
    assert state(of_window(series, 0, 12 * SECOND_NS, cores=2)) == "holds"
    assert state(of_window(series, 0, 20 * SECOND_NS, cores=2)) == "unknown"
    assert state(of_window(Series([], {}, []), 0, SECOND_NS, cores=2)) == "unknown"


def test_steal_before_the_sampler_died_still_counts() -> None:
    series = sampled(3, **{**ALL_QUIET, "host_steal": 1.0})
    assert state(of_window(series, 0, 20 * SECOND_NS, cores=2)) == "broken"


def test_readings_that_failed_are_no_zeros() -> None:
    series = sampled(10, **ALL_QUIET)
    series.series["host.steal"][3:9] = [None] * 6
    assert state(of_window(series, 0, 10 * SECOND_NS, cores=2)) == "unknown"


@given(st.lists(st.floats(0, 100), min_size=1, max_size=20), st.integers(0, 20), st.integers(1, 20))
def test_a_mean_weighs_by_time(values: list[float], begin: int, length: int) -> None:
    at_ns = [second * SECOND_NS for second in range(len(values) + 1)]
    series = Series(at_ns, {"x": [None, *values]}, [])
    mean, is_enough = mean_of(series, "x", begin * SECOND_NS, (begin + length) * SECOND_NS)
    inside = values[begin : begin + length]
    assert (mean is None) == (not inside)
    if inside:
        assert mean == pytest.approx(sum(inside) / len(inside))
    assert is_enough == (len(inside) >= 0.75 * length)
