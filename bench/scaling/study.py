"""A study walks its axes. Each point is measured in turns with the base, on a stack as old.

A machine's speed changes from hour to hour: what is told of a point is what it takes beside the
base. What is measured stays, and is not measured again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from random import Random
from typing import NamedTuple

from bench.errors import BenchError, UsageError
from bench.judge.host_health import mean_of
from bench.observe.processes import BESIDE
from bench.records.run_record import CommitRecord, Environment, RunRecord, WindowFigures
from bench.records.series import Series
from bench.records.series_file import read_series
from bench.run.model import Progress
from bench.run.record import was_interrupted
from bench.run.settings import Settings
from bench.scaling.axes import AXES, RATE, options_of
from bench.scaling.entities import ENTITIES_BESIDE, asking
from bench.scaling.study_record import (
    FILE,
    SCHEMA_VERSION,
    Figures,
    Machine,
    Pair,
    Point,
    Study,
    Windows,
    read_study,
    write_study,
)
from machine.errors import StackError
from system.runtime.options import StackOptions

SATURATION_USERS = 256
"""So many users send again at once, to see what the system takes at most: more than it needs to be
busy, and far fewer than it refuses."""
OPEN_RATE_PER_S = 100.0
"""The open loop of every axis but the rate's sends so much: no value is near its capacity there."""
MACHINE = "machine"
"""The point of a machine names this in place of an axis."""
RSS = "rss_mib."

Measure = Callable[[Settings], tuple[RunRecord, Path]]
"""`Measure` makes a run on a stack that is up and warm."""


class Site(NamedTuple):
    """A site is a stack that is up."""

    run: Measure
    fill: Callable[[range], None]
    """`fill` makes the entities of these numbers; the next run of each site warms up again. It
    raises `BenchError`."""


class Sites(NamedTuple):
    own: Site
    base: Site
    """The stack of the point and that of the base; one where nothing sets them apart."""
    interval_s: float
    """A window has one checkpoint at least: shorter ones have one, or have none."""


Bring = Callable[[StackOptions], AbstractContextManager[Site]]
"""`Bring` brings a stack up for the time of a context."""


class Wanted(NamedTuple):
    axis: str
    value: float


def missing(study: Study, axes: Sequence[str]) -> list[Wanted]:
    """`missing` returns the points that lack pairs, in the order of `AXES`."""
    wanted = [Wanted(name, value) for name in AXES if name in axes for value in AXES[name].values]
    return [each for each in wanted if study.pairs_left(study.point(*each))]


def resume(folder: Path, commit: CommitRecord, environment: Environment, windows: Windows) -> Study:
    """`resume` returns the study of a folder, or a new one. It raises `UsageError` where that was
    made of something else, and `RunFileError` where it can't be read."""
    if not (folder / FILE).exists():
        return Study(SCHEMA_VERSION, commit, environment, windows, [], [])
    study = read_study(folder)
    if commit.dirty:
        raise UsageError(
            f"{folder / FILE} is there, and changes are not committed: nobody knows whether it was "
            "measured with the same ones; commit them, or choose another --out"
        )
    if (study.commit, study.environment) != (commit, environment):
        raise UsageError(
            f"{folder / FILE} was measured at {study.commit}, or on another machine: choose "
            "another --out, or check that commit out"
        )
    if study.windows != windows:
        raise UsageError(
            f"{folder / FILE} has {_told(study.windows)}, not {_told(windows)}: choose another "
            "--out, or its --duration, --pairs, --generators and --quick"
        )
    return study


def _told(windows: Windows) -> str:
    return (
        f"{windows.pairs} pairs of windows of {windows.duration_s:g} s after {windows.warmup_s:g} "
        f"s, by {windows.generators} generators"
    )


