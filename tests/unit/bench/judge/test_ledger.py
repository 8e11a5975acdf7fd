"""A ledger that balances, and each way in which it does not."""

from support.made_ledger import FOOTERS, HISTORY, gateway, row

from bench.judge.ledger import balance, balance_samples
from bench.records import samples
from bench.records.gateway_counts import rise
from bench.records.request_log import Footer


def test_all_accounted_for() -> None:
    ledger = balance(HISTORY, FOOTERS, gateway())
    assert not ledger.faults
    assert [entry.total for entry in ledger.entries] == [7, 6, 4, 3, 3]


def test_a_missing_row() -> None:
    (fault,) = balance([*HISTORY[:4], HISTORY[5]], FOOTERS, gateway(responses=3)).faults
    assert fault == "scheduled requests: 7 in all, 1 unaccounted for"


def test_a_response_that_no_generator_saw() -> None:
    (fault,) = balance(HISTORY, FOOTERS, gateway(responses=6)).faults
    assert fault == "responses of the gateway: 6 in all, 1 unaccounted for"


def test_the_response_of_a_broken_connection_may_have_been_sent() -> None:
    assert not balance(HISTORY, FOOTERS, gateway(responses=5)).faults


def test_a_status_that_the_contract_does_not_know() -> None:
    history, footers = [*HISTORY, row(500)], [*FOOTERS, Footer(1, 0)]
    (fault,) = balance(history, footers, gateway(responses=5)).faults
    assert fault == "sent requests: 7 in all, 1 unaccounted for"


def test_a_malformed_reply() -> None:
    (fault,) = balance(HISTORY, FOOTERS, gateway(malformed=1)).faults
    assert fault == "replies: 4 in all, 1 unaccounted for"


def test_a_record_that_became_nothing() -> None:
    (fault,) = balance(HISTORY, FOOTERS, gateway(timeouts=0)).faults
    assert fault == "records of the gateway: 3 in all, 1 unaccounted for"


def test_a_generator_that_was_killed() -> None:
    faults = balance(HISTORY, [Footer(6, 0), None], gateway()).faults
    assert faults == ["1 generators did not come to their end"]


def test_a_gateway_that_was_started_anew() -> None:
    again = gateway()._replace(workers=frozenset({"other"}))
    faults = balance(HISTORY, FOOTERS, rise(gateway(), again)).faults
    assert faults == ["the gateway's counters could not be read, or it was started anew"]


def test_the_samples_of_any_target() -> None:
    footers = [samples.Footer(scheduled=10, sent=8), samples.Footer(scheduled=5, sent=5)]
    assert not balance_samples(13, 2, footers).faults
    assert balance_samples(12, 2, footers).faults == [
        "scheduled samples: 15 in all, 1 unaccounted for",
        "sent samples: 13 in all, 1 unaccounted for",
    ]
    assert balance_samples(8, 2, [footers[0], None]).missing == [
        "1 generators did not come to their end"
    ]
