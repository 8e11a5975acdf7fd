"""The record of a run: run.json, as bench/run.schema.json describes it."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from bench.check import Report
from bench.history import History
from bench.ledger import Ledger
from bench.load import Measured
from bench.settings import Settings
from bench.stats import Figures, summarize

SCHEMA_VERSION = 1
SCHEMA_FILE = Path(__file__).with_name("run.schema.json")
WRONG_ANSWERS_MAX = 100
"""Kept; all are counted."""

Verdict = Literal["valid", "failed", "invalid", "interrupted"]


class Judgement(NamedTuple):
    """What is said about a run after its load."""

    ledger: Ledger | None = None
    report: Report | None = None
    wrong_answers: Sequence[str] = ()
    """What the journeys found wrong."""
    problems: Sequence[str] = ()
    """Why the run could not go on."""
    interrupted: bool = False

    @property
    def verdict(self) -> Verdict:
        """failed: the system broke a promise. invalid: the run can't tell."""
        if self.wrong_answers or (self.report is not None and not self.report.holds):
            return "failed"
        if self.interrupted:
            return "interrupted"
        return "invalid" if self.reasons else "valid"

    @property
    def reasons(self) -> list[str]:
        """One line each; none for a valid run."""
        reasons = list(self.problems)
        if self.report is not None:
            counts = self.report.counts.items()
            reasons += [f"{name}: broken {count} times" for name, count in counts if count]
        if self.wrong_answers:
            reasons.append(f"wrong answers: {len(self.wrong_answers)}")
        if self.ledger is not None:
            reasons += self.ledger.faults
        if self.interrupted:
            reasons.append("interrupted")
        elif not reasons and (self.ledger is None or self.report is None):
            reasons.append("the run was not judged")
        return reasons


def describe(
    run_id: str,
    started_utc: str,
    settings: Settings,
    environment: dict[str, Any],
    commit: dict[str, Any],
    measured: Sequence[Measured],
    judgement: Judgement,
) -> dict[str, Any]:
    """The content of run.json."""
    return {
        "schema_version": SCHEMA_VERSION,
        "run_id": run_id,
        "started_utc": started_utc,
        "verdict": judgement.verdict,
        "reasons": judgement.reasons,
        "commit": commit,
        "seed": settings.seed,
        "settings": asdict(settings),
        "environment": environment,
        "phases": [_phase(phase) for phase in measured],
        "ledger": _ledger(judgement.ledger),
        "invariants": _invariants(judgement.report),
        "wrong_answers": {
            "count": len(judgement.wrong_answers),
            "first": list(judgement.wrong_answers[:WRONG_ANSWERS_MAX]),
        },
    }


def _phase(measured: Measured) -> dict[str, Any]:
    phase, window = measured.phase, measured.window
    described: dict[str, Any] = {
        **phase._asdict(),
        "generators": measured.generators,
        "histories": [path.name + ".gz" for path in measured.histories],
        "window": None,
    }
    if window is None:
        return described
    total, operations = summarize(History(measured.histories), window)
    answered = total.answered
    described["window"] = {
        **window._asdict(),
        "length_s": round(window.length_s, 3),
        **_figures(total),
        "operations": {name: _figures(figures) for name, figures in operations.items()},
        "checkout_paid_share": _paid_share(operations.get("checkout")),
        "cpu": {
            group: {
                "cpu_s": round(cpu_s, 3),
                "us_per_request": round(cpu_s * 1e6 / answered, 1) if answered else None,
            }
            for group, cpu_s in measured.cpu_s.items()
        },
    }
    return described


def _figures(figures: Figures) -> dict[str, Any]:
    latency = figures.latency_ms
    return {**figures._asdict(), "latency_ms": None if latency is None else latency._asdict()}


def _paid_share(checkouts: Figures | None) -> float | None:
    """Of the checkouts that ended in the window, however they did."""
    if checkouts is None:
        return None
    paid = checkouts.answered - sum(checkouts.refused.values())
    return round(paid / checkouts.requests, 4)


def _ledger(ledger: Ledger | None) -> dict[str, Any] | None:
    if ledger is None:
        return None
    entries = [{**entry._asdict(), "remainder": entry.remainder} for entry in ledger.entries]
    return {"entries": entries, "missing": ledger.missing}


def _invariants(report: Report | None) -> dict[str, Any] | None:
    if report is None:
        return None
    violations = [violation._asdict() for violation in report.violations]
    return {**report._asdict(), "violations": violations}


def write(path: Path, content: bytes) -> None:
    """All of it or nothing: a reader never finds half a file."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def to_json(run: dict[str, Any]) -> bytes:
    return orjson.dumps(run, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