class Walk:
    """A walk measures what a study lacks, and writes it after each pair.

    Both stacks of a pair are of one age, and each is asked first in every second pair.
    What can't be brought up or measured is left out. It raises `KeyboardInterrupt`, with all pairs
    kept that were measured until then.
    """

    def __init__(
        self, study: Study, folder: Path, settings: Settings, bring: Bring, progress: Progress
    ) -> None:
        self.study = study
        self._folder = folder
        self._settings = settings
        self._bring = bring
        self._progress = progress
        self.left_out: list[str] = []
        """These stacks did not start, or could not be measured, and why."""

    def axes(self, axes: Sequence[str]) -> None:
        """`axes` measures these. Values that are of the load, or of the entities, share a stack."""
        todo = missing(self.study, axes)
        done = 0
        for (axis, options), points in groupby(todo, key=_stack_of):
            try:
                with self._up(options, fills=AXES[axis].fills) as sites:
                    filled = 0
                    for wanted in self._in_turn(axis, list(points)):
                        done += 1
                        entities = int(wanted.value) if AXES[axis].fills else 0
                        if entities > filled:
                            sites.own.fill(range(filled, entities))
                            filled = entities
                        point = self.study.point(*wanted) or Point(*wanted, pairs=[])
                        said = f"point {done} of {len(todo)}: {axis} {wanted.value:g}"
                        for told in self._measured(point, sites, said, entities):
                            self._keep(with_point(self.study, told))
            except (StackError, BenchError) as cause:  # what others need is not missing for it
                self.left_out.append(f"{axis}: {cause}")
                self._progress(f"left out: {axis}: {cause}")

    def machine(self, settings: Mapping[str, float]) -> None:
        """`machine` measures one that has all of these values at once. It raises what `bring` and
        its runs do."""
        known = machine_of(self.study, settings) or Machine({**settings}, Point(MACHINE, 1.0, []))
        if not self.study.pairs_left(known.point):
            return
        with self._up(options_of(settings)) as sites:
            said = f"{MACHINE}: {told_of(settings)}"
            for point in self._measured(known.point, sites, said):
                self._keep(with_machine(self.study, replace(known, point=point)))

    def _keep(self, study: Study) -> None:
        self.study = study
        write_study(self._folder, study)

    @contextmanager
    def _up(self, options: StackOptions, *, fills: bool = False) -> Iterator[Sites]:
        base_s = StackOptions().checkpoint_interval_s
        interval_s = max(options.checkpoint_interval_s, base_s)
        with self._bring(StackOptions()) as base:
            if options == StackOptions() and not fills:
                yield Sites(base, base, interval_s)
                return
            with self._bring(options) as own:
                if fills:
                    base.fill(range(ENTITIES_BESIDE))
                yield Sites(own, base, interval_s)

    def _in_turn(self, axis: str, points: list[Wanted]) -> list[Wanted]:
        """Rates in an order by chance: the stack that they share gets warmer, and fuller."""
        if axis == RATE:
            Random(self._settings.seed).shuffle(points)
        return points

    def _measured(
        self, point: Point, sites: Sites, said: str, entities: int = 0
    ) -> Iterator[Point]:
        """The point with each pair that it lacks. Where there are entities, each side's load asks
        for all that it has."""
        given = self._settings
        given = replace(given, duration_s=max(given.duration_s, sites.interval_s))
        plain, varied = settings_of(given), settings_of(given, point)
        if entities:
            plain = replace(plain, workload=str(asking(self._folder, ENTITIES_BESIDE)))
            varied = replace(varied, workload=str(asking(self._folder, entities)))
        left, tried = self.study.pairs_left(point), len(point.pairs)
        for number in range(left):
            self._progress(f"{said}, pair {number + 1} of {left}")
            is_base_first = (tried + number) % 2 == 0
            pair = self._pair(point, sites, plain, varied, is_base_first=is_base_first)
            if pair is None:
                continue
            if pair.is_apart:
                shares = f"{pair.own.beside_share:.0%} and {pair.base.beside_share:.0%}"
                self._progress(
                    f"the pair does not count: the idle stack beside took {shares} of the machine"
                )
            point = replace(point, pairs=[*point.pairs, pair])
            yield point

    def _pair(
        self, point: Point, sites: Sites, plain: Settings, varied: Settings, is_base_first: bool
    ) -> Pair | None:
        """None where nothing was measured on one side."""
        if point.axis == RATE:  # a share of what the base takes at this very time
            of_base = self._run(sites.base, plain)
            most = None if of_base is None else of_base.saturated_per_s
            of_own = self._run(sites.own, at_rate(plain, point.value * most)) if most else None
        elif is_base_first:
            of_base = self._run(sites.base, plain)
            of_own = self._run(sites.own, varied)
        else:
            of_own = self._run(sites.own, varied)
            of_base = self._run(sites.base, plain)
        return Pair(of_own, of_base) if of_own and of_base else None

    def _run(self, site: Site, settings: Settings) -> Figures | None:
        # What two runs of a stack draw differs.
        self._settings = replace(self._settings, seed=self._settings.seed + 1)
        record, folder = site.run(replace(settings, seed=self._settings.seed))
        if was_interrupted(record):
            raise KeyboardInterrupt
        self._progress(f"run {record.run_id}: {'; '.join([record.verdict, *record.reasons])}")
        assert settings.rate is not None
        return figures_of(record, folder, float(settings.rate))


