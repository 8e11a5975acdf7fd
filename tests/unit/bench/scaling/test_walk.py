"""A walk measures pairs in turns, goes on where it was, and keeps what it has."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from support.made_run import made_run
from support.made_study import PAIRS, PHASES, SETTINGS, at_least, study

from bench.records.run_files import read_run
from bench.records.run_record import RunRecord, Verdict
from bench.run.settings import Settings
from bench.scaling.axes import RATE
from bench.scaling.study import Site, Walk, Wanted, missing
from bench.scaling.study_record import Study, read_study
from machine.errors import StackError
from system.runtime.options import StackOptions


class Stacks:
    """Stacks whose runs are made up; the last but `ends_after` is ended by Ctrl-C, `verdicts` are
    of the first ones, and a run that is invalid has measured nothing."""

    def __init__(
        self,
        folder: Path,
        ends_after: int | None = None,
        verdicts: Sequence[Verdict] = (),
        refused: Collection[int] = (),
    ) -> None:
        self.folder = folder
        self.ends_after = ends_after
        self.verdicts = verdicts
        self.refused = refused
        """Stacks of so many gateway processes do not start."""
        self.up: list[StackOptions] = []
        self.runs: list[tuple[int, Settings]] = []
        """Each with the number of its stack."""
        self.filled: list[tuple[int, range]] = []

    @contextmanager
    def bring(self, options: StackOptions) -> Iterator[Site]:
        if options.workers in self.refused:
            raise StackError("no room")
        self.up.append(options)
        number = len(self.up)
        yield Site(partial(self.run, number), lambda numbers: self.filled.append((number, numbers)))

    def run(self, stack: int, settings: Settings) -> tuple[RunRecord, Path]:
        if len(self.runs) == self.ends_after:
            raise KeyboardInterrupt
        self.runs.append((stack, settings))
        verdict = (*self.verdicts, *["valid"] * len(self.runs))[len(self.runs) - 1]
        phases = PHASES if settings.saturation_users else PHASES[:1]
        folder = made_run(self.folder / str(len(self.runs)), phases, seed=settings.seed)
        run = at_least(replace(read_run(folder), verdict=verdict, reasons=[verdict]), [])
        return replace(run, phases=[]) if verdict == "invalid" else run, folder


def walk(folder: Path, stacks: Stacks, begun: Study | None = None) -> Walk:
    return Walk(begun or study(), folder, SETTINGS, stacks.bring, print)


def test_each_pair_is_of_two_stacks_of_one_age_in_turns(tmp_path: Path) -> None:
    stacks = Stacks(tmp_path / "runs")
    found = walk(tmp_path, stacks)
    found.axes(["gateways"])
    assert [each.workers for each in stacks.up] == [1, 1, 2, 1, 3, 1, 4]
    assert [stack for stack, _ in stacks.runs[6:12]] == [2, 3, 3, 2, 2, 3]
    assert [stack for stack, _ in stacks.runs[:6]] == [1] * 6, "one gateway is the base"
    assert [len(each.pairs) for each in found.study.points] == [PAIRS] * 4
    seeds = [settings.seed for _, settings in stacks.runs]
    assert len({*seeds}) == len(seeds)


def test_a_rate_is_a_share_of_what_the_base_takes_at_that_time(tmp_path: Path) -> None:
    stacks = Stacks(tmp_path / "runs")
    found = walk(tmp_path, stacks)
    found.axes([RATE])
    assert len(stacks.up) == 1
    for (_, base), (_, own) in zip(stacks.runs[::2], stacks.runs[1::2], strict=True):
        assert (base.rate, base.saturation_users, own.saturation_users) == ("100", 256, 0)
    rates = [float(own.rate or 0) for _, own in stacks.runs[1::2]]
    assert rates not in (sorted(rates), sorted(rates, reverse=True)), "the stack gets warmer"
    half = found.study.point(RATE, 0.5)
    assert half is not None
    for pair in half.pairs:
        assert pair.base.saturated_per_s
        assert pair.own.rate_per_s == pytest.approx(pair.base.saturated_per_s / 2, abs=0.1)


def test_an_ended_study_goes_on(tmp_path: Path) -> None:
    first = Stacks(tmp_path / "first", ends_after=2 * (PAIRS + 1) + 1)
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path, first).axes(["gateways"])
    kept = read_study(tmp_path)
    assert [(each.value, len(each.pairs)) for each in kept.points] == [(1, PAIRS), (2, 1)]
    second = Stacks(tmp_path / "second")
    found = walk(tmp_path, second, kept)
    found.axes(["gateways"])
    assert missing(found.study, ["gateways"]) == []
    assert read_study(tmp_path) == found.study
    assert len(second.runs) == 2 * (2 + 2 * PAIRS)
    assert [stack for stack, _ in second.runs[:4]] == [2, 1, 1, 2], "the base was first before"


def test_a_pair_that_can_not_be_measured_does_not_end_the_study(tmp_path: Path) -> None:
    verdicts: list[Verdict] = ["valid"] * 6 + ["invalid", "valid", "failed", "valid", "void"]
    stacks = Stacks(tmp_path / "runs", verdicts=verdicts)
    found = walk(tmp_path, stacks)
    found.axes(["gateways"])
    assert len(stacks.runs) == 2 * PAIRS * 4
    assert [each.value for each in found.study.of("gateways")] == [1, 3, 4]
    assert missing(found.study, ["gateways"]) == [Wanted("gateways", 2)]
    point = found.study.point("gateways", 2)
    assert point is not None
    assert [pair.is_sound for pair in point.pairs] == [False, False]
    for made, left in ((3, PAIRS), (2 * PAIRS, 0)):
        found.axes(["gateways"])
        point = found.study.point("gateways", 2)
        assert point is not None
        assert (len(point.pairs), found.study.pairs_left(point)) == (made, left)


def test_what_does_not_start_is_left_out(tmp_path: Path) -> None:
    """Four TaskManagers beside a base need more memory than many machines have."""
    stacks = Stacks(tmp_path / "runs", refused={3})
    found = walk(tmp_path, stacks)
    found.axes(["gateways"])
    assert [each.value for each in found.study.of("gateways")] == [1, 2, 4]
    assert found.left_out == ["gateways: no room"]
    with pytest.raises(StackError):
        walk(tmp_path, Stacks(tmp_path / "again", refused={3})).machine({"gateways": 3.0})


def test_a_window_has_a_checkpoint_at_least(tmp_path: Path) -> None:
    stacks = Stacks(tmp_path / "runs")
    settings = replace(SETTINGS, duration_s=10.0)
    found = Walk(study(), tmp_path, settings, stacks.bring, print)
    found.axes(["checkpoint-interval"])
    assert {options.checkpoint_interval_s for options in stacks.up} == {0.5, 1, 2, 5, 10, 30}
    lengths = [settings.duration_s for _, settings in stacks.runs]
    assert lengths == [10] * 2 * PAIRS * 5 + [30] * 2 * PAIRS
    found.machine({"checkpoint-interval": 20.0})
    assert stacks.runs[-1][1].duration_s == 20


def test_the_base_has_a_checkpoint_too(tmp_path: Path) -> None:
    """Beside a stack with one each half a second, the base had none or one."""
    stacks = Stacks(tmp_path / "runs")
    settings = replace(SETTINGS, duration_s=2.0)
    Walk(study(), tmp_path, settings, stacks.bring, print).axes(["checkpoint-interval"])
    least_s = StackOptions().checkpoint_interval_s
    lengths = [settings.duration_s for _, settings in stacks.runs]
    assert lengths == [least_s] * 2 * PAIRS * 4 + [10] * 2 * PAIRS + [30] * 2 * PAIRS


def test_a_run_that_is_ended_ends_the_study(tmp_path: Path) -> None:
    """Its record is whole, and no point: Ctrl-C during a load ends a run, not the process."""
    stacks = Stacks(tmp_path / "runs", verdicts=["valid", "valid", "interrupted"])
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path, stacks).axes(["gateways"])
    (kept,) = read_study(tmp_path).points
    assert len(kept.pairs) == 1


def test_entities_are_added_to_one_stack(tmp_path: Path) -> None:
    """Those that are measured already come with the next."""
    stacks = Stacks(tmp_path / "runs", ends_after=2 * PAIRS)
    with pytest.raises(KeyboardInterrupt):
        walk(tmp_path, stacks).axes(["entities"])
    assert stacks.filled == [(1, range(1_000)), (2, range(1_000)), (2, range(1_000, 10_000))]
    again = Stacks(tmp_path / "again")
    found = walk(tmp_path, again, read_study(tmp_path))
    found.axes(["entities"])
    assert again.filled == [
        (1, range(1_000)),
        *((2, range(*each)) for each in ((0, 10_000), (10_000, 100_000), (100_000, 1_000_000))),
    ]
    assert again.up == [StackOptions()] * 2
    asked = [(stack, Path(settings.workload or "").name) for stack, settings in again.runs]
    assert asked[: 2 * PAIRS] == [
        *((1, "entities-1000.toml"), (2, "entities-10000.toml")),
        *((2, "entities-10000.toml"), (1, "entities-1000.toml")),
        *((1, "entities-1000.toml"), (2, "entities-10000.toml")),
    ]
    assert asked[-1] == (2, "entities-1000000.toml")
    assert [each.value for each in found.study.of("entities")] == [1e3, 1e4, 1e5, 1e6]


def test_a_machine_has_all_of_its_settings_at_once(tmp_path: Path) -> None:
    stacks = Stacks(tmp_path / "runs")
    found = walk(tmp_path, stacks)
    machine = {"gateways": 2.0, "partitions": 4.0}
    found.machine(machine)
    assert stacks.up == [StackOptions(), replace(StackOptions(), workers=2, partitions=4)]
    (measured,) = read_study(tmp_path).machines
    assert measured.settings == machine
    assert len(measured.point.sound) == PAIRS
    found.machine(machine)
    assert len(stacks.up) == 2, "it is known"
