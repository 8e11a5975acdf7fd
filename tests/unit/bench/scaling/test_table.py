"""What a study found is put beside the base."""

from dataclasses import replace

from support.made_study import CPU_US, QUEUE, figures, point, study, whole

from bench.scaling.axes import RATE, WAY
from bench.scaling.figures import cpu_us
from bench.scaling.study import MACHINE
from bench.scaling.study_record import Machine, Pair, Point
from bench.scaling.table import gateway_cost, table

ABOUT = "Commit 0123456789; 2 cores of cpu"


def test_each_value_has_a_row_of_ratios() -> None:
    dear = {**CPU_US, "kafka": CPU_US["kafka"] + 45.0}
    found = table(
        study(*whole().points, point("partitions", 8.0, (1.0, 2.0, 1.0), cpu_us=dear)), ABOUT
    )
    assert f"{ABOUT}; 3 pairs a point, windows of 20 s." in found
    base = "450 µs of CPU in the open loop, 450 µs at saturation, p50 3.0 ms, p99 9.1 ms, 2,000"
    assert f"**partitions of each input topic**; the base: {base} requests/s at most" in found
    assert f"| 8 | 3 of 3 | 1.10 (1.10 to 1.10) |{' 1.00 (1.00 to 1.00) |' * 4}" in found
    rates = [line for line in found.splitlines() if line.startswith("| 95% |")]
    assert len(rates) == 1
    assert rates[0].endswith("| unknown |"), "nobody saturates a rate"


def test_a_machine_that_is_slower_for_half_of_a_pair_is_not_what_grew() -> None:
    """Only where both sides have the same load: else a generator takes other CPU for it."""
    changed = {
        "cpu_us": {group: 1.5 * us for group, us in CPU_US.items()},
        "saturated_cpu_us": {group: 1.5 * us for group, us in CPU_US.items()},
        "saturated_per_s": QUEUE.capacity_per_s / 1.5,
    }
    for axis, us, per_s in (("gateways", "1.00", "1.00"), ("basket", "1.50", "0.67")):
        (row,) = [
            line
            for line in table(study(point(axis, 2.0, (1.0,) * 3, **changed)), ABOUT).splitlines()
            if line.startswith("| 2 |")
        ]
        assert row.startswith(f"| 2 | 3 of 3 | {us} ({us} to {us}) | {us} ({us} to {us}) |")
        assert row.endswith(f"| {per_s} ({per_s} to {per_s}) |")


def test_what_is_not_sound_is_not_in_it() -> None:
    found = table(study(point(RATE, 0.5), point(RATE, 0.6, verdict="void")), ABOUT)
    assert "| 50% |" in found
    assert "| 60% |" not in found
    half = Machine({"gateways": 2.0}, point(MACHINE, 1.0, slower=(1.0,)))
    assert "several at once" not in table(replace(study(), machines=[half]), ABOUT)


def test_machines_are_in_it() -> None:
    machine = Machine({"gateways": 2.0, "partitions": 4.0}, point(MACHINE, 1.0))
    found = table(replace(study(), machines=[machine]), ABOUT)
    assert "**several at once**" in found
    assert "| gateways 2, partitions 4 | 3 of 3 |" in found


def test_cpu_of_which_a_part_is_unknown_is_unknown() -> None:
    assert cpu_us(figures()) == 450.0
    assert cpu_us(figures(cpu_us={"flink": 1.0, "kafka": 1.0})) is None


def test_what_the_gateway_costs_is_the_difference_of_both_ways() -> None:
    less = {"gateway": 1.0, "kafka": 90.0, "flink": 220.0, "generator": 29.0}
    base = figures(p50_ms=4.0, p99_ms=20.0)
    own = [figures(p50_ms=3.25, p99_ms=18.5, cpu_us=less), figures(p50_ms=3.0, cpu_us=less),
           figures(p50_ms=3.5, p99_ms=18.5, cpu_us=less)]  # fmt: skip
    found = study(Point(WAY, 1.0, [Pair(each, base) for each in own]))
    cost = gateway_cost(found)
    assert cost is not None
    assert "+0.75 ms of p50, +1.50 ms of p99 and +200 µs of CPU a request at 100/s" in cost
    assert "medians of 3 pairs" in cost
    assert cost in table(found, ABOUT)
    assert gateway_cost(study()) is None
    untold = [Pair(figures(cpu_us={"gateway": 1.0}), base)] * 3
    assert gateway_cost(study(Point(WAY, 1.0, untold))) is None
