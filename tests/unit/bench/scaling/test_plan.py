"""A plan follows from a study whose truth is known."""

from dataclasses import replace
from pathlib import Path

import orjson
import pytest
from support.made_study import CPU_US, QUEUE, point, study, whole

from bench.cli.main import call
from bench.errors import BenchError, ExitCode
from bench.scaling.axes import AXES, RATE
from bench.scaling.plan import ERROR_MIN, Plan, held_of, plan, planned, table
from bench.scaling.study_record import write_study
from bench.stats.queueing import Held

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
    assert found.machines.low <= machines + 1
    assert found.machines.high >= machines
    partitions = RATE_PER_S * CPU_US["flink"] / 1e6 / QUEUE.utilisation(reached)
    assert found.partitions.expected == pytest.approx(partitions, rel=0.06)
    assert found.gateways.expected < found.partitions.expected
    assert found.memory_mib.expected == found.machines.expected * 1600.0
    assert found.capacity_per_s == pytest.approx(QUEUE.capacity_per_s, rel=0.05)
    assert found.p50_error < 0.05
    assert abs(found.capacity_error) < 0.1


def test_the_bars_are_as_wide_as_the_studys_errors(held: Held) -> None:
    one = by(held).per_machine_per_s
    assert one.high / one.expected >= 1 + ERROR_MIN
    assert one.expected / one.low == pytest.approx(one.high / one.expected)


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
    write_study(tmp_path, replace(whole(), points=[]))
    assert call(words) == ExitCode.FAILED