def settings_of(settings: Settings, point: Point | None = None) -> Settings:
    """`settings_of` returns an open loop, and users who saturate the system after it, by HTTP: the
    base's, or what a point makes of it."""
    settings = replace(
        settings, rate=f"{OPEN_RATE_PER_S:g}", users=(), saturation_users=SATURATION_USERS
    )
    if point is not None and point.axis in AXES:
        settings = AXES[point.axis].settings(settings, point.value)
    return replace(settings, saturation_users=0) if settings.kafka else settings


def at_rate(settings: Settings, rate_per_s: float) -> Settings:
    """`at_rate` returns the open loop alone."""
    return replace(settings, rate=f"{rate_per_s:.1f}", saturation_users=0)


def _stack_of(wanted: Wanted) -> tuple[str, StackOptions]:
    return wanted.axis, options_of({wanted.axis: wanted.value})


def told_of(settings: Mapping[str, float]) -> str:
    return ", ".join(f"{axis} {value:g}" for axis, value in settings.items())


def figures_of(run: RunRecord, folder: Path, rate_per_s: float) -> Figures | None:
    """`figures_of` returns None for a run of which nothing was measured."""
    windows = {phase.is_open: (phase, window) for phase, window in run.windows}
    if True not in windows:
        return None
    phase, window = windows[True]
    latency = window.latency_ms
    if latency is None:
        return None
    saturated = windows[False][1] if False in windows else None
    series = Series([], {}, []) if phase.series is None else read_series(folder / phase.series)
    beside, _ = mean_of(series, f"cpu.{BESIDE}", window.opened_ns, window.closed_ns)
    return Figures(
        run_id=run.run_id,
        verdict=run.verdict,
        rate_per_s=rate_per_s,
        answered_per_s=window.throughput_per_s,
        p50_ms=latency.p50,
        p99_ms=latency.p99,
        is_bound=not {"p50", "p99"}.isdisjoint(latency.at_least),
        cpu_us=_cpu_us(window),
        rss_mib=_rss_mib(series),
        beside_share=round((beside or 0.0) / run.environment.cores, 4),
        saturated_per_s=None if saturated is None else saturated.throughput_per_s,
        saturated_cpu_us={} if saturated is None else _cpu_us(saturated),
    )


def with_point(study: Study, point: Point) -> Study:
    """`with_point` puts the point in the place of an earlier one."""
    others = [each for each in study.points if (each.axis, each.value) != (point.axis, point.value)]
    return replace(study, points=[*others, point])


def machine_of(study: Study, settings: Mapping[str, float]) -> Machine | None:
    """`machine_of` returns the one that is set up so."""
    return next((each for each in study.machines if each.settings == settings), None)


def with_machine(study: Study, machine: Machine) -> Study:
    """`with_machine` puts the machine in the place of an earlier one that is set up so."""
    others = [each for each in study.machines if each.settings != machine.settings]
    return replace(study, machines=[*others, machine])


def _cpu_us(window: WindowFigures) -> dict[str, float]:
    """Without what compilers took: they go on for minutes after a start."""
    return {
        group: round(cpu.us_per_request * (1 - cpu.compiling_s / cpu.cpu_s), 1)
        for group, cpu in window.cpu.items()
        if cpu.us_per_request is not None and cpu.cpu_s
    }


def _rss_mib(series: Series) -> dict[str, float]:
    """The last value of each part."""
    last = {
        name.removeprefix(RSS): [value for value in values if value is not None][-1:]
        for name, values in series.series.items()
        if name.startswith(RSS)
    }
    return {name: value for name, values in last.items() for value in values}
