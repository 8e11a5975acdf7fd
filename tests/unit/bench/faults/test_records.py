"""Poison is none that a service can handle, and its kinds come by the seed."""

import random

import pytest

from bench.faults.fault import FAULTS
from bench.faults.records import KEYS, SERVICES, poison_of
from system.routes import SERVICES as HOSTED
from system.services.user import USER
from system.wire import WireError, decode_request


def test_poison_is_no_request_of_a_service() -> None:
    for seed in range(300):
        record = poison_of(random.Random(seed))
        try:
            request = decode_request(record)
        except WireError:
            continue
        assert request.method not in USER.methods or not request.params


def test_the_same_seed_gives_the_same_poison() -> None:
    assert poison_of(random.Random(7)) == poison_of(random.Random(7))


def test_all_services_with_entities_are_met() -> None:
    assert set(SERVICES) <= set(HOSTED)
    assert set(SERVICES) <= set(KEYS)


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_healed_before_it_is_judged(name: str) -> None:
    fault = FAULTS[name]
    assert fault.span_s >= fault.start_s > 0
    assert fault.duration_s > fault.wait_s or not fault.wait_s
    assert (fault.duration_s > 0) == (fault.kind != "kill")
