"""A ledger that balances, and each way in which it does not."""

from collections import Counter
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st
from support.made_ledger import FOOTERS, HISTORY, gateway, row

from bench.judge.ledger import balance, balance_samples
from bench.records import samples
from bench.records.gateway_counts import Metrics, rise
from bench.records.request_log import Footer, Row


def test_all_accounted_for() -> None:
    ledger = balance(HISTORY, FOOTERS, gateway())
    assert not ledger.faults
    assert [entry.total for entry in ledger.entries] == [7, 6, 4, 3, 3, 3]


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


def test_the_broker_stops_under_load() -> None:
    """Requests time out while their records wait, which are then not sent, or nobody knows."""
    counts = gateway(timeouts=8)._replace(
        records=Counter(acknowledged=3, unknown=1, not_sent=8), withdrawn=2
    )
    history = [*HISTORY, *(row(503) for _ in range(2)), *(row(504) for _ in range(7))]
    ledger = balance(history, [*FOOTERS, Footer(9, 0)], counts._replace(responses=13))
    assert not ledger.faults
    assert ledger.entries[-1].parts["of unknown fate"] == 1
    assert ledger.entries[-2].parts == {"replied": 2, "timed out": 8, "refused": 2}
    lost = counts._replace(responses=13, records=counts.records + Counter(acknowledged=1))
    (fault,) = balance(history, [*FOOTERS, Footer(9, 0)], lost).faults
    assert fault == "records of the gateway: 13 in all, 1 unaccounted for"


def test_the_supervisor_asks_while_something_is_mended() -> None:
    asked = gateway(responses=5)._replace(echo_responses=1)
    assert not balance([*HISTORY[:5], row(504)], FOOTERS, asked._replace(responses=6)).faults
    (fault,) = balance([*HISTORY, row(200, "echo")], [*FOOTERS, Footer(1, 0)], gateway(7)).faults
    assert fault.startswith("responses of the gateway: 7 in all")


COUNTS = (
    *("answered", "withdrawn", "overloaded", "timed_out", "timed_out_unknown", "timed_out_unsent"),
    *("answered_unknown", "cut_answered", "cut_before", "cut_timed_out", "index", "dropped"),
    *("late", "duplicate", "echoes"),
)


@dataclass
class World:
    """What a generator, a gateway and a broker really did, and what each counts of it."""

    happened: Counter[str]

    def history(self) -> list[Row]:
        of = self.happened
        statuses = {
            200: of["answered"] + of["answered_unknown"],
            503: of["withdrawn"] + of["overloaded"],
            504: of["timed_out"] + of["timed_out_unknown"] + of["timed_out_unsent"],
            0: of["cut_answered"] + of["cut_before"] + of["cut_timed_out"],
        }
        rows = [row(status) for status, count in statuses.items() for _ in range(count)]
        return rows + [row(200, "index")] * of["index"]

    def footers(self) -> list[Footer]:
        return [Footer(len(self.history()) + self.happened["dropped"], self.happened["dropped"])]

    def gateway(self) -> Metrics:
        of = self.happened
        seen = sum(row.status > 0 and row.operation != "index" for row in self.history())
        return Metrics(
            responses=seen + of["cut_answered"] + of["cut_timed_out"] + of["echoes"],
            replies=Counter(
                matched=of["answered"] + of["answered_unknown"] + of["cut_answered"] + of["echoes"],
                late=of["late"],
                duplicate=of["duplicate"],
            ),
            records=Counter(
                acknowledged=of["answered"]
                + of["timed_out"]
                + of["cut_answered"]
                + of["cut_timed_out"]
                + of["echoes"],
                unknown=of["timed_out_unknown"] + of["answered_unknown"],
                not_sent=of["withdrawn"] + of["timed_out_unsent"],
            ),
            timeouts=of["timed_out"]
            + of["timed_out_unknown"]
            + of["timed_out_unsent"]
            + of["cut_timed_out"],
            in_flight=0,
            workers=frozenset({"gw"}),
            withdrawn=of["withdrawn"],
            echo_responses=of["echoes"],
        )


worlds = st.builds(
    World, st.fixed_dictionaries({name: st.integers(0, 20) for name in COUNTS}).map(Counter)
)


@given(worlds)
def test_any_consistent_world_balances(world: World) -> None:
    assert not balance(world.history(), world.footers(), world.gateway()).faults


@given(
    worlds,
    st.sampled_from(
        ["matched", "timeouts", "withdrawn", "acknowledged", "unknown", "not_sent", "row"]
    ),
    st.sampled_from([-1, 1]),
)
def test_a_single_lost_or_doubled_item_does_not(world: World, item: str, change: int) -> None:
    history, counts = world.history(), world.gateway()
    if item == "row":
        history = [*history, row(200)] if change > 0 else history[1:]
        if len(history) == len(world.history()):
            return  # there was none to lose
    elif item == "matched":
        counts.replies[item] += change
    elif item in ("acknowledged", "unknown", "not_sent"):
        counts.records[item] += change
    else:
        counts = counts._replace(**{item: getattr(counts, item) + change})
    assert balance(history, world.footers(), counts).faults


@given(worlds, st.integers(1, 20))
def test_no_more_responses_are_lost_than_connections(world: World, more: int) -> None:
    counts = world.gateway()
    most = counts.responses + world.happened["cut_before"]
    held = counts._replace(responses=most)
    assert not balance(world.history(), world.footers(), held).faults
    beyond = counts._replace(responses=most + more)
    assert balance(world.history(), world.footers(), beyond).faults


def test_a_fate_of_no_known_name() -> None:
    counts = gateway()
    counts.records["vanished"] += 1
    assert balance(HISTORY, FOOTERS, counts).faults == [
        "fates of records: 4 in all, 1 unaccounted for"
    ]
