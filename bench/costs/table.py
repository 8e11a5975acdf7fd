"""The table shows the CPU time of a request by part, of one stack, or of two and their ratio."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import NamedTuple

from bench.costs.threads import COMPILERS, Spent

GENERATOR = "generator"
TOTAL = "gateway, kafka, flink"
"""All parts together, without compilers and generator."""


class Window(NamedTuple):
    """A stack was under load for a while."""

    requests: int
    seconds: float
    spent: Spent


Costs = Mapping[tuple[str, str], float]
"""A pair of part and share leads to µs of CPU time a request; the share of a whole part is "", and
has no compilers in it."""


def costs(window: Window) -> Costs:
    """`costs` returns the costs of one window."""
    found: defaultdict[tuple[str, str], float] = defaultdict(float)
    for (part, share), ns in window.spent.items():
        spent_us = ns / 1000 / window.requests
        found[part, share] += spent_us
        if share != COMPILERS:
            found[part, ""] += spent_us
            if part != GENERATOR:
                found[TOTAL, ""] += spent_us
    return dict(found)


def table(names: Sequence[str], rounds: Sequence[Sequence[Window]]) -> str:
    """`table` returns Markdown. Each round has one window of each stack; a figure is the median of
    its rounds, a ratio the median of the rounds' ratios, with the lowest and the highest."""
    found = [[costs(window) for window in windows] for windows in rounds]
    keys = sorted(
        {key for windows in found for each in windows for key in each},
        key=lambda key: (key[0] == GENERATOR, key[0] == TOTAL, key[0], key[1]),
    )
    rates = [[window.requests / window.seconds for window in windows] for windows in rounds]
    head = ["CPU µs a request", *names, *(["ratio"] if len(names) == 2 else [])]
    lines = [_row(head), _row(["---", *["---:"] * (len(head) - 1)])]
    lines.append(_line("requests/s", rates))
    for part, share in keys:
        values = [[each.get((part, share), 0.0) for each in windows] for windows in found]
        lines.append(_line(f"- {share}" if share else f"**{part}**", values))
    return "\n".join(lines)


def _line(name: str, rounds: Sequence[Sequence[float]]) -> str:
    cells = [f"{median(values):,.0f}" for values in zip(*rounds, strict=True)]
    if len(cells) == 2:
        ratios = sorted(after / before for before, after in rounds if before > 0)
        low_high = f"{ratios[0]:.2f} to {ratios[-1]:.2f}" if ratios else ""
        cells.append(f"{median(ratios):.2f} ({low_high})" if ratios else "unknown")
    return _row([name, *cells])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"
