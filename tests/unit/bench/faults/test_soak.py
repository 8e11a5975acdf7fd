"""A soak's faults come in rounds; what is held is judged from the last kill on, or is unknown."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.faults.fault import FAULTS, Bite, Injected, Planned
from bench.faults.judgement import SECOND_NS, Loaded
from bench.faults.soak import (
    GENTLE,
    HELD,
    JUDGED_S_MIN,
    KILLS,
    KILLS_SHARE,
    NAMES,
    WINDOW_S,
    Held,
    bitten,
    grown_since,
    growths,
    held_series,
    judged_from_ns,
    outages,
    overfull,
    plan,
    requests_mib_max,
    together,
    told,
    unbidden,
    watched_s_min,
)
from bench.records.request_log import Row
from bench.records.series import Event, Series
from system.flink_job.host import SWEEP_PAUSE_MS, TRANSIT_MS
from system.service import Window


def test_each_fault_comes_once_in_a_round() -> None:
    planned = plan(7, NAMES, 15.0 * len(NAMES), 15.0)
    assert sorted(each.name for each in planned) == sorted(NAMES)
    assert [each.at_s for each in planned] == [5 + 15.0 * n for n in range(len(NAMES))]
    assert planned == plan(7, NAMES, 15.0 * len(NAMES), 15.0)
    assert planned != plan(8, NAMES, 15.0 * len(NAMES), 15.0)


def test_where_growth_is_judged_nothing_is_killed_after_the_first_sixth() -> None:
    planned = plan(7, NAMES, 1800.0, 15.0)
    early = [each.name for each in planned if each.at_s <= 300]
    late = [each.name for each in planned if each.at_s > 300]
    assert set(early) == set(NAMES)
    assert set(late) == set(GENTLE)
    assert len(late) == 99  # the last slot has ten seconds left
    assert planned[-1].name != "pause-broker-5"  # which takes thirty
    assert [each.name for each in plan(7, KILLS, 1800.0, 15.0) if each.at_s > 300] == []


def injected(name: str, bite: Bite, healed_s: int = 2) -> Injected:
    return Injected(name, FAULTS[name], SECOND_NS, healed_s * SECOND_NS, bite)


def test_what_is_expected_is_what_the_faults_allow() -> None:
    kill, poison = injected("kill-gateway", Bite("ended")), injected("poison", Bite("came"))
    assert together([kill, poison]).ends_gateway
    assert together([injected("kill-broker", Bite("ended")), poison]).recovery_s_max == 5.0
    assert not together([poison]).cuts_connections
    assert together([injected("fuzzed-requests", Bite("came"))]).others_ask


@pytest.mark.parametrize(
    ("silent_s", "told_"),
    [
        ((1, 20), []),  # a kill at 1 s, healed at 2, has 20 s to be over
        ((30, 33), ["the throughput was lost for 3 s after any goal, from second 30 on"]),
    ],
)
def test_an_outage_with_no_fault_before_it_is_told(
    silent_s: tuple[int, int], told_: list[str]
) -> None:
    """Long before the last fault, after which alone the recovery counts."""
    times = (number * SECOND_NS // 10 for number in range(600))
    history = [
        Row("checkout", "/", None, at_ns, at_ns, 200, {})
        for at_ns in times
        if not silent_s[0] <= at_ns / SECOND_NS < silent_s[1]
    ]
    window = SimpleNamespace(opened_ns=0, closed_ns=60 * SECOND_NS)
    run: Any = SimpleNamespace(phases=[SimpleNamespace(window=window)])
    faults = [injected("kill-broker", Bite("ended"))]
    assert outages(Loaded(run, Path(), history, faults, 0)) == told_
    run.phases[0].window = None
    assert outages(Loaded(run, Path(), history, faults, 0)) == []


def test_a_fault_that_did_not_bite_is_told() -> None:
    done = [injected("kill-broker", Bite("")), injected("poison", Bite("x", ("y",)))]
    three = [Planned(name, FAULTS[name], 1, 0.0) for name in ("kill-broker", "poison", "poison")]
    found = bitten(done, three[:2])
    assert found.proof == "2 faults"
    assert list(found.broken) == ["kill-broker: nothing shows that it bit", "poison: y"]
    assert (list(found.unsure), bitten(done, three).broken) == ([], found.broken)
    assert bitten(done, three).unsure == ["poison: it was not put in"], "the load was too short"
    assert bitten([], three).proof == ""


@pytest.mark.parametrize(("per_s", "share"), [(0.0, 0.0), (1.0, 0.4)])
def test_growth_counts_from_a_time_on(per_s: float, share: float) -> None:
    at_ns = [second * SECOND_NS for second in range(1000)]
    values: list[Any] = [500.0 + per_s * second for second in range(1000)]
    values[700] = None
    series = Series(at_ns, {"files.kafka": values}, [])
    held = Held("files.kafka", "kafka", 0.05)
    grown = grown_since(series, held, 500 * SECOND_NS, 1000 * SECOND_NS)
    assert (grown.watched_s, grown.share) == (500.0, pytest.approx(share, abs=0.01))
    short = grown_since(series, held, 999 * SECOND_NS, 1000 * SECOND_NS)
    assert short.share is None
    assert told(short).endswith(f"at least {JUDGED_S_MIN:g} s are needed, without gaps")
    assert grown_since(Series(at_ns, {}, []), held, 0, 1000 * SECOND_NS).share is None


@pytest.mark.parametrize("seen_s", [(500, 820), (681, 1000), (500, 600, 781, 1000), ()])
def test_what_nobody_looked_at_is_not_known_to_be_flat(seen_s: tuple[int, ...]) -> None:
    """A sampler that died, or a source that fell silent, was judged by what there was."""
    at_ns = [second * SECOND_NS for second in range(1000)]
    spans = list(zip(seen_s[::2], seen_s[1::2], strict=True))
    values: list[float | None] = [
        500.0 if any(first <= second < last for first, last in spans) else None
        for second in range(1000)
    ]
    held = Held("files.kafka", "kafka", 0.05)
    series = Series(at_ns, {"files.kafka": values}, [])
    grown = grown_since(series, held, 500 * SECOND_NS, 1000 * SECOND_NS)
    assert grown.share is None
    assert "can't tell from 500 s" in told(grown)


@pytest.mark.parametrize("phases", [[], [SimpleNamespace(window=None, series=None)]])
def test_a_load_that_did_not_begin_tells_nothing_of_growth(phases: list[Any]) -> None:
    run: Any = SimpleNamespace(phases=phases)
    loaded = Loaded(run, Path(), [], [], 0)
    series = held_series(loaded)
    assert [each.share for each in growths(loaded, series)] == [None] * len(HELD)
    assert unbidden(series, []) == []


@pytest.mark.parametrize(
    ("text", "at_s", "is_told"),
    [
        ("gateway ended, and was started", 2, False),  # killed then
        ("gateway ended, and was started", 0, False),  # as it is seen
        ("gateway ended, and was started", 1800, True),
        ("gateway was replaced", 1800, True),
        ("kafka ended", 2, True),
        ("injected: kill-gateway", 2, False),
        ("3 readings of Kafka failed, the first: it did not answer", 1800, False),
        ("the job failed: TaskManager is lost", 1800, False),
        ("the sampler ended: ValueError", 1800, False),
    ],
)
def test_a_part_that_dies_by_itself_is_told(text: str, at_s: int, is_told: bool) -> None:
    """It is started anew within a second, and one kill of a soak excused all that came later."""
    events = [Event("fault", at_s * SECOND_NS, 300.0, text), Event("gc", at_s, 1.0, "a pause")]
    series = Series([0, SECOND_NS], {}, events)
    found = unbidden(series, [injected("kill-gateway", Bite("it ended"))])
    assert found == ([f"{text} at second {at_s}, by no fault"] if is_told else [])


@pytest.mark.parametrize(
    ("held", "from_s"),
    [
        (Held("a", "kafka", 0.1), 700),  # the last two thirds
        (Held("a", "gateway", 0.1), 900),  # killed
        (Held("a", "", 0.1), 900),  # of all together
        (Held("a", "", 0.1, settles_s=100.0), 1000),
        (Held("a", "gateway", 0.1, grows_s=850.0), 950),
        (Held("a", "kafka", 0.1, settles_s=1000.0), 700),
    ],
)
def test_growth_counts_from_when_nothing_is_to_grow(held: Held, from_s: int) -> None:
    faults = [injected("kill-gateway", Bite("x"), 900), injected("poison", Bite("x"), 1200)]
    found = judged_from_ns(held, 100 * SECOND_NS, 1900 * SECOND_NS, faults)
    assert found == from_s * SECOND_NS


def test_state_is_judged_when_the_services_forget_as_much_as_they_remember() -> None:
    (state,) = (held for held in HELD if held.series == "disk_mib.checkpoints")
    kept_ms = Window(WINDOW_S * 1000).kept_ms
    assert state.grows_s * 1000 >= kept_ms + SWEEP_PAUSE_MS
    assert state.settles_s * 1000 >= 2 * TRANSIT_MS  # a new job's calm, and its sweeps spread


@pytest.mark.parametrize("more_mib", [0.0, 1.0])
def test_input_topics_have_their_limit(more_mib: float) -> None:
    assert overfull(Series([], {}, [])) == []
    values = [None, requests_mib_max() + more_mib, 1.0]
    found = overfull(Series([1, 2, 3], {"disk_mib.requests": values}, []))
    assert len(found) == (more_mib > 0)
    six_topics_mib = 6 * 16
    assert six_topics_mib * 9 / 8 < requests_mib_max() < 2 * six_topics_mib


def test_all_parts_are_watched() -> None:
    assert {held.part for held in HELD} == {
        *("supervisor", "gateway", "kafka", "flink_jobmanager", "flink_taskmanager", ""),
    }


@pytest.mark.parametrize(
    ("series", "minutes"), [("disk_mib.checkpoints", 58), ("disk_mib.replies", 30)]
)
def test_what_swings_is_watched_for_more_than_a_swing(series: str, minutes: int) -> None:
    (state,) = (held for held in HELD if held.series == series)
    needed_s = watched_s_min(state)
    assert needed_s > state.swing_s > JUDGED_S_MIN
    length_s = minutes * 60.0
    healed_s = length_s * KILLS_SHARE + 30.0
    assert length_s - max(state.grows_s, healed_s + state.settles_s) >= needed_s
    at_ns = [second * SECOND_NS for second in range(int(length_s) + 1)]
    flat = Series(at_ns, {state.series: [1.0] * len(at_ns)}, [])
    for seconds, share in ((needed_s - 1, None), (needed_s, 0.0)):
        from_ns = at_ns[-1] - int(seconds * SECOND_NS)
        grown = grown_since(flat, state, from_ns, at_ns[-1])
        assert grown.share == share
        assert (share is not None) or f"at least {needed_s:g} s" in told(grown)
