"""A plan follows from a study whose truth is known."""

from dataclasses import replace
from math import ceil, sqrt
from pathlib import Path

import orjson
import pytest
from support.made_study import CPU_US, QUEUE, point, study, whole

from bench.cli.main import call
from bench.errors import BenchError, ExitCode
from bench.scaling.axes import AXES, RATE
from bench.scaling.plan import (
    ERROR_MIN,
    FAR_ERROR_MIN,
    Plan,
    _cpu_ratio,
    held_of,
    plan,
    planned,
    table,
    times,
)
from bench.scaling.study_record import Study, write_study
from bench.stats.queueing import UTILISATION_MAX, Held

RATE_PER_S, P99_MS = 100_000.0, 50.0


@pytest.fixture(scope="module")
def held() -> Held:
    """The study's rates, fitted once for all: that takes most of a plan's time."""
    return held_of(whole())


def by(held: Held, p99_ms: float = P99_MS) -> Plan:
    return planned(whole().of(RATE)[-1], held, 2, RATE_PER_S, p99_ms)


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
    least = pytest.approx((P99_MS / 1.05, P99_MS * 1.05))
    assert (p99_ms.low, p99_ms.high) == least, "the least error"
    rough = held._replace(p99_errors=(0.5, -0.5, 0.5), capacity_error=-0.2)
    wide = by(rough)
    bars = (wide.p99_at_that_ms.low, wide.p99_at_that_ms.high)
    assert bars == pytest.approx((P99_MS / 1.5, P99_MS * 1.5))
    queue, without = held.queue, one.expected / held.queue.rate_for(P99_MS)
    least = min(queue.rate_for(P99_MS / 1.5), queue.rate_for(P99_MS) / 1.2)
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
    assert "windows of 20 s, one a point" in found.assumptions
    held = held_of(known)
    low = held._replace(queue=replace(held.queue, capacity_per_s=0.82 * QUEUE.capacity_per_s))
    for one in (
        found.per_machine_per_s,
        planned(known.of(RATE)[-1], low, 2, RATE_PER_S, 60_000.0).per_machine_per_s,
    ):
        assert one.low <= one.expected / (1 + FAR_ERROR_MIN) * (1 + 1e-9)


def test_the_largest_error_counts(held: Held) -> None:
    wide = by(held._replace(p99_errors=(0.01, -0.4, 0.02), p50_errors=(0.01, 0.3)))
    assert (wide.p50_error, wide.p99_error) == (0.3, 0.4)
    assert "p50 off by 30% and p99 by 40% at most" in table(wide)


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
    """A second gateway process costs a fifth more of itself, and a checkpoint each second twice of
    Flink; the machine was half as fast meanwhile."""

    def slowed(group: str, times: float) -> dict[str, float]:
        return {name: us * 2 * (times if name == group else 1) for name, us in CPU_US.items()}

    return study(
        *whole().points,
        *(point("gateways", 1.0 + extra, saturated_cpu_us=slowed("gateway", 1 + 0.2 * extra))
          for extra in range(4)),
        *(point("checkpoint-interval", each, saturated_cpu_us=slowed("flink", times))
          for each, times in ((1.0, 2.0), (5.0, 1.0))),
        point("entities", 1e3, saturated_cpu_us=slowed("flink", 1.1)),
    )  # fmt: skip


def test_a_machine_that_is_set_up_otherwise_takes_what_each_setting_makes_of_it() -> None:
    machine = {"gateways": 2.0, "checkpoint-interval": 1.0, "entities": 1e3}
    dearer = times(set_up(), machine, _cpu_ratio)
    assert dearer == pytest.approx({"gateway": 1.2, "kafka": 1.0, "flink": 2.2})
    found = plan(set_up(), RATE_PER_S, P99_MS, machine)
    ratio = (sum(CPU_US.values()) + 0.2 * CPU_US["gateway"] + 1.2 * CPU_US["flink"]) / sum(
        CPU_US.values()
    )
    assert found.capacity_per_s == pytest.approx(QUEUE.capacity_per_s / ratio, rel=0.05)
    assert found.machine == machine
    assert "each machine with gateways 2, checkpoint-interval 1, entities 1000" in table(found)
    between = times(set_up(), {"checkpoint-interval": sqrt(5.0)}, _cpu_ratio)
    assert between["flink"] == pytest.approx(sqrt(2.0))


def test_several_taskmanagers_are_held_against_the_base() -> None:
    """One of the axis has twelve partitions, which cost something too; and each has its memory."""
    dear = {**CPU_US, "flink": CPU_US["flink"] * 1.3}
    large = {"gateway": 100.0, "kafka": 500.0, "flink": 2000.0}
    found = study(
        *whole().points,
        *(point("taskmanagers", each, saturated_cpu_us=dear, rss_mib=large) for each in (1.0, 2.0)),
    )
    assert times(found, {"taskmanagers": 1.0}, _cpu_ratio)["flink"] == pytest.approx(1.3)
    planned_ = plan(found, RATE_PER_S, P99_MS, {"taskmanagers": 2.0})
    memory_mib = planned_.machines.expected * 2600.0
    assert planned_.memory_mib.expected == pytest.approx(memory_mib)
    points = [replace(each, rss_mib={}) if each.value == 2.0 else each for each in found.points]
    untold = plan(replace(found, points=points), RATE_PER_S, P99_MS, {"taskmanagers": 2.0})
    assert untold.memory_mib.expected == pytest.approx(untold.machines.expected * 1600.0)


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
    rates = [point(RATE, share) for share in AXES[RATE].values]
    with pytest.raises(BenchError, match="has 7 sound rates, a plan needs 8"):
        held_of(study(*rates[:7], point(RATE, 0.8, verdict="void")))
    untold = [replace(rate, cpu_us={"flink": 1.0}) for rate in rates]
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
    for wrong in ("gateways", "gateways=2,gateways=3", "basket=5", "gateways=-1", ""):
        with pytest.raises(SystemExit, match=str(ExitCode.USAGE.value)):
            call([*words, f"--machine={wrong}"])
    write_study(tmp_path, replace(whole(), points=[]))
    assert call(words) == ExitCode.FAILED
