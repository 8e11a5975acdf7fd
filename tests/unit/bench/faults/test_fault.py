"""Faults are healed before they are judged, and the seed says which parts they meet."""

import pytest

from bench.faults.crowds import KINDS
from bench.faults.fault import AHEAD, BEHIND, CLUSTER_FAULTS, FAULTS, FUZZ, IDLE, PARTS, WHOLE_S_MAX
from bench.faults.injection import INJECTORS
from bench.faults.up import FOLDERS
from bench.probes.registry import PROBES
from bench.run.settings import DURATION_S_MAX

ALL = FAULTS | CLUSTER_FAULTS


@pytest.mark.parametrize("name", ALL)
def test_a_fault_is_healed_before_it_is_judged(name: str) -> None:
    fault = ALL[name]
    assert fault.span_s >= fault.start_s > 0
    assert fault.duration_s > fault.wait_s or not fault.wait_s
    is_at_once = fault.kind in ("kill", "kill-up") and not fault.what
    assert (fault.duration_s > 0) != is_at_once
    assert fault.span_s + fault.after_s < DURATION_S_MAX
    assert fault.after_s > fault.recovery_s_max
    assert fault.after_s > WHOLE_S_MAX or fault.kind != "fill"


@pytest.mark.parametrize("name", FAULTS)
def test_each_kind_has_what_puts_it_in(name: str) -> None:
    fault = FAULTS[name]
    assert fault.kind in {*INJECTORS, "probe"}
    known = {
        "clock": {AHEAD, BEHIND},
        "crowd": {*KINDS, FUZZ, IDLE},
        "probe": PROBES,
        "fill": FOLDERS,
    }
    assert fault.what in known.get(fault.kind, {fault.what})


def test_the_seed_chooses_the_pair() -> None:
    pair = FAULTS["kill-pair"]
    assert pair.of(7) == pair.of(7)
    chosen = [pair.of(seed) for seed in range(100)]
    assert {len(set(each.parts)) for each in chosen} == {2}
    assert len({frozenset(each.parts) for each in chosen}) == 6
    assert {part for each in chosen for part in each.parts} == set(PARTS)
    for each in chosen:
        assert each.cuts_connections == each.ends_gateway == ("gateway" in each.parts)
    assert FAULTS["kill-broker"].of(7) == FAULTS["kill-broker"]


def test_the_cluster_loses_each_of_its_processes() -> None:
    assert CLUSTER_FAULTS.keys() == {
        *("lose-kafka", "lose-kafka-2", "lose-kafka-3"),
        *("lose-taskmanager", "lose-taskmanager-2", "lose-jobmanager"),
        *("lose-gateway", "lose-gateway-2"),
    }
    ends = {name for name, fault in CLUSTER_FAULTS.items() if fault.ends_gateway}
    assert ends == {"lose-gateway", "lose-gateway-2"}
