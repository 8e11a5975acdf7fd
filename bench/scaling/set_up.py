"""A machine is set up otherwise than a study's base: what each setting makes of it, multiplied."""

from collections.abc import Mapping
from math import exp, log, prod
from statistics import median
from typing import NamedTuple

import numpy as np

from bench.errors import BenchError
from bench.scaling.axes import is_base
from bench.scaling.figures import SYSTEM, most_beside, rss_of, saturated_cpu_of
from bench.scaling.study import machine_of
from bench.scaling.study_record import Figure, Study

SINGLE = 1.2
"""A single pair may be so many times what others like it would be, which nobody knows: CPU of 18
pairs of a study scattered by 13.5 %."""


class SetUp(NamedTuple):
    """A machine that is set up otherwise takes so many times what the base does."""

    settings: dict[str, float]
    capacity: float
    cpu: dict[str, float]
    """The CPU at saturation, its error and the memory below are by group."""
    cpu_error: dict[str, float]
    rss: dict[str, float]
    error: float
    """The pairs of its settings scatter so far around the capacity."""
    measured: list[float]
    """Its capacity was so many times the base's, where all settings were measured at once."""
    how: str
    """The study measured so."""


def set_up_of(study: Study, machine: Mapping[str, float]) -> SetUp:
    """`set_up_of` returns what each setting makes of it by itself, multiplied. It raises
    `BenchError` where the study does not have a setting."""
    known = machine_of(study, machine)
    is_measured = known is not None and not study.pairs_left(known.point)
    windows = study.windows
    return SetUp(
        {**machine},
        times(study, machine, most_beside),
        {group: times(study, machine, saturated_cpu_of(group)) for group in SYSTEM},
        {group: _scatter(study, machine, saturated_cpu_of(group)) for group in SYSTEM},
        {group: _times_of_memory(study, machine, rss_of(group)) for group in SYSTEM},
        _scatter(study, machine, most_beside),
        known.point.ratios(most_beside) if known is not None and is_measured else [],
        f"windows of {windows.duration_s:g} s, {windows.pairs} pairs a point",
    )


def times(study: Study, machine: Mapping[str, float], figure: Figure) -> float:
    """`times` returns how many times that of the base a figure is on such a machine: what each
    setting makes of it by itself, multiplied, and read between its values. It raises `BenchError`
    where the study does not have a setting."""
    return prod(
        _times(study, axis, value, figure)
        for axis, value in machine.items()
        if not is_base({axis: value})
    )


def _scatter(study: Study, machine: Mapping[str, float], figure: Figure) -> float:
    """How far its settings' pairs are from their medians, multiplied."""
    return prod(_far(study, axis, value, figure) for axis, value in machine.items()) - 1


def _far(study: Study, axis: str, value: float, figure: Figure) -> float:
    """How many times the median the figure of a pair is, or the other way round, at the points
    beside the value."""
    if is_base({axis: value}):
        return 1.0
    points = study.of(axis)
    beside = [each for each in points if each.value <= value][-1:]
    beside += [each for each in points if each.value >= value][:1]
    told = [ratios for each in beside if (ratios := each.ratios(figure))]
    far = (max(max(each) / median(each), median(each) / min(each)) for each in told)
    return max(far, default=1.0) if all(len(each) > 1 for each in told) else SINGLE


def _times_of_memory(study: Study, machine: Mapping[str, float], figure: Figure) -> float:
    """A setting whose points do not tell it is taken to change none."""
    told = {
        axis: value
        for axis, value in machine.items()
        if all(each.ratio(figure) is not None for each in study.of(axis))
    }
    return times(study, told, figure)


def _times(study: Study, axis: str, value: float, figure: Figure) -> float:
    known = [(each.value, ratio) for each in study.of(axis) if (ratio := each.ratio(figure))]
    if not known or not known[0][0] <= value <= known[-1][0]:
        have = ", ".join(f"{each:g}" for each, _ in known) or "none"
        raise BenchError(
            f"the study's sound values of {axis} are {have}: {value:g} is not among or between "
            f"them; measure them with `python -m bench scaling --axes {axis}`"
        )
    places, logs = zip(*((log(each), log(ratio)) for each, ratio in known), strict=True)
    return exp(float(np.interp(log(value), places, logs)))
