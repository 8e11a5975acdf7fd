"""Two sets of recorded runs become one comparison, as compare.schema.json describes it."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from math import isfinite
from pathlib import Path
from statistics import median

from bench.compare import comparability, outcomes
from bench.compare.budgets import Budgets, Checked, check_levels, unchecked
from bench.compare.comparability import Folders, read_sides
from bench.compare.comparison_record import (
    SCHEMA_VERSION,
    BaseRecord,
    Comparison,
    LevelRecord,
    MetricRecord,
    OutcomeRecord,
    PairsRecord,
    SideRecord,
    StatisticsRecord,
    Verdict,
    because,
    headline,
    level_line,
    too_few,
)
from bench.compare.metric import Metric
from bench.compare.metric_pairs import (
    Row,
    Spreads,
    doubts,
    judge_rows,
    lost,
    rows,
    shown_rows,
    unread,
    usable,
    voided,
)
from bench.compare.metrics import Readings
from bench.compare.metrics import imported as read_figures
from bench.compare.run_pairs import (
    BROKEN,
    Pair,
    Sides,
    UnfitError,
    is_balanced,
    is_interleaved,
    pair_up,
    told,
)
from bench.compare.verdict import (
    ALPHA,
    BaseNoise,
    Finding,
    base_noise,
    beside_base,
    held_back,
    overall,
    without_interleaving,
)
from bench.errors import COMPARISON_EXITS
from bench.imports.runs import ImportedRun, unlike_rates
from bench.records.run_record import CONTROL, RunRecord
from bench.records.run_record import Verdict as RunVerdict
from bench.stats.signed_rank import pairs_needed

SCHEMA_FILE = Path(__file__).with_name("compare.schema.json")

NO_PAIR: Verdict = "inconclusive"
"""The verdict is this where every pair is void, and not because of one side."""
BROKEN_SHOWN_MAX = 3
"""A comparison names at most so many runs that are FAILED or INVALID; the others are counted."""
COUNTED: tuple[RunVerdict, ...] = ("valid", "failed")
"""The requests of runs of these verdicts are counted: how they ended is known."""
ONLY_FIGURES = "without the requests behind them are shown and never judged"


def compare(
    batch: Folders,
    budgets: Budgets,
    fresh: Folders | None = None,
    looks: int = 1,
    spreads: Spreads | None = None,
    comparisons: int = 1,
) -> Comparison:
    """`compare` compares recorded runs; `fresh` is the batch that must repeat a finding.

    Without one the last third of the pairs is held back as such, where enough are left.
    `looks`: how often the runs may have been looked at while they were measured, by
    `bench.regression.stopping_rule`; of more than one look no pairs are held back. So many
    `comparisons` share what one may err. What can't be compared is a comparison too, with a verdict
    that says why.
    """
    try:
        sides, fresh_sides = read_sides(batch), read_sides(fresh)
        comparability.refuse_repeated(sides, fresh_sides)
    except UnfitError as cause:
        return unfit(cause)
    return compare_sets(sides, fresh_sides, budgets, looks, spreads, comparisons)


def compare_sets(
    sides: Sides,
    fresh: Sides,
    budgets: Budgets,
    looks: int = 1,
    spreads: Spreads | None = None,
    comparisons: int = 1,
) -> Comparison:
    """`compare_sets` does the same for runs that were read already, each side by time."""
    try:
        return _compare(sides, fresh, budgets, looks, spreads or {}, comparisons)
    except UnfitError as cause:
        return unfit(cause)


def unfit(cause: UnfitError) -> Comparison:
    """`unfit` returns the comparison of what can't be compared."""
    return _described(cause.fault, list(cause.lines))


