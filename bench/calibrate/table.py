"""A calibration's findings, against its targets, become Markdown here (pure)."""

from collections.abc import Iterable, Mapping, Sequence
from math import exp, isfinite, isinf, log
from statistics import median
from typing import NamedTuple

from bench.records.run_record import PERCENTS, QuantileName
from bench.stats import signed_rank

LEVEL = 0.95
"""Each interval has this level."""


class Estimate(NamedTuple):
    """The estimate is Hodges and Lehmann's, with its exact interval; infinite ends where there are
    few."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        """The estimate as text is a ratio."""
        ends = "" if isinf(self.low) else f" ({self.low:.3f} to {self.high:.3f})"
        return f"{self.value:.3f}{ends}"


class Told(NamedTuple):
    """A generator told this of itself."""

    requests: int
    per_s: float
    latency_ms: Mapping[QuantileName, float]
    """The latencies are by name of `PERCENTS`."""


def located(values: Sequence[float]) -> Estimate:
    """`located` returns the estimate of at least one value."""
    walsh = signed_rank.walsh_averages(values)
    low, high = signed_rank.interval(walsh, LEVEL)
    return Estimate(float(signed_rank.shift(walsh)), float(low), float(high))


def ratio(above: Sequence[float], below: Sequence[float]) -> Estimate:
    """`ratio` returns the estimate of pairs of positive figures."""
    found = located([log(a / b) for a, b in zip(above, below, strict=True)])
    low = found.low if isinf(found.low) else exp(found.low)
    return Estimate(exp(found.value), low, exp(found.high))


class Target(NamedTuple):
    """A target is a figure that must be at least, or at most, so large."""

    text: str
    measured: str
    found: Estimate
    limit: float
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """The verdict holds where the whole interval is within the limit."""
        best, worst = self.found.low, self.found.high
        limit = self.limit
        if self.at_least:
            best, worst, limit = -self.found.high, -self.found.low, -limit
        if worst <= limit:
            return "holds"
        return "does not hold" if best > limit else "can't tell"


class Section(NamedTuple):
    title: str
    lines: list[str]
    targets: list[Target]

    def to_json(self) -> dict[str, object]:
        """The JSON's lines are Markdown; an end of an interval that is not known is None."""
        return {
            "title": self.title,
            "lines": self.lines,
            "targets": [
                {
                    "text": target.text,
                    "verdict": target.verdict,
                    "limit": target.limit,
                    "at_least": target.at_least,
                    **{
                        name: value if isfinite(value) else None
                        for name, value in target.found._asdict().items()
                    },
                }
                for target in self.targets
            ],
        }


def span(values: Sequence[float], digits: int) -> str:
    """`span` returns median and range."""
    low, high = min(values), max(values)
    return f"{median(values):,.{digits}f} ({low:,.{digits}f} to {high:,.{digits}f})"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """`table` returns Markdown; the first column is text."""
    bars = ["---", *("---:" for _ in columns[1:])]
    return [f"| {' | '.join(cells)} |" for cells in (columns, bars, *rows)]


def latencies(figures: Mapping[QuantileName, float] | None) -> list[str]:
    """`latencies` returns the cells of p50 to max, in ms."""
    return [f"{figures[name]:,.1f}" if figures else "" for name in PERCENTS]


def markdown(sections: Sequence[Section]) -> str:
    parts = [f"## {section.title}\n\n" + "\n".join(section.lines) for section in sections]
    rows = [
        (target.text, target.measured, target.verdict)
        for section in sections
        for target in section.targets
    ]
    if rows:
        parts.append("## Targets\n\n" + "\n".join(table(("target", "measured", "verdict"), rows)))
    return "\n\n".join(parts)
