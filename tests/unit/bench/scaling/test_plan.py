"""A plan follows from a study whose truth is known."""

from dataclasses import replace
from math import ceil, sqrt
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_study import CPU_US, QUEUE, figures, point, study, whole

from bench.cli.main import call
from bench.errors import BenchError, ExitCode
from bench.scaling.axes import AXES, RATE
from bench.scaling.figures import saturated_cpu_of
from bench.scaling.plan import (
    ERROR_MIN,
    FAR_ERROR_MIN,
    Plan,
    Range,
    _highest,
    _observed,
    held_of,
    plan,
    planned,
    table,
)
from bench.scaling.set_up import SINGLE, set_up_of, times
from bench.scaling.study import MACHINE
from bench.scaling.study_record import Machine, Pair, Point, Study, write_study
from bench.stats.queueing import UTILISATION_MAX, Held

RATE_PER_S, P99_MS = 100_000.0, 50.0


@pytest.fixture(scope="module")
def held() -> Held:
    """The study's rates, fitted once for all: that takes most of a plan's time."""
    return held_of(whole())


def by(held: Held, p99_ms: float = P99_MS) -> Plan:
    return planned(_highest(whole()), held, 2, RATE_PER_S, p99_ms, set_up_of(whole(), {}))


def test_a_plan_is_near_the_truth(held: Held) -> None:
    found = by(held)
    reached = QUEUE.rate_for(P99_MS)
    without_generator = sum(CPU_US.values()) / (sum(CPU_US.values()) - CPU_US["generator"])
    assert found.per_machine_per_s.expected == pytest.approx(reached * without_generator, rel=0.05)
    machines = RATE_PER_S / (reached * without_generator)
    assert found.machines.high is not None
    assert found.machines.low <= machines + 1
    assert found.machines.high >= machines
    partitions = RATE_PER_S * CPU_US["flink"] / 1e6 / QUEUE.utilisation(reached)
    assert found.partitions.expected == pytest.approx(partitions, rel=0.06)
    assert found.gateways.expected < found.partitions.expected
    assert found.memory_mib.expected == found.machines.expected * 1600.0
    assert found.capacity_per_s == pytest.approx(QUEUE.capacity_per_s, rel=0.05)
    assert found.p50_error < 0.05
    assert found.p99_error < 0.05
    assert abs(found.capacity_error) < 0.1


def test_the_bars_are_as_wide_as_the_studys_errors(held: Held) -> None:
    found = by(held)
    one, p99_ms = found.per_machine_per_s, found.p99_at_that_ms
    assert one.high is not None
    assert one.high >= one.expected * (1 + ERROR_MIN) * (1 - 1e-9)
    assert one.low <= one.expected / (1 + ERROR_MIN) * (1 + 1e-9)
    reached = held.queue.rate_for(P99_MS)
    faster, slower = (
        held.queue.dearer(times).latency_ms(reached, 0.99) for times in (1 / 1.05, 1.05)
    )
    least = pytest.approx((faster / 1.05, slower * 1.05))
    assert (p99_ms.low, p99_ms.high) == least, "the least error, of capacity and of p99"
    assert slower > 2 * P99_MS, "as steep as a queue is there"
    rough = held._replace(p99_errors=(0.5, -0.5, 0.5), capacity_error=-0.2)
    wide = by(rough)
    faster = held.queue.dearer(1 / 1.25).latency_ms(reached, 0.99)
    assert wide.p99_at_that_ms.low == pytest.approx(faster / 2)
    assert wide.p99_at_that_ms.high is None, "with a fifth less of capacity the queue never ends"
    queue, without = held.queue, one.expected / held.queue.rate_for(P99_MS)
    least = min(queue.rate_for(P99_MS / 2), queue.rate_for(P99_MS) / 1.25)
    assert wide.per_machine_per_s.low == pytest.approx(least * without)
    assert wide.machines.high == ceil(RATE_PER_S / (least * without))


def test_no_machine_is_planned_to_serve_what_nobody_measured(held: Held) -> None:
    found, highest = by(held, 60_000.0), 0.95 * QUEUE.capacity_per_s
    assert found.p99_at_that_ms.expected == held.queue.latency_ms(highest, 0.99) < 60_000.0
    assert found.utilisation == round(held.queue.utilisation(highest), 3)
    without = found.per_machine_per_s.expected / highest
    (told,) = (each for each in found.assumptions if "no sound rate above" in each)
    assert f"expected to serve {highest * without:,.0f} requests/s" in told
    assert not any("no sound rate above" in each for each in by(held).assumptions)