def _compare(
    sides: Sides, fresh: Sides, budgets: Budgets, looks: int, spreads: Spreads, comparisons: int
) -> Comparison:
    both = sides + fresh
    unlike = comparability.differences(both.base, both.b)
    if unlike:
        raise UnfitError("incomparable", *(f"A and B differ: {line}" for line in unlike))
    imported = [run for run in (*both.base, *both.b) if isinstance(run, ImportedRun)]
    if (line := unlike_rates(imported)) is not None:
        raise UnfitError("incomparable", line)
    if imported and imported[0].figures:
        return _shown(both, budgets)
    pairs, fresh_pairs = pair_up(*sides), pair_up(*fresh)
    lost_readings = lost(pairs + fresh_pairs, budgets)
    counted = _counted(pairs + fresh_pairs, budgets)
    paired, fresh_paired = Sides.of(pairs), Sides.of(fresh_pairs)
    all_in_turns = is_interleaved(pairs) and is_interleaved(fresh_pairs)
    pairs, voids = usable(pairs, budgets, lost_readings)
    fresh_pairs, fresh_voids = usable(fresh_pairs, budgets, lost_readings)
    spoilt_line = None
    if all_in_turns:
        spoilt_line = outcomes.blamed(
            paired, fresh_paired, looks, comparisons
        ) or outcomes.void_by_side(paired + fresh_paired, lost_readings, comparisons)
    broken = _first([told(run) for run in (*both.base, *both.b) if run.verdict in BROKEN])
    if not pairs and spoilt_line:
        return _described("regression", [spoilt_line])
    if not pairs and broken:
        raise UnfitError("invalid", *broken)
    if not pairs:
        return _described(NO_PAIR, [f"no usable pair is left: {voids[0]}"])
    found = rows(pairs + fresh_pairs, budgets, spreads)
    gated, alpha = [row for row in found if row.is_gated], ALPHA / (looks * comparisons)
    used = len(pairs)
    if looks == 1 and not fresh_pairs:
        used -= held_back(used, len(gated), alpha)
        pairs, fresh_pairs = pairs[:used], pairs[used:]
    noise = {row.metric.name: base_noise(row.base_worsenings, row.limits) for row in found}
    judged = judge_rows(gated, used, alpha)
    findings = {
        row.metric.name: beside_base(judged[row.metric.name], noise[row.metric.name], row.limits)
        for row in gated
        if not row.bounds or judged[row.metric.name].is_worse
    }
    in_turns = all_in_turns and is_interleaved(pairs) and is_interleaved(fresh_pairs)
    if not in_turns:
        findings = {name: without_interleaving(finding) for name, finding in findings.items()}
    shown = [row for row in found if row.rule.role == "shown" and not row.bounds]
    findings_shown = {
        name: f for row in shown for name, f in judge_rows([row], used, alpha).items()
    }
    metrics = [
        _metric(row, {**findings_shown, **findings}, noise[row.metric.name]) for row in found
    ]
    checked = check_levels(budgets.levels, counted.b)
    verdict = _overall(found, findings, checked)
    worse = [name for name, finding in findings.items() if finding.is_worse]
    worse += [row.metric.name for row in found if row.hides_worse]
    ended = outcomes.judge(counted, comparisons)
    otherwise = [each.line for each in ended if each.state == "changed" and in_turns]
    otherwise += [spoilt_line] if spoilt_line else []
    doubted = [each.line for each in ended if each.line not in otherwise]
    kept = pairs + fresh_pairs
    unread_doubts, unread_notes = ([], []) if imported else unread(found, kept, budgets)
    doubted += [*doubts(found, kept, budgets, used, alpha), *unread_doubts]
    if otherwise:
        verdict = "regression"
    if verdict == "regression":
        broken = []  # the notes have them, as pairs that are void
    elif broken:
        verdict = "invalid"
    elif doubted and verdict in ("same", "faster"):
        verdict = "inconclusive"
    level = 1 - alpha / max(1, len(gated))
    few = too_few(used, level) if used < pairs_needed(level) else None
    return replace(
        _described(
            verdict,
            [
                *otherwise,
                *broken,
                *doubted,
                *_reasons(verdict, metrics, checked, few, worse),
            ],
            metrics,
        ),
        notes=[
            *voided(kept, budgets),
            *unread_notes,
            *_notes(both, pairs, [*voids, *fresh_voids]),
            *unchecked(budgets.levels, checked),
        ],
        a=_side(both.base),
        b=_side(both.b),
        pairs=PairsRecord(
            used,
            len(fresh_pairs),
            voids + fresh_voids,
            "another system" if Sides.of(kept).again else "consecutive runs",
        ),
        statistics=StatisticsRecord(alpha, looks * comparisons, len(gated)),
        levels=[LevelRecord(*level, level.is_broken, level_line(level)) for level in checked],
        outcomes=[
            *(OutcomeRecord("regression", line) for line in otherwise),
            *(OutcomeRecord("invalid", line) for line in broken),
            *(OutcomeRecord("inconclusive", line) for line in doubted),
        ],
    )


def _counted(pairs: Sequence[Pair], budgets: Budgets) -> Sides:
    """The runs whose requests are counted: those of pairs that only failures spoil, too, or a side
    that fails now and then would look as if it never did."""
    fit = [pair for pair in pairs if pair.void_because(budgets.moved_max, COUNTED) is None]
    return Sides.of(fit)


def _first(broken: Sequence[str]) -> list[str]:
    more = len(broken) - BROKEN_SHOWN_MAX
    return [*broken[:BROKEN_SHOWN_MAX], *([f"and {more} more runs"] if more > 0 else [])]


def _shown(both: Sides, budgets: Budgets) -> Comparison:
    """What other tools' files say that hold figures alone: side by side, without a verdict."""
    pairs = pair_up(*both)
    sides = [([*map(_figures, pair.base)], _figures(pair.b)) for pair in pairs]
    why = f"{both.a[0].phases[0].name} {ONLY_FIGURES}"
    metrics = [
        replace(_metric(row, {}, None), reason=f"{row.metric.name}: {why}")
        for row in shown_rows(sides, budgets)
    ]
    return replace(
        _described(NO_PAIR, [why], metrics),
        notes=_notes(both, pairs, []),
        a=_side(both.a),
        b=_side(both.b),
        pairs=PairsRecord(len(pairs), 0, [], "consecutive runs"),
    )


def _figures(run: RunRecord) -> Readings:
    return read_figures(run.tool, run.figures) if isinstance(run, ImportedRun) else {}


