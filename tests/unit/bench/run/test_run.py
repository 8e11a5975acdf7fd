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
from bench.judge.ledger import Entry, Ledger
from bench.judge.reply_contract import RESENT, Final
from bench.judge.resends import Resent
from bench.records.run_record import Level, Step
from bench.run import run as runs
from bench.run.capacity import RATE_PER_S_MAX, Capacity
from bench.run.model import Search, Subject, System
from bench.run.phase_figures import Findings
from bench.run.record import Judgement
from bench.run.run import Run, _largest_per_s, measure, of_load
from bench.run.settings import Settings
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


LATE = "requests were sent 15.2 ms late at p99"


class Played(Run):
    """A search in which the steps are these: whether each held, and whether it was disturbed."""

    def __init__(self, folder: Path, *steps: tuple[bool, bool]) -> None:
        super().__init__(Settings(), folder, lambda _: None, task=Search(Level(), 100.0))
        self._steps = iter(steps)
        self.tried: list[float] = []

    def _run_phase(self, system: System, folder: Path, phase: Phase) -> bool:
        void = []
        if phase.name.startswith("step"):
            assert phase.schedule is not None
            held, is_disturbed = next(self._steps)
            self.held, void = held, [LATE] * is_disturbed
            self.tried.append(phase.schedule.stages[0].from_per_s)
        measured: Any = SimpleNamespace(phase=phase)
        summary: Any = SimpleNamespace(total=SimpleNamespace(requests=9, failed={}))
        self._found.append(Findings(measured, summary, None, void, 9, 0, []))
        return True

    def search(self, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Step], Judgement]:
        def judge(rate_per_s: float, *_: object) -> Step:
            why = "held" if self.held else "p99"
            return Step(rate_per_s, self.held, why, rate_per_s, 1.0, 2.0, 3.0, 0.0, 0, 0.1)

        monkeypatch.setattr(runs, "_in_flight", lambda measured: [])
        monkeypatch.setattr(runs.capacity, "judge", judge)
        system = System("", dict, lambda: None)
        assert self._load(system, Path())
        assert self._capacity is not None
        return self._capacity.steps, of_load(self._found, 0.01, is_search=True)


GOOD, BAD, DISTURBED = (True, False), (False, False), (True, True)


@pytest.mark.parametrize(
    ("steps", "tried", "knee_per_s", "void"),
    [
        # One hiccup of the machine costs a step, and decides nothing.
        ([DISTURBED, GOOD, BAD, BAD], [100, 100, 200, 200], 100, []),
        ([GOOD, DISTURBED, GOOD, BAD, BAD], [100, 200, 200, 400, 400], 200, []),
        # What failed while it was disturbed has not failed once.
        ([GOOD, (False, True), BAD, BAD], [100, 200, 200, 200], 100, []),
        ([GOOD, BAD, (False, True), GOOD, BAD, BAD], [100, 200, 200, 200, 400, 400], 200, []),
        # Twice in a row ends the search.
        ([DISTURBED, DISTURBED], [100, 100], None, [LATE]),
        ([GOOD, DISTURBED, DISTURBED], [100, 200, 200], 100, [LATE]),
    ],
)
def test_a_step_that_was_disturbed_is_tried_once_more(
    steps: list[tuple[bool, bool]],
    tried: list[float],
    knee_per_s: float | None,
    void: list[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """A search ended VOID at its first step, for a generator that was late once."""
    monkeypatch.setattr(runs.capacity, "RATE_RATIO", 10.0)  # no bisection
    played = Played(tmp_path, *steps)
    found, judgement = played.search(monkeypatch)
    assert played.tried == tried
    assert Capacity(Level(), found).knee_per_s == knee_per_s
    assert judgement.void == void
    unknown = [step.why for step in found if step.why.startswith("unknown")]
    assert unknown == [f"unknown: {LATE}"] * sum(is_disturbed for _, is_disturbed in steps)


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
