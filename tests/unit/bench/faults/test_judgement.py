"""A fault whose run keeps every promise, and each way in which one does not."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made_run import PhaseSpec, made_run

from bench.faults.fault import CLUSTER_FAULTS, FAULTS, Bite, Injected
from bench.faults.judgement import (
    COUNTERS_LOST,
    RESPONSES,
    Bitten,
    Found,
    Loaded,
    judge,
    lost_s,
    others_failed,
    recovered_s,
)
from bench.faults.table import into, table, totals
from bench.judge.host_health import STOLEN
from bench.judge.ledger import balance
from bench.judge.reply_contract import RESENT
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
        made, ledger=ledger, invariants=kept, wrong_answers=WrongAnswers(0, []), reasons=[],
        settings=replace(made.settings, rate="10"),
    )  # fmt: skip


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


def judged(run: RunRecord, name: str = "kill-taskmanager", **given: Any) -> Found:
    began_ns = opened_ns(run) + 10 * SECOND_NS
    bite = given.get("bite", Bitten(began_ns, began_ns + SECOND_NS, "it ended"))
    history = given.get("history", rows(run))
    loaded = Loaded(run, Path(), history, [], given.get("in_flight", 0))
    return judge(name, (FAULTS | CLUSTER_FAULTS)[name], loaded, bite)


def test_every_promise_is_kept(run: RunRecord) -> None:
    found = judged(run)
    assert found.broken == []
    assert found.recovered_s == pytest.approx(4, abs=0.3)
    assert (found.requests, found.checkouts, found.unknown, found.span_s) == (300, 260, 0, 1)


def test_a_recovery_counts_from_the_end_of_a_pause(run: RunRecord) -> None:
    assert judged(run, "pause-broker-5").recovered_s == pytest.approx(3, abs=0.3)


def test_a_recovery_counts_from_the_kill_that_a_replay_has_in_it(run: RunRecord) -> None:
    """It has begun ten seconds before; so has one that waits for a checkpoint."""
    began_ns, struck_ns = (opened_ns(run) + at_s * SECOND_NS for at_s in (10, 20))
    bite = Bitten(began_ns, began_ns + 11 * SECOND_NS, "it ended", struck_ns=struck_ns)
    for name in ("replay-across-restart", "kill-broker-at-checkpoint"):
        found = judged(run, name, history=rows(run, (20, 24)), bite=bite)
        assert found.recovered_s == pytest.approx(4, abs=0.3)


def test_a_system_that_answered_nothing_before_has_not_recovered(run: RunRecord) -> None:
    """Nothing was lost of nothing, and the promises held."""
    assert judged(run, history=rows(run, (0, 30))).recovered_s is None
    assert judged(run, history=rows(run, (0, 30))).state == "broken"


def test_what_an_earlier_fault_has_cost_is_no_recovery(run: RunRecord) -> None:
    """A fifth less each time, and each time it was as before."""
    kept = [row for number, row in enumerate(rows(run, (10, 14))) if number % 5 < 3]
    assert judged(run, history=kept).recovered_s is None
    worn = replace(run, settings=replace(run.settings, rate="6"))
    assert judged(worn, history=kept).recovered_s == pytest.approx(4, abs=0.5)


@pytest.mark.parametrize(("dropped", "state"), [(10, "hold"), (11, "unknown")])
def test_what_was_not_sent_may_be_the_worst_of_it(run: RunRecord, dropped: int, state: str) -> None:
    phase = run.phases[-1]
    assert phase.window is not None
    assert phase.window.open is not None
    told = replace(phase.window.open, scheduled=1000, dropped=dropped)
    window = replace(phase.window, open=told)
    found = judged(replace(run, phases=[replace(phase, window=window)]))
    assert found.state == state
    assert ("11 of 1000 requests were not sent" in " ".join(found.unsure)) == (dropped > 10)
    slow = judged(replace(run, phases=[replace(phase, window=window)]), history=rows(run, (10, 30)))
    assert slow.state == ("broken" if dropped <= 10 else "unknown"), "what was not sent can't come"


def test_a_load_that_ends_before_the_goal_does_not_tell(run: RunRecord) -> None:
    """A broker has 20 s to be back, and 4 s more show that it is: the load has 25 s or 23."""
    for at_s, state in ((5, "broken"), (7, "unknown")):
        began_ns = opened_ns(run) + at_s * SECOND_NS
        bite = Bitten(began_ns, began_ns + SECOND_NS, "it ended")
        found = judged(run, "kill-broker", bite=bite, history=rows(run, (at_s, 30)))
        assert found.state == state


@pytest.mark.parametrize(
    ("excused", "lost"),
    [
        ([], [10, 11, 12, 13]),
        ([(10, 14)], []),
        ([(9, 11), (13, 20)], [11, 12]),
        ([(0, 10), (14, 30)], [10, 11, 12, 13]),
    ],
)
def test_a_throughput_is_lost_outside_of_the_faults(
    run: RunRecord, excused: list[tuple[int, int]], lost: list[int]
) -> None:
    answers = [row.done_ns for row in rows(run) if row.status == 200]
    opened = opened_ns(run)
    span_ns = opened, opened + 30 * SECOND_NS
    spans = [(opened + began * SECOND_NS, opened + ended * SECOND_NS) for began, ended in excused]
    assert lost_s(answers, span_ns, spans) == lost
    assert lost_s([], span_ns, spans) == []  # not even: no second is usual
    assert lost_s(answers, (opened, opened), spans) == []


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
        (judged(run, bite=Bitten(opened_ns(run), None, "")), "nothing shows that the fault bit"),
        (judged(run, bite=Bitten(opened_ns(run), None, "", ("it is slow",))), "it is slow"),
        (judged(run, "poison"), "40 requests of others failed"),
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


def test_the_cluster_may_refuse_and_not_fail(run: RunRecord) -> None:
    for name in CLUSTER_FAULTS:
        assert judged(run, name).broken == []
        history = changed_row(run, status=504)
        assert judged(run, name, history=history).broken == ["1 requests of others failed"]
        cut = judged(run, name, history=changed_row(run, status=0)).broken
        assert cut == ([] if "gateway" in name else ["1 requests had no answer"])


def test_what_is_late_while_other_guests_have_the_machine_is_unknown(run: RunRecord) -> None:
    history, never = rows(run, (10, 30)), "the throughput did not come back"
    assert judged(run, history=history).broken == [never]
    why = f"open: the hypervisor took 12% of the machine's time, at most 5% is allowed: {STOLEN}"
    taken = replace(run, reasons=[why])
    found = judged(taken, history=history)
    assert (found.state, found.broken, found.unsure) == ("unknown", [], [f"{never}: {why}"])
    wrong = replace(taken, wrong_answers=WrongAnswers(1, ["no"]))
    assert judged(wrong, history=history).broken == ["1 wrong answers"], "that is no matter of time"


def test_who_is_spared_by_one_fault_may_fail_by_another() -> None:
    """In a soak they come one after the other."""

    def met(name: str, began_s: int, healed_s: int) -> Injected:
        return Injected(name, FAULTS[name], began_s * SECOND_NS, healed_s * SECOND_NS, Bite("it"))

    def failed(sent_s: float, done_s: float) -> Row:
        times = round(sent_s * SECOND_NS), round(done_s * SECOND_NS)
        return Row("checkout", "/", None, *times, 504, {})

    poison = met("poison", 30, 35)
    assert others_failed([failed(29, 34), failed(35, 40)], [poison]) == [], "before and after"
    line = "poison: 2 requests of others failed"
    history = [failed(30, 35), failed(34.9, 39)]
    assert others_failed(history, [poison]) == [line]
    broker = met("kill-broker", 10, 11)  # back by 31
    assert others_failed([*history, failed(30.9, 35)], [broker, poison]) == [
        "poison: 1 requests of others failed"
    ]
    assert others_failed(history, [met("kill-broker", 30, 35)]) == []
    cut = failed(31, 32)._replace(status=0)
    assert others_failed([cut], [poison]) == ["poison: 1 requests of others failed"]
    assert others_failed([cut], [met("deaf-clients", 30, 35)]) == [], "it may cut connections"
    replay = met("replay-at-once", 30, 35)
    assert others_failed(history, [poison, replay]) == [
        line,
        line.replace("poison", "replay-at-once"),
    ]


def test_others_may_ask_more_and_never_less(run: RunRecord) -> None:
    for remainder, broken in ((3, []), (-3, [f"{RESPONSES}: -3 unaccounted for"])):
        ledger = LedgerRecord([EntryRecord(RESPONSES, 10, {}, remainder)], [])
        found = judged(replace(run, ledger=ledger), "fuzzed-requests", history=rows(run, (0, 0)))
        assert found.broken == broken


@pytest.mark.parametrize("code", ["checkout_expired", "idempotency_key_expired", "bad_request"])
def test_work_that_is_refused_as_too_late_is_not_done(run: RunRecord, code: str) -> None:
    def refusing(code: str) -> list[Row]:
        body = {"error": {"code": code}}
        late_ns = opened_ns(run) + 10 * SECOND_NS
        return [
            row._replace(status=409, body=body) if row.sent_ns >= late_ns else row
            for row in rows(run, (0, 0))
        ]

    assert judged(run, history=refusing(code)).broken == ["the throughput did not come back"]
    assert "200 requests of others failed" in judged(run, "poison", history=refusing(code)).broken
    assert judged(run, history=refusing("out_of_stock")).broken == []


def many(run: RunRecord, during_ms: int, after_ms: int = 10) -> list[Row]:
    """A hundred requests a second over 30 s: the first ten take 10 ms each."""
    found = []
    for number in range(3000):
        at_ns = opened_ns(run) + number * SECOND_NS // 100
        took_ms = 10 if number < 1000 else during_ms if number < 2000 else after_ms
        found.append(Row("checkout", "/", None, at_ns, at_ns + took_ms * 1_000_000, 200, {}))
    return found


def test_a_crowd_may_double_the_latency_of_a_normal_client(run: RunRecord) -> None:
    began_ns = opened_ns(run) + 10 * SECOND_NS
    bite = Bitten(began_ns, began_ns + 10 * SECOND_NS, "they came")

    def found(history: list[Row]) -> Found:
        return judged(run, "slow-headers", bite=bite, history=history)

    assert found(many(run, 20)).state == "hold"
    told = "p99 was 21 ms during, 10 ms before, 10 ms after: more than 2 times"
    assert found(many(run, 21)).broken == [told]
    assert found(many(run, 21, after_ms=11)).state == "hold"
    uneven = found(many(run, 21, after_ms=21))
    assert (uneven.state, uneven.broken) == ("unknown", [])
    assert found(many(run, 20, after_ms=21)).state == "hold"
    assert found(many(run, 23, after_ms=11)).state == "broken"
    of_one_in_fifty = [
        row._replace(status=0) if number % 50 == 0 and 1000 <= number < 2000 else row
        for number, row in enumerate(many(run, 20))
    ]
    (cut,) = judged(run, "deaf-clients", bite=bite, history=of_one_in_fifty).broken
    assert cut == "p99 was 3,600,000 ms during, 10 ms before, 10 ms after: more than 2 times"
    few = found(rows(run, (0, 0)))
    assert few.unsure == ["fewer than 500 requests to compare: 100 during, 100 before, 100 after"]


def test_a_crowd_is_compared_with_all_that_was_without_it(run: RunRecord) -> None:
    """A few slow ones after it, which a checkpoint made, are not the p99 of the whole."""
    began_ns = opened_ns(run) + 10 * SECOND_NS
    bite = Bitten(began_ns, began_ns + 10 * SECOND_NS, "they came")

    def with_slow(number: int) -> Found:
        """So many of the thousand requests after the crowd take 19 ms."""
        history = many(run, 30)
        slow = [row._replace(done_ns=row.sent_ns + 19_000_000) for row in history[2000:][:number]]
        history[2000 : 2000 + number] = slow
        return judged(run, "slow-headers", bite=bite, history=history)

    assert with_slow(10).state == "broken"
    assert with_slow(19).state == "unknown"
    assert with_slow(22).state == "hold"


def test_what_begins_to_fail_later_has_not_recovered_before(run: RunRecord) -> None:
    """A JobManager's death is noticed some seconds later."""
    assert judged(run, history=rows(run, (13, 17))).recovered_s == pytest.approx(7, abs=0.3)
    found = judged(run, history=rows(run, (13, 30)))
    assert found.recovered_s is None
    assert found.broken == ["the throughput did not come back"]


