"""What is settled before the first run is recorded, and how long all of it takes."""

from pathlib import Path

import pytest
from support.made_sets import a_set, write_set

from bench.calibrate.aa_spread import SpreadError, read_verdicts
from bench.calibrate.recorder import (
    BUDGETS_FILE,
    CYCLES,
    OVERHEAD_S,
    ROUNDS,
    START_S,
    freeze,
    round_s,
)
from bench.calibrate.slowdowns import SETS, SLOWDOWNS
from bench.compare.budgets import DEFAULT_FILE, read_budgets
from bench.compare.comparability import Folders
from bench.compare.comparison import compare
from bench.compare.outputs import write_outputs
from bench.errors import UsageError
from bench.regression.job import CLOSING_S
from bench.regression.runs import Options
from bench.regression.stopping_rule import LOOKS_MAX, Plan, look_needs

GATED = 9
"""Metrics of a job with the budgets as they stand."""


def test_budgets_are_settled_once(tmp_path: Path) -> None:
    kind = {"commit": "a" * 40, "cycles": 16}
    freeze(tmp_path, DEFAULT_FILE, kind)
    freeze(tmp_path, DEFAULT_FILE, kind)
    with pytest.raises(UsageError, match=r"was measured with commit a{40}, not b{40}: give it"):
        freeze(tmp_path, DEFAULT_FILE, kind | {"commit": "b" * 40})
    assert read_budgets(tmp_path / BUDGETS_FILE) == read_budgets(DEFAULT_FILE)
    other = tmp_path / "other.toml"
    other.write_text("[metrics.failed]\nthreshold = 1\n")
    with pytest.raises(UsageError, match="record into another folder"):
        freeze(tmp_path, other, kind)
    assert read_budgets(tmp_path / BUDGETS_FILE) == read_budgets(DEFAULT_FILE)


def test_recordings_that_do_not_say_of_what_are_left_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "gateway" / "round-1").mkdir(parents=True)
    with pytest.raises(UsageError, match="recordings that do not say of what: name another folder"):
        freeze(tmp_path, DEFAULT_FILE, {"commit": "a" * 40})
    assert (tmp_path / "gateway" / "round-1").exists()


def test_every_row_has_restarts_and_cycles_enough() -> None:
    assert ROUNDS >= 10
    assert look_needs(GATED, LOOKS_MAX) + 2 < CYCLES
    assert {name for up in SETS.values() for name in up.slowdowns} == set(SLOWDOWNS)
    assert all(up.bases == (3 if not up.slowdowns or up.is_shared else 2) for up in SETS.values())


def test_a_longer_round_has_more_systems_or_cycles() -> None:
    options, up = Options(), SETS["service-unchanged"]
    assert round_s(up, options, 20) > round_s(up, options, 10)
    assert round_s(SETS["gateway"], options, 10) > round_s(up, options, 10)


def test_the_default_budget_is_enough_for_a_finding_that_is_repeated() -> None:
    """Twice all systems are started and warmed up; a pair is a run of each."""
    options, systems = Options(), 3
    pair_s = systems * (2 * (options.warmup_s + options.duration_s) + OVERHEAD_S)
    ready_s = START_S + systems * options.first_warmup_s + pair_s
    plan = Plan.of(GATED, options.budget_s)
    needed_s = 2 * ready_s + (plan.first_pairs + plan.fresh_pairs) * pair_s + CLOSING_S
    assert needed_s <= options.budget_s <= 25 * 60


def test_how_jobs_ended(tmp_path: Path) -> None:
    for number in range(3):
        a, b = (
            write_set(tmp_path / f"runs-{side}-{number}", a_set(side, 14)) for side in ("A", "B")
        )
        found = compare(Folders(a, b), read_budgets(DEFAULT_FILE))
        write_outputs(found, tmp_path / f"job-{number}")
    assert read_verdicts(tmp_path) == {"same": 3}
    (tmp_path / "job-0" / "comparison.json").write_text("{}")
    with pytest.raises(SpreadError, match="is not a comparison"):
        read_verdicts(tmp_path)
