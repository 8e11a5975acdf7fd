"""How many requests must be answered for a run to say anything, and how soon."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.judge.answers import KINDS_SHOWN_MAX, in_time, judge, silent_share
from bench.records.run_record import Figures, Latency
from bench.records.samples import Samples, Window

REFUSED = "connection ConnectionRefusedError"


def test_nobody_listens() -> None:
    """65 of 65 failed was once "VALID. These figures can be trusted"."""
    check = judge("open", 65, {REFUSED: 65}, 0.01)
    assert check.state == "broken"
    assert check.why == (
        "open: nothing was answered as expected: all 65 requests failed: "
        "connection ConnectionRefusedError (65)"
    )


@pytest.mark.parametrize("failed_share_max", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("is_disturbed", [True, False])
def test_nothing_is_never_enough(failed_share_max: float, is_disturbed: bool) -> None:
    assert judge("open", 3, {REFUSED: 3}, failed_share_max, is_disturbed).state == "broken"
    assert judge("users-1", 0, {}, failed_share_max, is_disturbed).state == "broken"
    all_waited = judge("users-1", 0, {}, failed_share_max, is_disturbed, silent=1.0).state
    assert all_waited == ("unknown" if is_disturbed else "broken")
    late = ("users-64", 64, {"504 timeout": 64}, failed_share_max, is_disturbed)
    assert judge(*late, silent=1.0, is_still=True).state == all_waited, "they failed after it"
    assert judge(*late, silent=1.0).state == "broken", "they failed in it"


@pytest.mark.parametrize(("failed", "state"), [(0, "holds"), (10, "holds"), (11, "broken")])
def test_the_share_at_its_limit(failed: int, state: str) -> None:
    assert judge("open", 1000, {"503 overloaded": failed}, 0.01).state == state


def test_failures_on_a_busy_machine_are_nobodys_fault_that_is_known() -> None:
    check = judge("open", 1000, {"504 timeout": 200}, 0.01, is_disturbed=True)
    assert check.state == "unknown"
    assert "200 of 1,000" in check.why
    assert "504 timeout (200)" in check.why


def test_each_kind_is_named_but_not_without_end() -> None:
    kinds = {f"500 kind-{number}": 1 for number in range(KINDS_SHOWN_MAX + 2)}
    why = judge("open", 10, kinds, 0.01).why
    assert why.count("kind-") == KINDS_SHOWN_MAX
    assert why.endswith("2 more kinds")


@given(st.integers(0, 10_000), st.integers(0, 10_000), st.floats(0, 1))
def test_more_failures_never_make_it_better(requests: int, failed: int, share: float) -> None:
    failed = min(failed, requests)
    holds = judge("open", requests, {"x": failed}, share).state == "holds"
    assert holds == (failed < requests and failed <= share * requests)


def samples_at(*seconds: float) -> Samples:
    done_ns = np.array([int(second * 1e9) for second in seconds], dtype=np.int64)
    zeros = np.zeros(len(done_ns), dtype=np.int64)
    return Samples(["find_user"], ["200"], zeros, zeros, done_ns, done_ns, done_ns)


def test_a_load_that_stops_halfway() -> None:
    """The users who still wait at its end are in no window of a closed loop."""
    window = Window(0, 20 * 10**9)
    stopped = silent_share(samples_at(*np.arange(0, 9.5, 0.01)), window)
    assert stopped == pytest.approx(0.5, abs=0.05)
    check = judge("users-64", 950, {}, 0.01, silent=stopped)
    assert (check.state, check.why) == (
        "broken",
        "users-64: nothing was answered for 53% of the window",
    )
    assert judge("users-64", 950, {}, 0.01, is_disturbed=True, silent=0.6).state == "unknown"
    steady = silent_share(samples_at(*np.arange(0, 20, 0.5)), window)
    assert judge("users-1", 40, {}, 0.01, silent=steady).state == "holds"
    assert silent_share(samples_at(), window) == 1.0


def figures(p99: float | None, at_least: list[Any]) -> Figures:
    latency = None if p99 is None else Latency(1.0, 1.0, p99, 99.0, 99.0, at_least)
    return Figures(10, 10, 1.0, latency, {}, {})


@pytest.mark.parametrize(
    ("p99", "at_least", "disturbed", "state"),
    [
        (50.0, [], False, "holds"),
        (50.01, [], False, "broken"),
        (50.01, [], True, "unknown"),
        (50.0, [], True, "holds"),
        (50.0, ["p99", "max"], False, "broken"),
        (50.0, ["max"], False, "holds"),
        (None, [], False, "unknown"),
    ],
)
def test_a_p99(p99: float | None, at_least: list[str], disturbed: bool, state: str) -> None:
    check = in_time("open", figures(p99, at_least), 50.0, disturbed)
    assert check.state == state
    assert (check.why == "") is (state == "holds")
    if p99 is None:
        assert "nothing was answered as expected" in check.why, "10 requests were sent"