def test_a_capacity_that_was_not_come_near_has_a_wider_bar() -> None:
    """The two highest rates were not sound. How near they came is what was measured: a fit that is
    wrong may think that it was all."""
    known = study(*whole().points[:-2])
    found = plan(known, RATE_PER_S, 1000.0)
    assert "windows of 20 s, 3 pairs a point" in found.assumptions
    held = held_of(known)
    low = held._replace(queue=replace(held.queue, capacity_per_s=0.82 * QUEUE.capacity_per_s))
    for one in (
        found.per_machine_per_s,
        planned(
            _highest(known), low, 2, RATE_PER_S, 60_000.0, set_up_of(known, {})
        ).per_machine_per_s,
    ):
        assert one.low <= one.expected / (1 + FAR_ERROR_MIN) * (1 + 1e-9)


def test_the_largest_error_counts(held: Held) -> None:
    wide = by(held._replace(p99_errors=(0.01, -0.4, 0.02), p50_errors=(0.01, 0.3)))
    assert (wide.p50_error, wide.p99_error) == (0.3, 0.667)
    assert "p50 off by 30% and p99 by 67% at most" in table(wide), "0.6 of it is 67 % too little"


def test_partitions_are_as_uncertain_as_machines(held: Held) -> None:
    rough = held._replace(p99_errors=(2.0,))
    wide, narrow = by(rough), by(held)
    assert wide.partitions.high is not None
    assert narrow.partitions.high is not None
    assert wide.partitions.high > narrow.partitions.high
    queue, one = rough.queue, wide.per_machine_per_s
    least = queue.rate_for(P99_MS) * one.low / one.expected
    cores = RATE_PER_S * CPU_US["flink"] / 1e6
    assert wide.partitions.high == pytest.approx(cores / queue.utilisation(least), abs=1)
    assert ceil(cores / UTILISATION_MAX) <= wide.partitions.low <= wide.partitions.expected


def test_where_the_p99_may_never_hold_nobody_knows_how_many_machines(held: Held) -> None:
    unloaded_ms = QUEUE.latency_ms(1.0, 0.99)
    found = by(held._replace(p99_errors=(0.5,)), unloaded_ms * 1.2)
    assert (found.machines.high, found.memory_mib.high) == (None, None)
    assert (found.partitions.high, found.gateways.high) == (None, None)
    assert "| unknown |" in table(found)


def set_up() -> Study:
    """A second gateway process costs a fifth more of itself and takes a tenth more requests, a
    checkpoint each second costs twice of Flink and takes half; the machine's speed changed."""

    def dearer(axis: str, value: float, group: str, times: float, most: float) -> Point:
        pairs = [
            Pair(
                figures(
                    slower=slower,
                    saturated_per_s=QUEUE.capacity_per_s * most / slower,
                    saturated_cpu_us={
                        name: us * slower * (times if name == group else 1)
                        for name, us in CPU_US.items()
                    },
                ),
                figures(slower=slower),
            )
            for slower in (1.0, 1.0, 2.0)
        ]
        return Point(axis, value, pairs)

    return study(
        *whole().points,
        *(dearer("gateways", 1.0 + extra, "gateway", 1 + 0.2 * extra, 1 + 0.1 * extra)
          for extra in range(4)),
        *(dearer("checkpoint-interval", each, "flink", times, 1 / times)
          for each, times in ((1.0, 2.0), (5.0, 1.0))),
    )  # fmt: skip


def test_a_machine_that_is_set_up_otherwise_takes_what_each_setting_makes_of_it() -> None:
    machine = {"gateways": 2.0, "checkpoint-interval": 1.0}
    for group, expected in (("gateway", 1.2), ("kafka", 1.0), ("flink", 2.0)):
        assert times(set_up(), machine, saturated_cpu_of(group)) == pytest.approx(expected)
    found = plan(set_up(), RATE_PER_S, P99_MS, machine)
    assert found.capacity_ratio == pytest.approx(1.1 * 0.5)
    assert found.capacity_per_s == pytest.approx(QUEUE.capacity_per_s * 1.1 * 0.5, rel=0.05)
    cores = RATE_PER_S * CPU_US["flink"] * 2.0 / 1e6
    assert found.partitions.expected == ceil(cores / found.utilisation)
    assert found.machine == machine
    assert "each machine with gateways 2, checkpoint-interval 1" in table(found)
    between = times(set_up(), {"checkpoint-interval": sqrt(5.0)}, saturated_cpu_of("flink"))
    assert between == pytest.approx(sqrt(2.0))