def _overall(
    found: Sequence[Row], findings: Mapping[str, Finding], checked: Sequence[Checked]
) -> Verdict:
    deciding = [row for row in found if row.rule.role == "decides"]
    verdict = overall(findings, {row.metric.name for row in deciding} & findings.keys())
    if verdict != "regression" and any(level.is_broken for level in checked):
        return "over_budget"
    is_unknown = any(row.bounds for row in deciding) or any(row.hides_worse for row in found)
    return "inconclusive" if is_unknown and verdict in ("same", "faster") else verdict


def _reasons(
    verdict: Verdict, metrics: Sequence[MetricRecord], checked: Sequence[Checked], few: str | None,
    worse: Collection[str],
) -> list[str]:  # fmt: skip
    """What led to the verdict; broken service levels are said in any case. A metric in `worse`
    surely got worse, and may keep others from deciding."""
    broken = [level_line(level) for level in checked if level.is_broken]
    if few and verdict == "inconclusive":
        return [few]
    led = [
        each.reason
        for each in metrics
        if each.verdict == verdict
        and (verdict != "inconclusive" or each.role == "decides" or each.name in worse)
        and each.role != "shown"
    ]
    return broken + led if verdict == "over_budget" else led + broken


def _notes(sides: Sides, pairs: Sequence[Pair], voids: Sequence[str]) -> list[str]:
    first, runs = sides.a[0], [*sides.base, *sides.b]
    notes = first.unknown if isinstance(first, ImportedRun) else []
    notes += [f"part of the change: {line}" for line in comparability.software(first, sides.b[0])]
    notes += [f"a pair is void: {why}" for why in voids]
    if len(sides.a) != len(sides.b):
        notes.append(f"A has {len(sides.a)} runs and B {len(sides.b)}: the rest has no partner")
    if not is_balanced(pairs):
        notes.append("one side came first in most pairs: in ABBA its order would not count")
    if not any(probe.name == CONTROL for probe in first.probes or ()):
        notes.append("there is no control workload, so no pair is void for a machine that moved")
    own = first.settings.target is None  # else the commit says nothing about the target
    harness = {run.commit.id for run in runs}
    if not own and len(harness) > 1:
        notes.append(f"the harness was not the same: commits {', '.join(sorted(harness))}")
    if own and all(run.commit == replace(first.commit, dirty=False) for run in runs):
        notes.append("A and B are of one commit: a comparison with itself")
    return notes


def _metric(row: Row, findings: Mapping[str, Finding], noise: BaseNoise | None) -> MetricRecord:
    metric, name = row.metric, row.metric.name
    found = findings.get(name)
    lost = f"requests had no answer in {row.bounds} runs, so only a lower bound is known"
    described = MetricRecord(
        name=name,
        kind=metric.kind,
        unit=metric.unit,
        is_lower_better=metric.is_lower_better,
        scale=metric.scale,
        role=row.rule.role,
        a_median=median(row.a),
        b_median=median(row.b),
        changes=[metric.shown(worsening) for worsening in row.worsenings],
        threshold=row.rule.threshold,
        aa_spread=row.rule.aa_spread,
        same_within=metric.shown_limit(row.limits.same),
        alarm_beyond=metric.shown_limit(row.limits.alarm),
        change=None,
        low=None,
        high=None,
        level=None,
        p_value=None,
        fresh_change=None,
        base=None if noise is None else _base(metric, noise),
        verdict="inconclusive",
        reason=f"{name}: {lost}",
    )
    if found is None:
        return described
    low, high = _interval(metric, found.low, found.high)
    described = replace(
        described,
        change=metric.shown(found.estimate),
        low=low,
        high=high,
        level=found.level,
        p_value=found.p_value,
        fresh_change=None if found.fresh is None else metric.shown(found.fresh),
        verdict=found.verdict,
    )
    return replace(described, reason=f"{name}: {because(described, found)}")


def _base(metric: Metric, noise: BaseNoise) -> BaseRecord:
    low, high = _interval(metric, noise.low, noise.high)
    return BaseRecord(noise.state, noise.pairs, metric.shown(noise.estimate), low, high)


def _interval(metric: Metric, low: float, high: float) -> tuple[float | None, float | None]:
    """Its ends as people say them; None where there are too few pairs for its level."""
    if not isfinite(low):
        return None, None
    first, last = sorted((metric.shown(low), metric.shown(high)))
    return first, last


def _described(
    verdict: Verdict, reasons: list[str], metrics: Sequence[MetricRecord] = ()
) -> Comparison:
    return Comparison(
        schema_version=SCHEMA_VERSION,
        verdict=verdict,
        exit_code=COMPARISON_EXITS[verdict],
        headline=headline(verdict, reasons, metrics),
        reasons=reasons,
        notes=[],
        a=None,
        b=None,
        pairs=None,
        statistics=None,
        metrics=list(metrics),
        levels=[],
        outcomes=[],
    )


def _side(runs: Sequence[RunRecord]) -> SideRecord:
    commits = {run.commit.id: run.commit for run in runs}
    if len(commits) > 1:
        raise UnfitError("incomparable", f"one side has runs of commits {', '.join(commits)}")
    return SideRecord(runs[0].commit, [run.run_id for run in runs])
