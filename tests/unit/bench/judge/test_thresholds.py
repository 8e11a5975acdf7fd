"""Limits that a person sets for a run."""

from typing import Any

import pytest

from bench.judge.thresholds import judge
from bench.records.run_record import Figures, Latency


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
    check = judge("open", figures(p99, at_least), 50.0, disturbed)
    assert check.state == state
    assert (check.why == "") is (state == "holds")
