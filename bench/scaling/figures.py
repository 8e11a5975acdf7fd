"""A figure is read from one run of a study.

The machine's speed changes within a pair, too. What the generator takes for a request tells of it:
it does the same on both sides wherever their load is the same, so a figure beside the generator's
own CPU, in the same window, is the system's. Within 18 pairs of 1 to 16 partitions CPU at
saturation scattered by 13.5 % as it is (standard deviation), by 5.1 % so; in the open loop by 9.0
and 5.0 %; requests/s at most by 14.0 and 5.3 %.
"""

from collections.abc import Callable, Mapping

from bench.records.run_record import GROUPS
from bench.scaling.study_record import Figure, Figures

SYSTEM, GENERATOR = GROUPS[:-1], GROUPS[-1]


def cpu_us(run: Figures) -> float | None:
    """`cpu_us` is what a request of the open loop took of the system; None where a part is
    unknown."""
    return _of_system(run.cpu_us)


def saturated_cpu_us(run: Figures) -> float | None:
    return _of_system(run.saturated_cpu_us)


def most_per_s(run: Figures) -> float | None:
    return run.saturated_per_s


def cpu_beside(run: Figures) -> float | None:
    """`cpu_beside` is `cpu_us` as so many times what the generator took."""
    return _beside(_of_system, run.cpu_us)


def saturated_cpu_beside(run: Figures) -> float | None:
    return _beside(_of_system, run.saturated_cpu_us)


def saturated_cpu_of(group: str) -> Figure:
    """`saturated_cpu_of` reads what a request took of a group at saturation, as so many times what
    the generator took."""
    return lambda run: _beside(lambda by_group: by_group.get(group), run.saturated_cpu_us)


def most_beside(run: Figures) -> float | None:
    """`most_beside` is how many requests were answered at saturation while the generator works so
    long as it does for one."""
    generator = run.saturated_cpu_us.get(GENERATOR)
    return None if run.saturated_per_s is None or not generator else run.saturated_per_s * generator


def rss_of(group: str) -> Figure:
    return lambda run: run.rss_mib.get(group)


def _of_system(by_group: Mapping[str, float]) -> float | None:
    return sum(by_group[group] for group in SYSTEM) if by_group.keys() >= {*SYSTEM} else None


def _beside(
    read: Callable[[Mapping[str, float]], float | None], by_group: Mapping[str, float]
) -> float | None:
    own, generator = read(by_group), by_group.get(GENERATOR)
    return own / generator if own is not None and generator else None