def test_what_falls_as_the_load_ends_is_unknown(run: RunRecord) -> None:
    history = [row for row in rows(run) if not 29 <= (row.done_ns - opened_ns(run)) / 1e9 < 29.9]
    found = judged(run, history=history)
    assert found.recovered_s == pytest.approx(4, abs=0.3)
    assert (found.broken, found.state) == ([], "unknown")
    assert found.unsure == ["in the last 4 s the throughput fell again: too late to tell"]


@given(st.integers(0, 80), st.integers(5, 20))
def test_a_recovery_is_when_the_silence_ends(silent: int, per_s: int) -> None:
    """In tenths of a second."""
    times = [n * SECOND_NS // per_s for n in range(40 * per_s)]
    began_ns = 10 * SECOND_NS
    healed_ns = began_ns + silent * SECOND_NS // 10
    answers = [at_ns for at_ns in times if not began_ns <= at_ns < healed_ns]
    found = recovered_s(answers, (0, 40 * SECOND_NS), began_ns, began_ns)
    assert found is not None
    assert silent / 10 - 0.5 <= found <= silent / 10 + 0.2


def test_what_comes_back_later_than_its_goal_is_named(run: RunRecord) -> None:
    found = replace(judged(run, "kill-broker"), recovered_s=20.0)
    assert totals([found]).endswith("again with their request_id, and were answered.")
    text = totals([found, replace(found, seed=3, recovered_s=20.1)])
    assert text.endswith("answered. Later than their goal: kill-broker of seed 3 (20.1 s).")


def test_how_many_writes_were_sent_again(run: RunRecord) -> None:
    assert run.invariants is not None

    def of(*counts: int) -> Found:
        assert run.invariants is not None
        sums = run.invariants.totals | dict(zip(RESENT, counts, strict=True))
        return judged(replace(run, invariants=replace(run.invariants, totals=sums)))

    found = of(1200, 30, 0)
    assert (found.resent, found.broken) == (1200, [])
    assert "2,400 writes that had no answer in time were sent again" in totals([found, found])
    assert of(1200, 0, 2).broken == ["2 writes that were sent again had no answer"]
    assert judged(run).resent == 0


def test_the_table_goes_into_its_page(run: RunRecord) -> None:
    found = replace(judged(run, "kill-broker"), recovered_s=4.0)
    text = table([found, replace(found, broken=["money: 2"], recovered_s=None)], "Here.")
    assert "| kill-broker | 1 | 1.0 | 300 | 260 | 40 | 0 | 0.01 | 4.0 | 20 | 0 | hold | 0 |" in text
    assert "| 20 | 0 | broken: money: 2 | 0 |" in text
    assert "the promises held in 1, were broken in 1. In all 600 requests, 520 paid" in text
    page = into("# A\n<!-- faults:begin -->\nold\n<!-- faults:end -->\nend\n", text)
    assert page == f"# A\n<!-- faults:begin -->\n{text}<!-- faults:end -->\nend\n"
    with pytest.raises(ValueError, match="no place"):
        into("# A\n", text)
