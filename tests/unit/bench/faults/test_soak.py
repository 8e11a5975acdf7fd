"""A soak's faults come in rounds; what is held is judged from the last kill on, or is unknown."""

from typing import Any

import pytest

from bench.faults.fault import FAULTS, Bite, Injected
from bench.faults.soak import (
    GENTLE,
    HELD,
    JUDGED_S_MIN,
    KILLS,
    NAMES,
    Held,
    bitten,
    grown_since,
    plan,
    together,
    told,
)
from bench.records.series import Series

SECOND_NS = 1_000_000_000


def test_each_fault_comes_once_in_a_round() -> None:
    planned = plan(7, NAMES, 15.0 * len(NAMES), 15.0)
    assert sorted(each.name for each in planned) == sorted(NAMES)
    assert [each.at_s for each in planned] == [5 + 15.0 * n for n in range(len(NAMES))]
    assert planned == plan(7, NAMES, 15.0 * len(NAMES), 15.0)
    assert planned != plan(8, NAMES, 15.0 * len(NAMES), 15.0)


def test_where_growth_is_judged_nothing_is_killed_after_the_first_third() -> None:
    planned = plan(7, NAMES, 1800.0, 15.0)
    early = [each.name for each in planned if each.at_s <= 600]
    late = [each.name for each in planned if each.at_s > 600]
    assert set(early) == set(NAMES)
    assert set(late) == set(GENTLE)
    assert len(late) == 80
    assert [each.name for each in plan(7, KILLS, 1800.0, 15.0) if each.at_s > 600] == []


def injected(name: str, bite: Bite, healed_s: int = 2) -> Injected:
    return Injected(name, FAULTS[name], SECOND_NS, healed_s * SECOND_NS, bite)


def test_what_is_expected_is_what_the_faults_allow() -> None:
    kill, poison = injected("kill-gateway", Bite("ended")), injected("poison", Bite("came"))
    assert together([kill, poison]).ends_gateway
    assert together([kill, poison]).recovery_s_max == 5.0
    assert not together([poison]).cuts_connections
    assert together([injected("fuzzed-requests", Bite("came"))]).others_ask


def test_a_fault_that_did_not_bite_is_told() -> None:
    found = bitten([injected("kill-broker", Bite("")), injected("poison", Bite("x", ("y",)))])
    assert found.proof == "2 faults"
    assert list(found.broken) == ["kill-broker: nothing shows that it bit", "poison: y"]
    assert bitten([]).proof == ""


@pytest.mark.parametrize(("per_s", "share"), [(0.0, 0.0), (1.0, 0.4)])
def test_growth_counts_from_a_time_on(per_s: float, share: float) -> None:
    at_ns = [second * SECOND_NS for second in range(1000)]
    values: list[Any] = [500.0 + per_s * second for second in range(1000)]
    values[700] = None
    series = Series(at_ns, {"files.kafka": values}, [])
    held = Held("files.kafka", "kafka", 0.0, 0.05)
    grown = grown_since(series, held, 500 * SECOND_NS, 1000 * SECOND_NS)
    assert (grown.watched_s, grown.share) == (500.0, pytest.approx(share, abs=0.01))
    short = grown_since(series, held, 999 * SECOND_NS, 1000 * SECOND_NS)
    assert short.share is None
    assert told(short).endswith(f"at least {JUDGED_S_MIN:g} s are needed")
    assert grown_since(Series(at_ns, {}, []), held, 0, 1000 * SECOND_NS).share is None


def test_all_parts_are_watched() -> None:
    assert {held.part for held in HELD} == {
        *("gateway", "kafka", "flink_jobmanager", "flink_taskmanager", ""),
    }
