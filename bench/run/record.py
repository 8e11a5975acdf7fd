"""A run's verdict and its record are what it says of itself."""

from collections.abc import Sequence
from typing import NamedTuple

from bench.judge.ledger import Ledger
from bench.judge.reply_contract import Report
from bench.records.run_record import (
    SCHEMA_VERSION,
    CapacityRecord,
    CommitRecord,
    EntryRecord,
    Environment,
    InvariantsRecord,
    LedgerRecord,
    PhaseRecord,
    ProbeRecord,
    RunRecord,
    RunSettings,
    Verdict,
    ViolationRecord,
    WrongAnswers,
)

INTERRUPTED: Verdict = "interrupted"
"""This is the verdict of a run that somebody ended, where nothing worse is known of it, and one of
its reasons in any case."""
WRONG_ANSWERS_MAX = 100
"""A record keeps at most this many wrong answers; all are counted."""


class Judgement(NamedTuple):
    """A judgement is what is said about a run after its load."""

    ledger: Ledger | None = None
    report: Report | None = None
    wrong_answers: Sequence[str] = ()
    """The journeys found these answers wrong."""
    problems: Sequence[str] = ()
    """The problems say why the run could not go on."""
    unanswered: Sequence[str] = ()
    """The lines say in which windows too little was answered; see `bench.judge.answers`."""
    void: Sequence[str] = ()
    """The lines say why the generator, or the machine, was the bottleneck."""
    probes: Sequence[ProbeRecord] | None = None
    """The probes have these results; a run with any has no load of its own to judge."""
    interrupted: bool = False

    @property
    def verdict(self) -> Verdict:
        """The verdict is failed: the system broke a promise, or did not answer. It is invalid: the
        run can't tell. It is void: its figures are not the system's, or nobody can say whose they
        are."""
        if self.wrong_answers or (self.report is not None and not self.report.holds):
            return "failed"
        if self._failed_probes:
            return "failed"
        if self.interrupted:
            return INTERRUPTED
        if self.unanswered:
            return "failed"
        if self.problems or not self._is_judged or (self.ledger and self.ledger.faults):
            return "invalid"
        return "void" if self.void or self._unknown_probes else "valid"

    @property
    def _failed_probes(self) -> list[str]:
        return [probe.name for probe in self.probes or () if probe.state == "broken"]

    @property
    def _unknown_probes(self) -> list[str]:
        return [probe.name for probe in self.probes or () if probe.state == "unknown"]

    @property
    def _is_judged(self) -> bool:
        return self.ledger is not None or self.probes is not None

    @property
    def reasons(self) -> list[str]:
        """The reasons are one line each; none for a valid run."""
        reasons = [*self.unanswered, *self.problems]
        if self.report is not None:
            counts = self.report.counts.items()
            reasons += [f"{name}: broken {count} times" for name, count in counts if count]
        if self.wrong_answers:
            reasons.append(f"wrong answers: {len(self.wrong_answers)}")
        if self._failed_probes:
            reasons.append(f"probes failed: {', '.join(self._failed_probes)}")
        if self._unknown_probes:
            reasons.append(f"probes could not tell: {', '.join(self._unknown_probes)}")
        if self.ledger is not None:
            reasons += self.ledger.faults
        if self.interrupted:
            reasons.append(INTERRUPTED)
        elif not reasons and not self._is_judged:
            reasons.append("the run was not judged")
        return [*reasons, *self.void]


def record_of(
    run_id: str,
    started_utc: str,
    settings: RunSettings,
    environment: Environment,
    commit: CommitRecord,
    phases: Sequence[PhaseRecord],
    judgement: Judgement,
    capacity: CapacityRecord | None = None,
) -> RunRecord:
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        run_id=run_id,
        started_utc=started_utc,
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        commit=commit,
        seed=settings.seed,
        settings=RunSettings(**vars(settings)),
        environment=environment,
        phases=list(phases),
        capacity=capacity,
        probes=None if judgement.probes is None else list(judgement.probes),
        ledger=_ledger(judgement.ledger),
        invariants=_invariants(judgement.report),
        wrong_answers=WrongAnswers(
            len(judgement.wrong_answers), list(judgement.wrong_answers[:WRONG_ANSWERS_MAX])
        ),
    )


def was_interrupted(run: RunRecord) -> bool:
    """`was_interrupted` returns whether somebody ended the run, whatever else its verdict tells."""
    return INTERRUPTED in run.reasons


def _ledger(ledger: Ledger | None) -> LedgerRecord | None:
    if ledger is None:
        return None
    entries = [EntryRecord(*entry, entry.remainder) for entry in ledger.entries]
    return LedgerRecord(entries, ledger.missing)


def _invariants(report: Report | None) -> InvariantsRecord | None:
    if report is None:
        return None
    violations = [ViolationRecord(*violation) for violation in report.violations]
    return InvariantsRecord(report.counts, violations, report.outcomes, report.totals)
