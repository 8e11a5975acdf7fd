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
from bench.scaling.plan import ERROR_MIN, Plan, dearer_by, held_of, plan, planned, table
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


def test_where_every_rate_holds_the_level_the_p99_is_that_of_the_highest(held: Held) -> None:
    found = by(held, 60_000.0)
    assert found.p99_at_that_ms.expected < 60_000.0
    highest = held.queue.capacity_per_s * UTILISATION_MAX
    assert found.p99_at_that_ms.expected == held.queue.latency_ms(highest, 0.99)


def test_where_the_p99_may_never_hold_nobody_knows_how_many_machines(held: Held) -> None:
    unloaded_ms = QUEUE.latency_ms(1.0, 0.99)
    found = by(held._replace(p99_errors=(0.5,)), unloaded_ms * 1.2)
    assert (found.machines.high, found.memory_mib.high) == (None, None)
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
    dearer = dearer_by(set_up(), machine)
    assert dearer == pytest.approx({"gateway": 1.2, "kafka": 1.0, "flink": 2.2})
    found = plan(set_up(), RATE_PER_S, P99_MS, machine)
    ratio = (sum(CPU_US.values()) + 0.2 * CPU_US["gateway"] + 1.2 * CPU_US["flink"]) / sum(
        CPU_US.values()
    )
    assert found.capacity_per_s == pytest.approx(QUEUE.capacity_per_s / ratio, rel=0.05)
    assert found.machine == machine
    assert "each machine with gateways 2, checkpoint-interval 1, entities 1000" in table(found)
    between = dearer_by(set_up(), {"checkpoint-interval": sqrt(5.0)})
    assert between["flink"] == pytest.approx(sqrt(2.0))


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
