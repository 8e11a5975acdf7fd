"""The budget file says what counts as a change of a metric, and sets operations' service levels."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from math import inf
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple, get_args

from bench.compare.metric import OPERATION_KINDS, Metric, Rule
from bench.errors import UnreadableError
from bench.records.run_record import Figures, Loop, RunRecord
from bench.stats.window import asked, failures

DEFAULT_FILE = Path(__file__).with_name("budgets.toml")
THRESHOLD_MAX = 10.0
"""A threshold is at most eleven times as much; a larger number is percent, by mistake."""

Role = Literal["decides", "alarms", "shown"]
Limit = Literal["p99_ms_max", "failed_share_max"]
LIMITS: tuple[Limit, ...] = get_args(Limit)
SYSTEMS = ("gateway", "kafka", "flink", "system")
KINDS: dict[str, tuple[str, ...]] = {
    "cpu": (*SYSTEMS, "generator"),
    "cpu_ratio": SYSTEMS,
    "compiling": (),
    "compacting": (),
    "per_request": (
        *("kafka_records", "kafka_bytes", "kafka_allocated_bytes", "flink_allocated_bytes"),
    ),
    "failed": (),
    "latency": ("p50", "p99"),
    "queueing": ("p99",),
    "throughput": (),
    "capacity": (),
}
"""A kind is one of these words, or one with a dot and what may follow it."""


class BudgetError(UnreadableError):
    """A budget file can't be read; the message says which and why."""


class MetricRule(NamedTuple):
    threshold: float
    role: Role = "decides"
    aa_spread: float = 0.0
    """The spread is as `threshold`: 0.01 for 1 %."""
    loop: Loop | None = None
    """The loop is the one in which the metric is gated where runs have both, and it is shown of the
    other; None: it is gated in both."""

    def among(self, metric: Metric, loops: Collection[str | None]) -> "MetricRule":
        """`among` returns the rule as it is for a metric of runs that have these loops."""
        is_elsewhere = metric.loop != self.loop and self.loop is not None and self.loop in loops
        return self._replace(role="shown") if is_elsewhere else self

    def of(self, metric: Metric) -> Rule:
        return Rule(metric.limit(self.threshold), metric.limit(self.aa_spread))


class Level(NamedTuple):
    """A level is a service level of an operation."""

    operation: str
    phases: tuple[str, ...] | None
    """The phases are patterns of phase names; None: every open loop."""
    p99_ms_max: float | None
    failed_share_max: float | None


class Checked(NamedTuple):
    """A checked level is a service level as it was kept in a phase."""

    operation: str
    phase: str
    limit: Limit
    allowed: float
    measured: float | None
    """The figure is that of the median run, or the failed share of all runs together; None where
    nothing was answered, which is not within any limit."""
    runs: int

    @property
    def is_broken(self) -> bool:
        return self.measured is None or self.measured > self.allowed


class Budgets(NamedTuple):
    metrics: dict[str, MetricRule]
    operation_metrics: dict[tuple[str, str], MetricRule]
    """The rules are by operation and kind."""
    levels: list[Level]
    moved_max: float
    names: frozenset[str] | None = None
    """Metrics of these names decide, and all others are shown; None: each has the role of its
    rule."""

    def rule_among(self, metric: Metric, loops: Collection[str | None]) -> MetricRule | None:
        """`rule_among` returns a metric's rule as it is for runs that have these loops."""
        rule = self.rule(metric)
        if rule is None or self.names is None:
            return None if rule is None else rule.among(metric, loops)
        return rule._replace(role="decides" if metric.name in self.names else "shown")

    def rule(self, metric: Metric) -> MetricRule | None:
        """`rule` returns a metric's rule; None for a metric that the file does not name."""
        if metric.operation is not None:
            return self.operation_metrics.get((metric.operation, metric.kind))
        return self.metrics.get(metric.kind) or self.metrics.get(metric.word)


