"""Whatever a system answers is counted and judged: nothing that it sends ends the load."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.judge.final_reads import ids_in
from bench.judge.invariants import check
from bench.judge.reply_contract import FIELDS, Final, faults, malformed
from bench.records import request_log, samples
from bench.records.request_log import History, Row
from bench.workload.answer import Received
from bench.workload.journey import Call, Reply, WrongAnswerError, advance
from bench.workload.scenarios import ShopCustomers
from bench.workload.sources import Journeys

REQUESTS = 60
TIMES_NS = (1, 2, 3)
fields = st.sampled_from(
    ["user_id", "order_id", "item_id", "credit", "stock", "price", "items", "total_cost", "amount",
     "paid", "request_id", "error", "code", "version", "trace"]
)  # fmt: skip
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 2**53)
    | st.text(max_size=3)
    | st.sampled_from(["a/b", "?", "u"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(fields, inner, max_size=3),
    max_leaves=6,
)
bodies = (values | st.dictionaries(fields, values, max_size=8)).map(orjson.dumps)
answers = st.tuples(
    st.sampled_from([200, 200, 200, 400, 404, 409, 500, 502, 503]), bodies | st.binary(max_size=8)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(answers, min_size=1, max_size=8), st.booleans())
@example([(200, b"[]"), (200, b"null"), (200, b"3"), (200, b"{}")], False)
@example([(502, b'{"error":"bad gateway"}'), (200, b'{"error":{"code":[]}}')], True)
def test_any_answers_are_recorded_and_judged(found: list[tuple[int, bytes]], traced: bool) -> None:
    with TemporaryDirectory() as folder:
        at = Path(folder)
        writer, record = samples.Writer(at / "samples"), request_log.Writer(at / "history")
        source = Journeys(
            *(ShopCustomers(1, count=2), lambda call, traced: call, writer, record),
            *(at / "traces", int(traced)),
        )
        source.prepare()
        for number in range(REQUESTS):
            context, call = source.next_prepared() or source.next()
            assert isinstance(call, Call)
            status, body = found[number % len(found)]
            label = source.answered(context, Received(status, b"", [body]), TIMES_NS)
            assert isinstance(label, int)
        source.close()
        writer.close()
        history = History([at / "history"])
        assert sum(1 for _ in history) == REQUESTS
        final = Final({}, {}, {})
        ids_in(history)
        check(history, final)


def test_what_was_not_sent_is_no_request(tmp_path: Path) -> None:
    """This machine had no port for it: it was in the history, and the system was blamed."""
    writer, record = samples.Writer(tmp_path / "a.bin"), request_log.Writer(tmp_path / "history")
    customers = ShopCustomers(1, count=2)
    source = Journeys(
        *(customers, lambda call, traced: call, writer, record), *(tmp_path / "traces", 0)
    )
    source.prepare()
    context, _ = source.next_prepared() or source.next()
    writer.scheduled = 2
    source.failed(context, samples.DROPPED_LIMIT, TIMES_NS)
    context, _ = source.next_prepared() or source.next()
    writer.sent = 1
    source.failed(context, "timeout", TIMES_NS)
    source.close()
    writer.close()
    (row,) = History([tmp_path / "history"])
    assert row.status == 0
    assert (record.scheduled, record.dropped) == (2, 1)


BODIES: dict[str, Any] = {
    **dict.fromkeys(("user_id", "order_id", "item_id", "status"), "x"),
    **dict.fromkeys(("credit", "stock", "price", "total_cost", "amount"), 1),
    "items": [{"item_id": "i", "price": 1, "quantity": 1}],
    "paid": True,
}


@pytest.mark.parametrize("operation", FIELDS)
def test_a_reply_lacks_nothing_that_the_contract_names(operation: str) -> None:
    names = FIELDS[operation].split()
    body = {name: BODIES[name] for name in names}
    assert malformed(operation, body) is None
    for name in names:
        lacking = {other: value for other, value in body.items() if other != name}
        assert malformed(operation, lacking) == f"the reply to {operation} names no {name}"
        for value in (None, [None], {}, 1.5):
            assert malformed(operation, {**body, name: value}) is not None
        row = Row(operation, "/", None, 1, 2, 200, lacking)
        assert faults(row) == [("final_state", f"the reply to {operation} names no {name}")]


@pytest.mark.parametrize("body", [{}, {"user_id": 1}, {"user_id": "u", "credit": None}])
def test_a_journey_that_lacks_something_ends_with_a_wrong_answer(body: dict[str, Any]) -> None:
    def journey() -> Any:
        reply = yield Call("get_credit", "GET", "/")
        yield Call("x", "GET", reply.body["user_id"] + str(reply.body["credit"] + 1))

    playing = journey()
    next(playing)
    with pytest.raises(WrongAnswerError, match="an answer has another form: "):
        advance(playing, Reply(200, body))
