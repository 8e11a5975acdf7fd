"""A study walks its axes, one run a point. What is measured stays, and is not measured again.

A point that is not VALID is measured anew by the next call: the machine was busy, or too small.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from bench.errors import UsageError
from bench.records.run_record import (
    GROUPS,
    CommitRecord,
    Environment,
    RunRecord,
    WindowFigures,
)
from bench.records.series_file import read_series
from bench.run.model import Progress
from bench.run.settings import Settings
from bench.scaling.axes import AXES, BASE, RATE, WAY
from bench.scaling.study_record import (
    FILE,
    SCHEMA_VERSION,
    Point,
    Study,
    Windows,
    read_study,
    write_study,
)
from system.runtime.options import StackOptions

SATURATION_USERS = 256
"""So many users send again at once, to see what the system takes at most: more than it needs to be
busy, and far fewer than it refuses."""
OPEN_RATE_PER_S = 100.0
"""The open loop of every axis but the rate's sends so much: no value is near its capacity there."""
RSS = "rss_mib."

Measure = Callable[[Settings], tuple[RunRecord, Path]]
"""`Measure` makes a run on a stack that is up and warm."""


class Site(NamedTuple):
    """A site is a stack that is up."""

    run: Measure
    fill: Callable[[int], None]
    """`fill` makes so many more entities. It raises `BenchError`."""


Bring = Callable[[StackOptions], AbstractContextManager[Site]]
"""`Bring` brings a stack up for the time of a context."""


class Wanted(NamedTuple):
    axis: str
    value: float


def missing(study: Study | None, axes: Sequence[str]) -> list[Wanted]:
    """`missing` returns the points that are not sound yet, in the order of `AXES`."""
    wanted = [Wanted(name, value) for name in AXES if name in axes for value in AXES[name].values]
    known = {each: None if study is None else study.point(*each) for each in wanted}
    left = {each for each, found in known.items() if found is None or not found.is_sound}
    if any(each.axis == WAY for each in left):  # its points are subtracted: both are of one stack
        left |= {each for each in wanted if each.axis == WAY}
    return [each for each in wanted if each in left]


def resume(
    folder: Path, commit: CommitRecord, environment: Environment, settings: Settings
) -> Study:
    """`resume` returns the study of a folder, or a new one. It raises `UsageError` where that was
    made of something else, and `RunFileError` where it can't be read."""
    windows = Windows(settings.duration_s, settings.warmup_s, settings.first_warmup_s)
    if not (folder / FILE).exists():
        return Study(SCHEMA_VERSION, commit, environment, windows, None, [])
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
            f"{folder / FILE} has windows of {study.windows.duration_s:g} s after "
            f"{study.windows.warmup_s:g} s of warm-up, not of {windows.duration_s:g} s after "
            f"{windows.warmup_s:g}: choose another --out"
        )
    return study


def measure(
    study: Study,
    folder: Path,
    axes: Sequence[str],
    settings: Settings,
    bring: Bring,
    progress: Progress,
) -> Study:
    """`measure` measures what is missing, and writes the study after each point.

    It raises what `bring` and its runs do, and `KeyboardInterrupt`, with all points kept that were
    measured until then.
    """
    todo, everything = missing(study, axes), missing(None, [*AXES])
    done = 0
    for (axis, options), points in groupby(todo, key=lambda each: (each.axis, options_of(each))):
        if axis == RATE and study.capacity_per_s is None:
            progress(f"{RATE}: left out, as {BASE}, whose capacity its values are of, is not sound")
            continue
        if axis == WAY:  # both of its points are of one stack, or none is
            study = replace(study, points=[each for each in study.points if each.axis != WAY])
        with bring(options) as site:
            filled = 0
            for wanted in points:
                done += 1
                progress(f"point {done} of {len(todo)}: {wanted.axis} {wanted.value:g}")
                if AXES[wanted.axis].fills:
                    site.fill(int(wanted.value) - filled)
                    filled = int(wanted.value)
                rate = rate_of(wanted, study)
                # No two runs of a stack may ask for the same keys.
                own = replace(settings, seed=settings.seed + everything.index(wanted))
                record, where = site.run(settings_of(wanted, own, rate))
                if record.verdict == "interrupted":
                    raise KeyboardInterrupt
                told = "; ".join([record.verdict, *record.reasons])
                progress(f"{wanted.axis} {wanted.value:g}, run {record.run_id}: {told}")
                found = point_of(wanted, record, rate, where)
                if found is not None:
                    study = with_point(study, found)
                    write_study(folder, study)
    return study


