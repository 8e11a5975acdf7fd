"""A comparison is for people and for CI: Markdown, JUnit XML, JSON, github-action-benchmark's."""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from bench.compare.comparison_record import (
    VERDICTS,
    Comparison,
    MetricRecord,
    SideRecord,
    Verdict,
    base_change,
    count,
    interval,
    size,
)
from bench.records.typed_json import to_plain
from bench.result_files import to_json

MARK = "<!-- kaflinkshop: regression -->"
"""A CI job finds its own comment by this mark, to replace it."""
BENCHMARKS = {"benchmark-smaller.json": True, "benchmark-bigger.json": False}
"""The files of github-action-benchmark say whether lower is better: each of its tools reads one.
More is better of a closed loop's throughput and of a capacity; an open loop has no such figure."""
FORMS = ("comparison.json", "comment.md", "junit.xml")
OUTPUTS = (*FORMS, *BENCHMARKS)
"""A comparison has files of these names; those of an earlier one are removed before it begins."""
BASES = {
    "another system": "A was measured twice in each pair, on a system of its own each, and what is "
    "compared with B is their mean",
    "consecutive runs": "each run of A with its next one, as no second system of A was measured; "
    "what a start of its own makes of a system is not in it",
}
"""The words say how the base was measured against itself."""
CHART_COLUMNS = 41
CHART_ALARMS = 2.0
"""The chart ends at so many times what an alarm lies beyond."""
NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_outputs(comparison: Comparison, folder: Path) -> list[Path]:
    """`write_outputs` writes all forms; a folder that is not there is made. It raises `OSError`.

    github-action-benchmark fails for a file without a figure, so there is none then.
    """
    folder.mkdir(parents=True, exist_ok=True)
    forms = to_json(to_plain(comparison)), markdown(comparison).encode(), junit(comparison)
    contents = dict(zip(FORMS, forms, strict=True))
    for name, is_lower_better in BENCHMARKS.items():
        if figures := action_benchmark(comparison, is_lower_better):
            contents[name] = to_json(figures)
        else:
            (folder / name).unlink(missing_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]


# ---- Markdown


def markdown(comparison: Comparison) -> str:
    """`markdown` puts the verdict first; it reads well as a comment, and in a terminal."""
    lines = [MARK, f"## {comparison.headline}", ""]
    if comparison.pairs:
        lines += [*_sides(comparison), *_table(comparison), "", *_chart(comparison), ""]
    if len(comparison.reasons) > 1 and comparison.verdict != "same":
        lines += [*(f"- {reason}" for reason in comparison.reasons), ""]
    broken = {level.line for level in comparison.levels if level.is_broken}
    kept = [level.line for level in comparison.levels if level.line not in broken]
    if kept or comparison.notes:
        lines += ["<details><summary>Service levels that hold, and notes</summary>", ""]
        lines += [f"- {line}" for line in (*kept, *comparison.notes)]
        lines += ["", "</details>", ""]
    return "\n".join(lines)


def _sides(comparison: Comparison) -> Iterator[str]:
    """What was compared; nothing where it could not be."""
    a, b, pairs, statistics = comparison.a, comparison.b, comparison.pairs, comparison.statistics
    if a is None or b is None or pairs is None or statistics is None:
        return
    yield (
        f"A is {_commit(a)}, B is {_commit(b)}. {count(pairs.used, 'pair')} of runs, "
        f"{pairs.fresh} more as the fresh batch, {len(pairs.void)} void. "
        f"{count(statistics.gated, 'gated metric')}, alpha {statistics.alpha:.2g} for all. "
        f"A against itself: {BASES[pairs.base]}."
    )
    yield ""


def _commit(side: SideRecord) -> str:
    return f"`{side.commit.id}`{' with changes' if side.commit.dirty else ''}"


def _table(comparison: Comparison) -> Iterator[str]:
    yield "| metric | A | B | B against A | interval | A against itself | alarm beyond | verdict |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for metric in comparison.metrics:
        cells = (
            metric.name,
            _value(metric, metric.a_median),
            _value(metric, metric.b_median),
            size(metric, metric.change, signed=True),
            interval(metric),
            base_change(metric),
            size(metric, metric.alarm_beyond),
            _shown_verdict(metric),
        )
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def _shown_verdict(metric: MetricRecord) -> str:
    verdict = VERDICTS[metric.verdict]
    if metric.role == "shown":
        return f"({verdict.lower()})"
    return f"**{verdict}**" if metric.verdict in ("regression", "faster") else verdict.lower()