def read_budgets(path: Path) -> Budgets:
    """`read_budgets` returns what a budget file says. It raises `BudgetError`."""
    try:
        content = tomllib.loads(path.read_text())
    except OSError as cause:
        raise BudgetError(f"cannot read {path}: {cause.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as cause:
        raise BudgetError(f"{path} is not TOML: {cause}") from None
    try:
        return _budgets(content)
    except BudgetError as cause:
        raise BudgetError(f"{path}: {cause}") from None


def _budgets(content: Mapping[str, Any]) -> Budgets:
    _known("the file", content, ("metrics", "control", "operations"))
    operations = _table("operations", content.get("operations", {}))
    levels, by_operation = [], {}
    for operation, table in operations.items():
        place = f"operations.{operation}"
        _known(place, _table(place, table), (*Level._fields[1:], "metrics"))
        levels.append(_level(operation, place, table))
        for kind, rule in _rules(f"{place}.metrics", table.get("metrics", {})).items():
            if kind not in OPERATION_KINDS:
                raise BudgetError(f"{place}.metrics.{kind}: one of {', '.join(OPERATION_KINDS)}")
            by_operation[operation, kind] = rule
    control = _table("control", content.get("control", {}))
    _known("control", control, ("moved_max",))
    moved_max = _number("control.moved_max", control.get("moved_max", 0.1), THRESHOLD_MAX)
    return Budgets(_rules("metrics", content.get("metrics", {})), by_operation, levels, moved_max)


def _rules(place: str, content: Any) -> dict[str, MetricRule]:
    rules = {}
    for kind, table in _table(place, content).items():
        here = f"{place}.{kind}"
        word, dot, rest = kind.partition(".")
        if word not in KINDS:
            raise BudgetError(f"{here}: a metric begins with one of {', '.join(KINDS)}")
        if dot and rest not in KINDS[word]:
            may = f"may follow: {', '.join(KINDS[word])}" if KINDS[word] else "nothing may follow"
            raise BudgetError(f"{here}: there is no such metric; after {word} {may}")
        _known(here, _table(here, table), MetricRule._fields)
        if "threshold" not in table:
            raise BudgetError(f"{here} has no threshold")
        role = table.get("role", "decides")
        if role not in get_args(Role):
            raise BudgetError(f"{here}.role = {role!r}: one of {', '.join(get_args(Role))}")
        threshold = _number(f"{here}.threshold", table["threshold"], THRESHOLD_MAX)
        if not threshold:
            raise BudgetError(f"{here}.threshold = 0: nothing would ever be the same")
        spread = _number(f"{here}.aa_spread", table.get("aa_spread", 0.0), THRESHOLD_MAX)
        loop = table.get("loop")
        if loop is not None and loop not in get_args(Loop):
            raise BudgetError(f"{here}.loop = {loop!r}: one of {', '.join(get_args(Loop))}")
        rules[kind] = MetricRule(threshold, role, spread, loop)
        if (why := never_the_same(here, rules[kind])) is not None:
            raise BudgetError(why)
    return rules


def never_the_same(name: str, rule: MetricRule) -> str | None:
    """`never_the_same` returns a line where unchanged sides scatter too far for a metric that
    decides to settle, or None."""
    if rule.role != "decides" or rule.aa_spread < rule.threshold:
        return None
    return (
        f"{name}: comparisons of a commit with itself scatter by {rule.aa_spread:.1%} (aa_spread), "
        f"its threshold is {rule.threshold:.1%}: it could never be the same; raise the threshold, "
        'or let it alarm only (role = "alarms")'
    )


def _level(operation: str, place: str, table: Mapping[str, Any]) -> Level:
    phases = table.get("phases")
    if phases is not None and not (
        isinstance(phases, list) and phases and all(isinstance(name, str) for name in phases)
    ):
        raise BudgetError(f"{place}.phases = {phases!r}: a list of names of phases")
    limits = [
        _number(f"{place}.{name}", table[name], largest) if name in table else None
        for name, largest in (("p99_ms_max", float("inf")), ("failed_share_max", 1.0))
    ]
    return Level(operation, None if phases is None else tuple(phases), *limits)


def _table(place: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise BudgetError(f"{place} = {value!r}: a table was expected")
    return value


def _known(place: str, table: Mapping[str, Any], names: Sequence[str]) -> None:
    for name in table:
        if name not in names:
            raise BudgetError(f"{place} has an unknown key {name!r}: one of {', '.join(names)}")


def _number(place: str, value: Any, largest: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= largest:
        raise BudgetError(f"{place} = {value!r}: a number from 0 to {largest:g}")
    return float(value)


def check_levels(levels: Sequence[Level], runs: Sequence[RunRecord]) -> list[Checked]:
    """`check_levels` checks the levels against some runs of one kind, phase by phase: a latency
    against the median of the runs, a failed share against that of all their requests.

    A latency of which only a lower bound is known counts as that bound, or as beyond every limit
    where the bound is within.
    """
    checked = []
    whole = max(runs, key=lambda run: len(run.fixed_phases))  # one that failed may have ended early
    for level in levels:
        for phase in _phases(level, whole):
            figures = [found for run in runs if (found := _figures(run, phase, level.operation))]
            for limit in LIMITS:
                allowed: float | None = getattr(level, limit)
                if allowed is not None and figures:
                    measured = (
                        sum(map(failures, figures)) / max(1, sum(map(asked, figures)))
                        if limit == "failed_share_max"
                        else _median_p99_ms(allowed, figures)
                    )
                    row = (level.operation, phase, limit, allowed, measured, len(figures))
                    checked.append(Checked(*row))
    return checked


def unchecked(levels: Sequence[Level], checked: Sequence[Checked]) -> list[str]:
    """`unchecked` returns a line about the levels that no phase of the runs could show, if any."""
    seen = {each.operation for each in checked}
    names = sorted({level.operation for level in levels} - seen)
    if not names:
        return []
    return [f"service levels not checked, as no phase that they are for has it: {', '.join(names)}"]


def _phases(level: Level, run: RunRecord) -> list[str]:
    return [
        phase.name
        for phase in run.fixed_phases
        if (
            phase.is_open
            if level.phases is None
            else any(fnmatchcase(phase.name, pattern) for pattern in level.phases)
        )
    ]


def _figures(run: RunRecord, phase: str, operation: str) -> Figures | None:
    for found, window in run.windows:
        if found.name == phase:
            return window.operations.get(operation)
    return None


def _median_p99_ms(allowed: float, figures: Sequence[Figures]) -> float | None:
    """None where it is not within any limit, and how long it was is not known."""
    latencies = [found.latency_ms for found in figures]
    middle = median(
        inf if found is None or ("p99" in found.at_least and found.p99 <= allowed) else found.p99
        for found in latencies
    )
    return None if middle == inf else middle
