"""A run of a system that was given to it, as a regression job does it; and what is judged at the
end."""

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.made_study import COMMIT, ENVIRONMENT

from bench.errors import BenchError
from bench.generator.preflight import connections_per_s_max
from bench.generator.spec import Phase
from bench.judge.checks import Check
from bench.judge.ledger import Entry, Ledger
from bench.judge.reply_contract import RESENT, Final
from bench.judge.resends import Resent
from bench.records.run_record import Figures, Latency, Level, OpenFigures
from bench.run import run as runs
from bench.run.capacity import RATE_PER_S_MAX, Capacity
from bench.run.model import Search, Subject, System
from bench.run.phase_figures import Findings
from bench.run.record import Judgement
from bench.run.run import Run, _largest_per_s, measure, of_load
from bench.run.settings import Settings
from bench.stats.window import Summary
from bench.workload.journey import Call
from machine.ports import HOST, choose

LEDGER = Ledger([Entry("sent", 1, {"recorded": 1})], [])
NOTHING = Final({}, {}, {})


@pytest.mark.parametrize(
    ("keep_alive", "largest_per_s"),
    [("true", RATE_PER_S_MAX), ("false", connections_per_s_max(is_loopback=False))],
)
def test_a_search_ends_where_the_ports_of_this_machine_do(
    keep_alive: str, largest_per_s: float, tmp_path: Path
) -> None:
    """Its next step was INVALID, and so was the whole search."""
    file = tmp_path / "mine.toml"
    file.write_text(f'keep_alive = {keep_alive}\n[[request]]\noperation = "a"\npath = "/"\n')
    settings = Settings(workload=str(file), target="http://10.0.0.1:8000")
    assert _largest_per_s(settings) == largest_per_s
    assert connections_per_s_max(is_loopback=False) < RATE_PER_S_MAX


class Disturbed(Run):
    """A search in which a neighbour comes by at these steps, of a system that takes 400/s."""

    def __init__(self, folder: Path, *disturbed: int) -> None:
        super().__init__(Settings(), folder, lambda _: None, task=Search(Level(), 100.0))
        self._disturbed = disturbed

    def _run_phase(self, system: System, folder: Path, phase: Phase) -> bool:
        measured: Any = SimpleNamespace(phase=phase, samples=[], window=SimpleNamespace())
        doubtful, p99_ms = [], 5.0
        if phase.schedule is not None and phase.name.startswith("step-"):
            doubtful = [STOLEN] * (int(phase.name.removeprefix("step-")) in self._disturbed)
            p99_ms = (
                500.0 if phase.schedule.stages[0].from_per_s > 400 else 5.0 + 95 * len(doubtful)
            )
        latency = Latency(1.0, 2.0, p99_ms, p99_ms, p99_ms, [])
        total = Figures(9, 9, 100.0, latency, {}, {})
        summary = Summary(total, {}, OpenFigures(9, 0, 1.0, latency, latency))
        self._found.append(Findings(measured, summary, None, doubtful, 9, 0, []))
        return True


STOLEN = Check("steal", "broken", "the hypervisor took 9% of the machine's time")


@pytest.mark.parametrize(
    ("disturbed", "rates", "knee_per_s", "void"),
    [
        ((), [100, 200, 400, 800, 800], 400, []),
        ((2,), [100, 200, 200, 400, 800, 800], 400, []),
        ((4,), [100, 200, 400, 800, 800, 800], 400, []),
        ((2, 3), [100, 200, 200, 200, 400, 800, 800], 400, []),
        ((2, 3, 4), [100, 200, 200, 200], 100, [f"200.0/s: {STOLEN.why}"]),
    ],
)
def test_a_search_is_void_where_it_ends_disturbed(
    disturbed: tuple[int, ...],
    rates: list[float],
    knee_per_s: float,
    void: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Six of eight searches ended VOID, each for one step with a neighbour or a late generator."""
    monkeypatch.setattr("bench.run.capacity.RATE_RATIO", 2.0)  # no bisection
    run = Disturbed(tmp_path, *disturbed)
    assert run._load(System("", dict, lambda: None), tmp_path)
    found = run._capacity
    assert found is not None
    assert ([step.rate_per_s for step in found.steps], found.knee_per_s) == (rates, knee_per_s)
    told = [number for number, step in enumerate(found.steps, 1) if step.doubts]
    assert told == [*disturbed]
    judgement = of_load(run._found, 0.01, search=found)
    assert (judgement.void, judgement.problems) == (void, [])


def test_a_search_without_an_end_is_invalid(tmp_path: Path) -> None:
    found = Capacity(Level(), [], 100.0)
    judgement = of_load([], 0.01, search=found)
    assert judgement.verdict == "failed"  # nothing was answered
    assert "is not at its end" in judgement.problems[0]
    assert judgement._replace(unanswered=[]).verdict == "invalid"


def test_a_system_that_has_ended_spoils_its_run_and_no_more(tmp_path: Path) -> None:
    """Nobody answers at its port: that ended the whole job, before anything was compared."""
    system = System(f"http://{HOST}:{choose(0, '')}", dict, lambda: None)
    run = measure(Settings(), tmp_path, Subject(system, COMMIT, ENVIRONMENT))
    assert run.verdict == "invalid"
    assert system.url in run.reasons[0]
    assert run.phases == []
    assert (tmp_path / run.run_id / "run.json").exists()


def judged(
    monkeypatch: pytest.MonkeyPatch, folder: Path, again: Resent, reads: Final | None = NOTHING
) -> Judgement:
    """What is said of a load that held, and one write of which was sent again; `reads` is None
    where the system does not answer the final ones."""

    def audit(*_: object) -> Final:
        if reads is None:
            raise BenchError("the final read was answered 503")
        return reads

    given: Any = None
    for name, answer in {
        "of_load": Judgement(Ledger([], [])),
        "rise": given,
        "scrape_quiet": given,
        "balance": LEDGER,
        "unanswered": {"r": Call("add_credit", "POST", "/users/credit/add/u/1")},
        "resend": again,
    }.items():
        monkeypatch.setattr(runs, name, lambda *_, answer=answer, **__: answer)
    monkeypatch.setattr(runs, "audit", audit)
    (folder / runs.RESENDS).write_bytes(b"")
    run = Run(Settings(), folder, lambda _: None)
    return run._judge(System("http://gateway", dict, lambda: None), folder, Counter[str]())  # type: ignore[arg-type]


def test_what_is_known_by_a_resend_is_in_the_record(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = judged(monkeypatch, tmp_path, Resent(known=1))
    assert (found.verdict, found.ledger) == ("valid", LEDGER)
    assert found.report is not None
    assert [found.report.totals[name] for name in RESENT] == [1, 0, 0]


def test_a_write_that_is_never_answered_makes_the_run_invalid(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    lost = Resent(unknown=1, first="POST /users/credit/add/u/1, sent again with r: 504 timeout")
    found = judged(monkeypatch, tmp_path, lost)
    assert (found.verdict, found.reasons) == ("invalid", [f"no answer in time: {lost.first}"])
    assert found.report is not None


def test_final_reads_that_fail_lose_nothing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = judged(monkeypatch, tmp_path, Resent(unknown=1, first="x"), reads=None)
    assert found.ledger == LEDGER
    assert found.reasons == ["no answer in time: x", "the final read was answered 503"]
