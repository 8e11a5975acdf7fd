"""A run of a system that was given to it, as a regression job does it."""

from pathlib import Path

from support.made_study import COMMIT, ENVIRONMENT

from bench.run.model import Subject, System
from bench.run.run import measure
from bench.run.settings import Settings
from machine.ports import HOST, choose


def test_a_system_that_has_ended_spoils_its_run_and_no_more(tmp_path: Path) -> None:
    """Nobody answers at its port: that ended the whole job, before anything was compared."""
    system = System(f"http://{HOST}:{choose(0, '')}", dict, lambda: None)
    run = measure(Settings(), tmp_path, Subject(system, COMMIT, ENVIRONMENT))
    assert run.verdict == "invalid"
    assert system.url in run.reasons[0]
    assert run.phases == []
    assert (tmp_path / run.run_id / "run.json").exists()
