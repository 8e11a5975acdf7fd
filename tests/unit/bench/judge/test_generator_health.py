"""A generator that did not keep up, in each way."""

from dataclasses import replace

import pytest

from bench.judge.checks import Check, doubts, worst
from bench.judge.generator_health import (
    CPU_SHARE_MAX,
    SCHEDULE_LAG_P99_MS_MAX,
    judge,
)
from bench.records.run_record import Latency, OpenFigures
from bench.records.samples import Watched, Window

SECOND_NS = 1_000_000_000
WINDOW = Window(0, 10 * SECOND_NS)


def marks(cpu_share: float = 0.2, lag_ms: float = 0.1) -> list[dict[str, int]]:
    return [
        {
            "at_ns": second * SECOND_NS,
            "cpu_ns": int(second * SECOND_NS * cpu_share),
            "loop_lag_ns": int(lag_ms * 1e6),
        }
        for second in range(11)
    ]


def kept(lag_p99_ms: float = 0.5) -> OpenFigures:
    lag_ms = Latency(0.1, 0.2, lag_p99_ms, 99.0, 99.0, at_least=[])
    return OpenFigures(10_000, 0, 1.0, None, lag_ms)


def reasons(
    watched: list[Watched], window: Window, open_loop: OpenFigures | None, late: int
) -> list[str]:
    return doubts(judge(watched, window, open_loop, late))


def state(checks: list[Check]) -> str:
    return worst(check.state for check in checks)


def test_one_that_did() -> None:
    assert reasons([marks()], WINDOW, kept(), 0) == []
    assert reasons([marks(CPU_SHARE_MAX)], WINDOW, kept(SCHEDULE_LAG_P99_MS_MAX), 10) == []


@pytest.mark.parametrize(
    "told", [[], marks()[:1], marks()[:5], marks()[6:], [marks()[3], marks()[3]]]
)
def test_one_that_tells_too_little_is_unknown(told: list[dict[str, int]]) -> None:
    checks = judge([told], WINDOW, None, 0)
    assert state(checks) == "unknown"
    assert doubts(checks) == ["generator 0 told of less than 50% of the window how it fared"]


def test_marks_beside_a_short_window_tell_of_it() -> None:
    short = Window(SECOND_NS * 3 // 2, SECOND_NS * 5 // 2)
    assert reasons([marks()], short, kept(), 0) == []
    (why,) = reasons([marks(cpu_share=0.95)], short, kept(), 0)
    assert "95% of a core" in why


def test_a_schedule_of_which_nothing_was_sent_is_unknown() -> None:
    checks = judge([marks()], WINDOW, replace(kept(), schedule_lag_ms=None), 0)
    assert state(checks) == "unknown"


def test_a_core_that_is_used_up() -> None:
    (why,) = reasons([marks(), marks(cpu_share=0.95)], WINDOW, kept(), 0)
    assert why.startswith("generator 1 used 95% of a core")


def test_requests_that_went_out_late() -> None:
    (why,) = reasons([marks()], WINDOW, kept(SCHEDULE_LAG_P99_MS_MAX + 1), 0)
    assert why.startswith("requests were sent 11.0 ms late")


def test_requests_that_did_not_go_out() -> None:
    (why,) = reasons([marks()], WINDOW, kept(), 11)
    assert why.startswith("11 of 10000 requests were not sent")


def test_a_clock_that_rings_late() -> None:
    (why,) = reasons([marks(lag_ms=30)], WINDOW, kept(), 0)
    assert "ran 30.0 ms late" in why
    assert reasons([marks(lag_ms=30)], WINDOW, None, 0) == []
