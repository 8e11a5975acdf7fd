"""What a batch does with a run that somebody ended."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from support.made_sets import a_run, record

from bench.regression.job import Batch
from bench.regression.runs import Options
from bench.run.model import Subject, System
from bench.run.record import INTERRUPTED


@pytest.mark.parametrize("verdict", ["interrupted", "failed"])
def test_whoever_ends_a_run_ends_its_job(tmp_path: Path, verdict: str) -> None:
    """With a wrong answer before, the run was FAILED, and the job went on until it was killed."""
    run = record(a_run(1, "B"))
    ended = replace(run, verdict=verdict, reasons=["wrong answers: 1", INTERRUPTED])
    subject = Subject(System("", dict, lambda: None), run.commit, run.environment)
    found = [run, ended]
    with Batch(
        nullcontext({"B": subject}),
        tmp_path,
        Options(),
        lambda *_: found.pop(0),
        lambda _: None,
    ) as batch:
        settings = Options().settings(1)
        assert batch.run("B", settings, tmp_path, "1 of 2") == run
        with pytest.raises(KeyboardInterrupt):
            batch.run("B", settings, tmp_path, "2 of 2")
