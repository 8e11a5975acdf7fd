"""Poison is none that a service can handle, and its kinds come by the seed."""

import random

import orjson

from bench.faults.records import KEYS, SERVICES, changed, poison_of
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


def test_a_changed_request_keeps_its_id_and_differs_in_its_amounts() -> None:
    record = {"request_id": "a", "sink": "s", "method": "add_credit",
              "params": {"user_id": "u", "amount": 3}}  # fmt: skip
    again = changed(orjson.dumps(record))
    assert again is not None
    assert orjson.loads(again) == record | {"params": {"user_id": "u", "amount": 4}}
    assert changed(orjson.dumps(record | {"params": {"user_id": "u"}})) is None