def options_of(wanted: Wanted) -> StackOptions:
    return AXES[wanted.axis].options(StackOptions(), wanted.value)


def rate_of(wanted: Wanted, study: Study) -> float:
    if wanted.axis != RATE:
        return OPEN_RATE_PER_S
    assert study.capacity_per_s is not None
    return round(wanted.value * study.capacity_per_s, 1)


def settings_of(wanted: Wanted, settings: Settings, rate_per_s: float) -> Settings:
    """`settings_of` returns an open loop at the rate; elsewhere than on the rate's axis users
    saturate the system after it, by HTTP."""
    settings = AXES[wanted.axis].settings(settings, wanted.value)
    users = 0 if wanted.axis == RATE or settings.kafka else SATURATION_USERS
    return replace(settings, rate=f"{rate_per_s:g}", users=(), saturation_users=users)


def point_of(wanted: Wanted, run: RunRecord, rate_per_s: float, folder: Path) -> Point | None:
    """`point_of` returns None for a run of which nothing was measured."""
    windows = {phase.is_open: (phase, window) for phase, window in run.windows}
    if True not in windows:
        return None
    phase, window = windows[True]
    latency = window.latency_ms
    if latency is None:
        return None
    saturated = windows[False][1] if False in windows else None
    return Point(
        *wanted,
        run_id=run.run_id,
        verdict=run.verdict,
        rate_per_s=rate_per_s,
        answered_per_s=window.throughput_per_s,
        p50_ms=latency.p50,
        p99_ms=latency.p99,
        is_bound=not {"p50", "p99"}.isdisjoint(latency.at_least),
        cpu_us=_cpu_us(window),
        rss_mib={} if phase.series is None else _rss_mib(folder / phase.series),
        saturated_per_s=None if saturated is None else saturated.throughput_per_s,
        saturated_cpu_us={} if saturated is None else _cpu_us(saturated),
    )


def with_point(study: Study, point: Point) -> Study:
    """`with_point` puts the point in the place of an earlier one; a sound base tells the
    capacity."""
    others = [each for each in study.points if (each.axis, each.value) != (point.axis, point.value)]
    study = replace(study, points=[*others, point])
    if point.axis == BASE and point.is_sound:
        study = replace(study, capacity_per_s=point.saturated_per_s)
    return study


def gateway_cost(study: Study) -> str | None:
    """`gateway_cost` returns a line about what a request takes more by way of the gateway; None
    where that was not measured both ways, of each group."""
    ways = study.of(WAY)
    is_told = all(each.cpu_us.keys() >= {*GROUPS} for each in ways)
    if len(ways) < len(AXES[WAY].values) or not is_told:
        return None
    by_http, into_kafka = ways
    cpu_us = sum(by_http.cpu_us.values()) - sum(into_kafka.cpu_us.values())
    return (
        f"the gateway costs {by_http.p50_ms - into_kafka.p50_ms:+.2f} ms of p50, "
        f"{by_http.p99_ms - into_kafka.p99_ms:+.2f} ms of p99 and {cpu_us:+,.0f} µs of CPU a "
        f"request at {by_http.rate_per_s:g}/s, the generator's part included (one run each)"
    )


def _cpu_us(window: WindowFigures) -> dict[str, float]:
    known = {group: cpu.us_per_request for group, cpu in window.cpu.items()}
    return {group: us for group, us in known.items() if us is not None}


def _rss_mib(path: Path) -> dict[str, float]:
    """The last value of each part."""
    series = read_series(path).series
    last = {
        name.removeprefix(RSS): [value for value in values if value is not None][-1:]
        for name, values in series.items()
        if name.startswith(RSS)
    }
    return {name: value for name, values in last.items() for value in values}
