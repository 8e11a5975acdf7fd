"""A fault whose run keeps every promise, and each way in which one does not."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_run import PhaseSpec, made_run

from bench.faults.fault import FAULTS
from bench.faults.judgement import COUNTERS_LOST, Found, judge, recovered_s
from bench.faults.table import into, table
from bench.judge.ledger import balance
from bench.records.request_log import Row
from bench.records.run_files import read_run
from bench.records.run_record import EntryRecord, LedgerRecord, RunRecord, WrongAnswers

SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunRecord:
    folder = tmp_path_factory.mktemp("faults") / "run"
    made_run(folder, (PhaseSpec("open", rate_per_s=50, duration_s=30),))
    ledger = LedgerRecord([EntryRecord("sent requests", 1, {"ok": 1}, 0)], [])
    made = read_run(folder)
    assert made.invariants is not None
    kept = replace(made.invariants, counts=dict.fromkeys(made.invariants.counts, 0))
    return replace(
        made, ledger=ledger, invariants=kept, wrong_answers=WrongAnswers(0, []), reasons=[]
    )


def opened_ns(run: RunRecord) -> int:
    window = run.phases[-1].window
    assert window is not None
    return window.opened_ns


def rows(run: RunRecord, silent_s: tuple[float, float] = (10, 14)) -> list[Row]:
    """Ten requests a second over 30 s, answered at once but for the silence."""
    found = []
    for number in range(300):
        at_ns = opened_ns(run) + number * SECOND_NS // 10
        is_silent = silent_s[0] <= number / 10 < silent_s[1]
        status, took_ns = (503, 1_000) if is_silent else (200, 10_000_000)
        found.append(Row("checkout", "/", None, at_ns, at_ns + took_ns, status, {}))
    return found


def judged(run: RunRecord, name: str = "kill-broker", **given: Any) -> Found:
    began_ns = opened_ns(run) + 10 * SECOND_NS
    bite = given.get("bite", (began_ns, began_ns + SECOND_NS, "it ended"))
    history = given.get("history", rows(run))
    return judge(name, FAULTS[name], run, history, bite, given.get("in_flight", 0))


def test_every_promise_is_kept(run: RunRecord) -> None:
    found = judged(run)
    assert found.broken == []
    assert found.recovered_s == pytest.approx(4, abs=0.3)
    assert (found.requests, found.checkouts, found.unknown, found.span_s) == (300, 260, 0, 1)


def test_a_recovery_counts_from_the_end_of_a_pause(run: RunRecord) -> None:
    assert judged(run, "pause-broker-5").recovered_s == pytest.approx(3, abs=0.3)


def lost(run: RunRecord) -> RunRecord:
    return replace(run, ledger=LedgerRecord([], [COUNTERS_LOST]))


def changed_row(run: RunRecord, **change: Any) -> list[Row]:
    first, *others = rows(run)
    return [first._replace(**change), *others]


def test_each_broken_promise_is_told(run: RunRecord) -> None:
    assert run.invariants is not None
    doubled = replace(run.invariants, counts={**run.invariants.counts, "money": 2})
    entry = EntryRecord("records of the gateway", 3, {"replied": 2}, 1)
    six_s = opened_ns(run) + 6 * SECOND_NS + 1
    for found, told in (
        (judged(run, bite=(opened_ns(run), None, "")), "nothing shows that the fault bit"),
        (judged(replace(run, invariants=doubled)), "money: 2"),
        (judged(replace(run, ledger=LedgerRecord([entry], []))),
         "records of the gateway: 1 unaccounted for"),
        (judged(lost(run)), COUNTERS_LOST),
        (judged(replace(run, wrong_answers=WrongAnswers(1, ["x"]))), "1 wrong answers"),
        (judged(run, history=changed_row(run, done_ns=six_s)), "an answer took 6.0 s"),
        (judged(run, history=changed_row(run, status=0)), "1 requests had no answer"),
        (judged(run, in_flight=2), "in flight at the end: 2"),
        (judged(run, in_flight=None), "in flight at the end: unknown"),
        (judged(run, history=rows(run, (10, 30))), "the throughput did not come back"),
        (judged(replace(run, invariants=None, reasons=["it ended early"])), "it ended early"),
        (judged(replace(run, invariants=None)), "the run was not judged"),
    ):  # fmt: skip
        assert told in found.broken


def test_only_a_killed_gateway_may_cut_connections_and_lose_its_counts(run: RunRecord) -> None:
    history = changed_row(run, status=0)
    assert judged(lost(run), "kill-gateway", history=history).broken == []
    assert balance([], [], None).missing == [COUNTERS_LOST]


@given(st.integers(0, 80), st.integers(5, 20))
def test_a_recovery_is_when_the_silence_ends(silent: int, per_s: int) -> None:
    """In tenths of a second."""
    times = [n * SECOND_NS // per_s for n in range(40 * per_s)]
    began_ns = 10 * SECOND_NS
    healed_ns = began_ns + silent * SECOND_NS // 10
    answers = [at_ns for at_ns in times if not began_ns <= at_ns < healed_ns]
    found = recovered_s(answers, 0, began_ns, began_ns)
    assert found is not None
    assert silent / 10 - 0.5 <= found <= silent / 10 + 0.2


def test_the_table_goes_into_its_page(run: RunRecord) -> None:
    found = replace(judged(run), recovered_s=4.0)
    text = table([found, replace(found, broken=["money: 2"], recovered_s=None)], "Here.")
    assert "| kill-broker | 1 | 1.0 | 300 | 260 | 0 | 0.01 | 4.0 | 20 |" in text
    assert "| 20 | 0 | money: 2 |" in text
    page = into("# A\n<!-- faults:begin -->\nold\n<!-- faults:end -->\nend\n", text)
    assert page == f"# A\n<!-- faults:begin -->\n{text}<!-- faults:end -->\nend\n"
    with pytest.raises(ValueError, match="no place"):
        into("# A\n", text)
