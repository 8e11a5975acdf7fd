"""run.json and summary.md of hand-made runs."""

from dataclasses import replace
from pathlib import Path

import pytest
from support.made_ledger import FOOTERS, HISTORY, gateway

from bench.generator.spec import Phase
from bench.judge.ledger import Ledger, balance
from bench.judge.reply_contract import INVARIANTS, Report, Violation
from bench.observe.processes import Cpu
from bench.records.request_log import History, HistoryError, Writer, compress
from bench.records.run_files import read_run, write_run
from bench.records.run_record import GroupCpu, RunRecord, SteadyRecord
from bench.records.samples import Window
from bench.records.samples import Writer as SamplesWriter
from bench.report.markdown import summarize
from bench.run.environment import commit, environment
from bench.run.model import Measured
from bench.run.phase_figures import describe, examine
from bench.run.record import Judgement, record_of, was_interrupted
from bench.run.settings import Settings
from bench.stats.steadiness import Steadiness
from machine.whole_files import write

BALANCED = balance(HISTORY, FOOTERS, gateway())
HOLDS = Report(dict.fromkeys(INVARIANTS, 0), [], 5, {"credit": 7})
BROKEN = HOLDS._replace(
    counts={**HOLDS.counts, "money": 1}, violations=[Violation("money", "user u", "credit 3")]
)


def a_history(folder: Path) -> Path:
    path = folder / "history-users-1-0.jsonl"
    writer = Writer(path)
    paid = {"order_id": "o", "paid": True, "total_cost": 7}
    sold_out = {"error": {"code": "out_of_stock", "message": "none left"}}
    for status, body in ((200, paid), (409, sold_out), (0, {"error": {"code": "connection"}})):
        writer.scheduled += 1
        writer.append("checkout", "/orders/checkout/o", None, 10**9, 10**9 + 5000, status, body)
    writer.wrong("checkout: not as it must be")
    writer.close()
    return path


def some_samples(folder: Path) -> Path:
    path = folder / "samples-users-1-0.bin"
    writer = SamplesWriter(path)
    for outcome in ("200", "409 out_of_stock", "connection closed"):
        writer.scheduled += 1
        writer.sent += 1
        label = writer.label("checkout", outcome)
        writer.add((label, 10**9, 10**9, 10**9 + 5000))
    writer.close()
    return path


def a_run(folder: Path, judgement: Judgement) -> RunRecord:
    cpu = {
        "gateway": Cpu(0.5, 0.0, 0.0),
        "kafka": Cpu(0.75, 0.25, 0.125),
        "generator": Cpu(0.25, 0.0, 0.0),
    }
    window = Window(10**9, 3 * 10**9)
    settled = Steadiness(False, "it was too short to tell")
    samples, histories = [some_samples(folder)], [a_history(folder)]
    measured = [
        Measured(
            *(Phase("warmup", 1, 1.0, 0.0), 1, [], [], [], frozenset()),
            *(None, {}, 1.0, settled, False),
        ),
        Measured(
            *(Phase("users-1", 1, 1, 2), 1, samples, histories, [], frozenset(cpu)),
            *(window, cpu, 1.0, None, False),
        ),
    ]
    started = "2026-01-02T03:04:05+00:00"
    where = environment(own_stack=True)
    found = [examine(each) for each in measured]
    phases = [describe(findings) for findings in found]
    return record_of("id", started, Settings(), where, commit(), phases, judgement)


@pytest.mark.parametrize(
    ("judgement", "verdict"),
    [
        (Judgement(BALANCED, HOLDS), "valid"),
        (Judgement(BALANCED, BROKEN), "failed"),
        (Judgement(BALANCED, HOLDS, wrong_answers=["get_credit: 1 + 20 - 15 is 5"]), "failed"),
        (Judgement(balance(HISTORY[:5], FOOTERS, gateway()), HOLDS), "invalid"),
        (Judgement(Ledger([], ["no counters"]), HOLDS), "invalid"),
        (Judgement(problems=["kafka ended"]), "invalid"),
        (Judgement(), "invalid"),
        (Judgement(BALANCED, HOLDS, void=["the generator was late"]), "void"),
        (Judgement(BALANCED, BROKEN, void=["the generator was late"]), "failed"),
        (Judgement(BALANCED), "valid"),
        (Judgement(interrupted=True), "interrupted"),
        (Judgement(interrupted=True, wrong_answers=["a reply of another"]), "failed"),
    ],
)
def test_the_verdict_and_its_reasons(tmp_path: Path, judgement: Judgement, verdict: str) -> None:
    run = a_run(tmp_path, judgement)
    write_run(tmp_path, run)
    assert replace(read_run(tmp_path), digests={}) == run
    assert run.verdict == verdict
    assert bool(run.reasons) == (verdict != "valid")
    assert was_interrupted(run) == judgement.interrupted
    text = summarize(run)
    assert text.startswith(f"# id: {verdict.upper()}")
    assert all(reason in text for reason in run.reasons)


def test_the_figures_of_a_phase(tmp_path: Path) -> None:
    warmup, phase = a_run(tmp_path, Judgement(BALANCED, HOLDS)).phases
    assert warmup.window is None
    assert warmup.steady == SteadyRecord(False, "it was too short to tell", 1.0)
    window = phase.window
    assert window
    assert window.latency_ms
    assert window.latency_ms.max == 0.005
    assert "max" in window.latency_ms.at_least
    assert window.open is None
    assert window.throughput_per_s == 1
    assert window.refused == {"409 out_of_stock": 1}
    assert window.failed == {"connection closed": 1}
    assert window.checkout_paid_share == 0.3333
    assert window.cpu["kafka"] == GroupCpu(0.75, 375_000, compiling_s=0.25, compacting_s=0.125)


def test_a_history_reads_the_same_when_compressed(tmp_path: Path) -> None:
    path = a_history(tmp_path)
    plain = History([path])
    rows, footers, wrong = list(plain), plain.footers(), plain.wrong()
    assert (len(rows), footers, wrong) == (3, [(3, 0)], ["checkout: not as it must be"])
    packed = History([compress(path)])
    assert (list(packed), packed.footers(), packed.wrong()) == (rows, footers, wrong)
    assert not path.exists()


def test_a_history_that_was_cut_off_has_no_footer(tmp_path: Path) -> None:
    path = a_history(tmp_path)
    path.write_bytes(path.read_bytes()[:-5])
    assert History([path]).footers() == [None]
    assert len(list(History([path]))) == 3


def test_a_history_that_is_none(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    path.write_text("what is this\n")
    with pytest.raises(HistoryError, match="line 1"):
        list(History([path]))


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write(path, b"old")
    write(path, b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]
    assert path.read_bytes() == b"new"
