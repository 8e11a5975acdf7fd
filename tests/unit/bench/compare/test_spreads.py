"""How far comparisons of a commit with itself scatter, and what that does to one of two commits."""

from pathlib import Path

import pytest
from support.compared import changed, metric
from support.made_sets import cpu

GATEWAY = "open gateway CPU ratio"
GATED = [
    *(GATEWAY, "open flink CPU ratio", "open compacting", "open compiling"),
    *("open kafka_records per request", "open kafka_bytes per request"),
    *("open failed", "open p50", "open p99"),
]


def test_the_aa_spread_moves_the_alarm(tmp_path: Path) -> None:
    spreads = dict.fromkeys(GATED, 0.0) | {"open gateway CPU ratio": 0.04}
    found = changed(tmp_path, cpu("gateway", 1.07), spreads=spreads)
    assert found.verdict == "inconclusive"
    row = metric(found, "open gateway CPU ratio")
    assert row.alarm_beyond == pytest.approx(1.04**2 - 1)
    assert "not beyond 8.2 %" in row.reason


@pytest.mark.parametrize("known", [[], GATED[1:]])
def test_spreads_of_other_loads_are_refused(tmp_path: Path, known: list[str]) -> None:
    """They were ignored without a word, and the thresholds were as of a machine without noise."""
    found = changed(tmp_path, spreads={"users-128 p50": 0.06, **dict.fromkeys(known, 0.0)})
    assert found.verdict == "missing_metric"
    told = ": the comparisons of --aa tell no spread of it"
    lacking = [each.partition(told)[0] for each in found.reasons if told in each]
    assert sorted(lacking) == sorted({*GATED} - {*known})


def test_a_spread_that_nothing_can_settle_beside_is_refused(tmp_path: Path) -> None:
    found = changed(tmp_path, spreads=dict.fromkeys(GATED, 0.0) | {"open flink CPU ratio": 0.05})
    assert found.verdict == "missing_metric"
    (reason,) = found.reasons
    assert reason.startswith("open flink CPU ratio: comparisons of a commit with itself scatter by")