def test_a_setting_brings_its_memory_where_that_is_told() -> None:
    large = {"gateway": 100.0, "kafka": 500.0, "flink": 2000.0}
    for rss_mib, expected in ((large, 2600.0), ({}, 1600.0)):
        points = [point("taskmanagers", each, rss_mib=rss_mib) for each in (1.0, 2.0)]
        found = plan(study(*whole().points, *points), RATE_PER_S, P99_MS, {"taskmanagers": 2.0})
        assert found.memory_mib.expected == pytest.approx(found.machines.expected * expected)


def test_a_plan_is_held_against_a_machine_that_it_has_not_seen() -> None:
    """What was measured of the machine changes no word of the plan."""
    machine = {"gateways": 2.0, "checkpoint-interval": 1.0}
    before = plan(set_up(), RATE_PER_S, P99_MS, machine)
    assert before.measured_ratio is None
    assert "measured:" not in table(before)
    pairs = [
        Pair(
            figures(slower=3.0, saturated_per_s=QUEUE.capacity_per_s * ratio / 3),
            figures(slower=3.0),
        )
        for ratio in (0.4, 0.5, 0.7)
    ]
    known = Machine(machine, Point(MACHINE, 1.0, pairs))
    other = Machine({"gateways": 2.0}, point(MACHINE, 1.0))
    found = plan(replace(set_up(), machines=[other, known]), RATE_PER_S, P99_MS, machine)
    measured = found.measured_ratio
    assert measured is not None
    assert (measured.low, measured.expected, measured.high) == pytest.approx((0.4, 0.5, 0.7))
    assert replace(found, measured_ratio=None) == before
    told = "at most 0.55 of what the base does; measured: 0.50 (0.40 to 0.70), so the plan is off"
    assert f"{told} by +10%" in table(found)
    half = replace(known, point=replace(known.point, pairs=known.point.pairs[:1]))
    assert plan(replace(set_up(), machines=[half]), RATE_PER_S, P99_MS, machine) == before


def test_the_scatter_of_a_setting_makes_the_bars_wider() -> None:
    """And one that the base has makes nothing of it."""
    base = plan(whole(), RATE_PER_S, P99_MS)
    assert replace(plan(whole(), RATE_PER_S, P99_MS, {"gateways": 1.0}), machine={}) == replace(
        base, assumptions=plan(whole(), RATE_PER_S, P99_MS, {"gateways": 1.0}).assumptions
    )
    pairs = [
        Pair(figures(saturated_per_s=QUEUE.capacity_per_s * ratio), figures())
        for ratio in (0.8, 1.0, 1.3)
    ]
    one = study(*whole().points, Point("partitions", 1.0, pairs))
    assert plan(one, RATE_PER_S, P99_MS, {"partitions": 1.0}).per_machine_per_s == (
        base.per_machine_per_s
    )
    known = study(*whole().points, *(Point("gateways", each, pairs) for each in (2.0, 3.0)))
    found = plan(known, RATE_PER_S, P99_MS, {"gateways": 2.0}).per_machine_per_s
    expected = base.per_machine_per_s.expected
    assert found.expected == pytest.approx(expected)
    assert found.low <= expected / (1.3 * (1 + ERROR_MIN)) * (1 + 1e-6)
    single = study(*whole().points, Point("gateways", 2.0, pairs[1:2]))
    single = replace(single, windows=replace(single.windows, pairs=1))
    alone = plan(single, RATE_PER_S, P99_MS, {"gateways": 2.0}).per_machine_per_s
    assert alone.low <= expected / (SINGLE * (1 + ERROR_MIN)) * (1 + 1e-6), "nobody knows it"


def test_how_a_settings_cpu_scatters_makes_the_number_of_threads_uncertain() -> None:
    def found(*times: float) -> Range:
        pairs = [
            Pair(
                figures(saturated_cpu_us=CPU_US | {"gateway": CPU_US["gateway"] * each}), figures()
            )
            for each in times
        ]
        known = study(*whole().points, Point("gateways", 2.0, pairs))
        return plan(known, RATE_PER_S, P99_MS, {"gateways": 2.0}).gateways

    even, uneven = found(2.0, 2.0, 2.0), found(1.0, 2.0, 3.0)
    assert uneven.expected == even.expected
    assert even.high is not None
    assert uneven.high is not None
    assert uneven.high == pytest.approx(2 * even.high, abs=2)
    assert uneven.low == pytest.approx(even.low / 2, abs=2)