def _value(metric: MetricRecord, value: float) -> str:
    if metric.scale == "difference":
        return f"{value * 100:.3g} %"
    return f"{value:,.4g} {metric.unit}" if value < 10_000 else f"{value:,.0f} {metric.unit}"


def _chart(comparison: Comparison) -> Iterator[str]:
    bars = {metric.name: bar for metric in comparison.metrics if (bar := _bar(metric))}
    if not bars:
        return
    width = max(map(len, bars))
    yield "```text"
    for name, bar in bars.items():
        yield f"{name:{width}} {bar}"
    ends = f"{'less':{CHART_COLUMNS // 2 - 1}}0{'more':>{CHART_COLUMNS // 2 + 1}}"
    yield f"{'':{width}} {ends}   ┊ alarm, ━ interval, ● estimate"
    yield "```"


def _bar(metric: MetricRecord) -> str | None:
    """The interval on a scale of the metric's own alarm, with an arrow where it goes on."""
    if metric.low is None or metric.high is None or metric.change is None:
        return None
    last = CHART_COLUMNS - 1

    def column(change: float) -> int:
        share: float = change / metric.alarm_beyond / CHART_ALARMS
        return round((max(-1.0, min(1.0, share)) + 1) / 2 * last)

    bar = ["·"] * CHART_COLUMNS
    for place in (-metric.alarm_beyond, metric.alarm_beyond):
        bar[column(place)] = "┊"
    bar[last // 2] = "│"
    low, high = column(metric.low), column(metric.high)
    bar[low : high + 1] = "━" * (high - low + 1)
    bar[column(metric.change)] = "●"
    end = CHART_ALARMS * metric.alarm_beyond
    more = ("◀" if metric.low < -end else " ", "▶" if metric.high > end else "")
    return "".join((more[0], *bar, more[1]))


# ---- JUnit


def junit(comparison: Comparison) -> bytes:
    """`junit` makes a test case for each gated metric and service level: regressions fail, doubts
    are skipped."""
    cases = [_case("metric", m.name, m.verdict, m.reason)
             for m in comparison.metrics if m.role != "shown"]  # fmt: skip
    for level in comparison.levels:
        name = f"{level.operation} {level.limit} in {level.phase}"
        verdict: Verdict = "over_budget" if level.is_broken else "same"
        cases.append(_case("service level", name, verdict, level.line))
    for number, outcome in enumerate(comparison.outcomes, 1):
        cases.append(_case("outcome", f"answers {number}", outcome.verdict, outcome.line))
    if not cases:
        message = "; ".join(comparison.reasons)
        cases.append(_case("comparison", "comparable", comparison.verdict, message))
    tags = {"failures": "failure", "errors": "error", "skipped": "skipped"}
    counts = {name: sum(case.find(tag) is not None for case in cases) for name, tag in tags.items()}
    counts["tests"] = len(cases)
    attributes = {name: str(count) for name, count in counts.items()}
    suites = ElementTree.Element("testsuites", attributes)
    suite = ElementTree.SubElement(suites, "testsuite", {"name": "regression", **attributes})
    suite.extend(cases)
    text: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(kind: str, name: str, verdict: Verdict, message: str) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=f"regression.{kind}", name=_xml(name))
    tags = {"regression": "failure", "over_budget": "failure", "inconclusive": "skipped"}
    if verdict not in ("same", "faster"):
        ElementTree.SubElement(
            case,
            tags.get(verdict, "error"),
            message=_xml(f"{VERDICTS[verdict]}: {message}"),
        )
    return case


def _xml(text: str) -> str:
    return NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


# ---- github-action-benchmark


def action_benchmark(comparison: Comparison, is_lower_better: bool) -> list[dict[str, object]]:
    """`action_benchmark` returns B's figures, for one of its tools customSmallerIsBetter and
    customBiggerIsBetter.

    https://github.com/benchmark-action/github-action-benchmark describes the form.
    """
    return [
        {
            "name": metric.name,
            "unit": metric.unit,
            "value": metric.b_median,
            "extra": metric.reason,
        }
        for metric in comparison.metrics
        if metric.is_lower_better == is_lower_better
    ]