def test_what_the_highest_rate_took_is_its_own() -> None:
    """Not the base's: an open loop of 100/s has other costs, and other memory."""
    busy = {group: us / 3 for group, us in CPU_US.items()}
    large = {"gateway": 200.0, "kafka": 800.0, "flink": 1500.0}
    rates = [point(RATE, share, cpu_us=busy, rss_mib=large) for share in AXES[RATE].values]
    found = _highest(study(*rates, point("gateways", 2.0)))
    assert found.rss_mib == large
    slower = [1.0, 3.0, 1.0]
    assert found.cpu_us == pytest.approx(
        {group: sorted(us / by for by in slower)[1] for group, us in busy.items()}
    )


@given(st.lists(st.floats(0.25, 4.0), min_size=3, max_size=3))
def test_the_speed_of_the_machine_is_no_part_of_a_plan(speeds: list[float]) -> None:
    """Its median alone scales all: as if the whole study were made on another machine."""
    slow = study(*(point(RATE, share, slower=speeds) for share in AXES[RATE].values))
    usual = sorted(speeds)[1]
    for known, seen in zip(whole().of(RATE), slow.of(RATE), strict=True):
        expected = _observed(whole(), known)
        found = _observed(slow, seen)
        assert found.rate_per_s * usual == pytest.approx(expected.rate_per_s)
        assert found.p50_ms / usual == pytest.approx(expected.p50_ms)
        assert found.p99_ms / usual == pytest.approx(expected.p99_ms)


@pytest.mark.parametrize(
    ("axis", "value", "says"),
    [("gateways", 5.0, "gateways are 1, 2, 3, 4: 5 is not"), ("partitions", 2.0, "are none: 2")],
)
def test_a_setting_that_the_study_has_not_is_not_guessed(
    axis: str, value: float, says: str
) -> None:
    with pytest.raises(BenchError, match=f"{says}.*scaling --axes {axis}"):
        plan(set_up(), RATE_PER_S, P99_MS, {axis: value})


def test_a_stricter_level_takes_more_machines(held: Held) -> None:
    machines = [by(held, p99).machines.expected for p99 in (12.0, 25.0, 100.0)]
    assert machines == sorted(machines, reverse=True)
    assert machines[0] > machines[-1]


def test_a_level_below_the_unloaded_latency_is_out_of_reach(held: Held) -> None:
    with pytest.raises(BenchError, match="no rate has a p99 of 2 ms: nearly unloaded it is"):
        by(held, 2.0)


def test_a_study_without_enough_says_what_is_missing() -> None:
    rates = whole().points
    with pytest.raises(BenchError, match="has 7 sound rates, a plan needs 8"):
        held_of(study(*rates[:7], point(RATE, 0.8, verdict="void")))
    untold = [point(RATE, share, cpu_us={"flink": 1.0}) for share in AXES[RATE].values]
    with pytest.raises(BenchError, match="does not tell"):
        plan(study(*untold), RATE_PER_S, P99_MS)


def test_the_table_says_what_was_assumed(held: Held) -> None:
    found = by(held)
    text = table(found)
    assert f"of a capacity of {found.capacity_per_s:,.0f} requests/s" in text
    assert "100,000 requests/s with a p99 of 50 ms" in text
    assert all(each in text for each in found.assumptions)


def test_the_command_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("plan", "--rate", "100000", "--p99-ms", "50", "--study", str(tmp_path))
    assert call(words) == ExitCode.UNREADABLE
    capsys.readouterr()
    write_study(tmp_path, whole())
    assert call([*words, "--json"]) == ExitCode.DONE
    found = orjson.loads(capsys.readouterr().out)
    assert found["machines"]["low"] <= found["machines"]["expected"] <= found["machines"]["high"]
    assert call(words) == ExitCode.DONE
    assert "| machines |" in capsys.readouterr().out
    write_study(tmp_path, set_up())
    assert call([*words, "--machine", "gateways=2,checkpoint-interval=1"]) == ExitCode.DONE
    assert "each machine with gateways 2" in capsys.readouterr().out
    for wrong in ("gateways", "gateways=2,gateways=3", "basket=5", "gateways=-1", "",
                  "partitions=4,taskmanagers=2", "gateways=1.5", "gateways=5", "entities=1000",
                  "partitions=0.5", "checkpoint-interval=60"):  # fmt: skip
        with pytest.raises(SystemExit, match=str(ExitCode.USAGE.value)):
            call([*words, f"--machine={wrong}"])
    write_study(tmp_path, replace(whole(), points=[]))
    assert call(words) == ExitCode.FAILED
