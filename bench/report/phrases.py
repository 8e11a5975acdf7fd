"""These phrases put figures and verdicts into words, the same in Markdown and on the page."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from bench.records.run_record import (
    PERCENTS,
    Latency,
    PhaseRecord,
    QuantileName,
    RunRecord,
    Verdict,
)

NONE = "-"
"""This stands in place of a figure that there is not."""


class Meaning(NamedTuple):
    name: str
    meaning: str
    """The meaning is for a reader who knows nothing of the measurement."""


VERDICTS: dict[Verdict, Meaning] = {
    "valid": Meaning(
        "Valid",
        "These figures can be trusted. The load generator kept up, every request is accounted for, "
        "nearly all were answered as expected, and every check that was made holds.",
    ),
    "failed": Meaning(
        "Failed",
        "The system broke a promise, or a limit that was set for the run. How fast it was does not "
        "matter until that is mended.",
    ),
    "invalid": Meaning(
        "Invalid",
        "Something is missing or does not add up, so this run can't tell how the system behaves. "
        "Do not quote its figures.",
    ),
    "void": Meaning(
        "Void",
        "The load generator or the machine was the bottleneck, or nobody can tell that they were "
        "not. The figures say nothing about the system: measure again on a quieter or larger "
        "machine, or with less load.",
    ),
    "interrupted": Meaning(
        "Interrupted",
        "The run was ended before its time. What was measured until then is shown; it was not "
        "checked.",
    ),
}


class Table(NamedTuple):
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    words: frozenset[int] = frozenset({0})
    """These columns have words; the others are figures."""


COMPILING_WARMUP_S = 20.0
"""The system's JVMs surely still compile with less warm-up: that takes them a minute or more."""


def reservations(run: RunRecord) -> list[str]:
    """`reservations` says for which windows a valid run holds as a steady state, and beside which
    something else was in the way, a line each.

    The figures of a window that never became steady are of a system that was still changing.
    """
    windows = [phase for phase in run.phases if phase.window is not None]
    if run.verdict != "valid" or not windows:
        return []
    unsteady = [phase for phase in windows if phase.steady is not None and not phase.steady.steady]
    times = Counter(map(phase_title, windows))

    def named(phases: Iterable[PhaseRecord]) -> str:
        return "; ".join(
            f"{title} ({phase.name})" if times[title := phase_title(phase)] > 1 else title
            for phase in phases
        )

    lines = []
    if unsteady:
        steady = named(phase for phase in windows if phase not in unsteady)
        lines.append(
            f"They hold as a steady state for {steady or 'no window'}: the system was still "
            f"changing with {named(unsteady)}."
        )
    if disturbed := [step for step in (run.capacity.steps if run.capacity else ()) if step.doubts]:
        rates = "; ".join(
            f"{rate(step.rate_per_s)}/s ({'; '.join(step.doubts)})" for step in disturbed
        )
        lines.append(
            "But the generator or the machine was, or may have been, in the way at these rates, "
            f"whose other figures are not the system's alone: {rates}."
        )
    settings = run.settings
    if settings.target is None and 0 < settings.first_warmup_s < COMPILING_WARMUP_S:
        lines.append(
            f"The JVMs were still compiling, after at most {settings.first_warmup_s:g} s of "
            "warm-up: a warm system is up to three times as fast."
        )
    return lines


def ms(value_ms: float | None, at_least: bool = False) -> str:
    """`ms` shows three digits or more, whatever the size: 0.512, 12.34, ≥ 2000.0."""
    if value_ms is None:
        return NONE
    digits = 3 if value_ms < 1 else 2 if value_ms < 100 else 1
    return f"{'≥ ' if at_least else ''}{value_ms:.{digits}f}"


def latency(found: Latency | None, name: QuantileName) -> str:
    """`latency` shows one quantile of a recorded latency, as "≥ …" where only a lower bound is
    known."""
    return NONE if found is None else ms(found.of(name), name in found.at_least)


def latencies(found: Latency | None) -> list[str]:
    return [latency(found, name) for name in PERCENTS]


def rate(per_s: float | None) -> str:
    if per_s is None:
        return NONE
    return f"{per_s:,.0f}" if per_s >= 100 else f"{per_s:.1f}"


def amount(value: float | None) -> str:
    if value is None:
        return NONE
    return f"{value:,.0f}" if value >= 100 else f"{value:.2f}"


def share(part: float) -> str:
    """`share` shows a share of 1, never rounded to all or nothing: 0.004 %, 99.98 %."""
    percent = part * 100
    for digits in range(1, 7):
        text = f"{percent:.{digits}f}"
        if float(text) not in (0, 100) or percent in (0, 100):
            return f"{text.rstrip('0').rstrip('.')} %"
    return f"{percent:g} %"


def phase_title(phase: PhaseRecord) -> str:
    """`phase_title` shows its load: "64 users", "poisson, 500/s for 20 s"; its name where nothing
    is measured."""
    if not phase.duration_s:
        return phase.name
    if phase.is_open:
        return str(phase.schedule)
    return "1 user" if phase.users == 1 else f"{phase.users:,} users"


def steadiness(phase: PhaseRecord) -> str | None:
    steady = phase.steady
    if steady is None:
        return None
    state = "steady" if steady.steady else "never became steady"
    return f"{state} after {phase.warmup_s:g} s of warm-up: {steady.why}"


def setting(name: str, value: object) -> tuple[str, str]:
    """`setting` returns a recorded setting as a term and its text; the unit that ends its name goes
    to the value."""
    units = {"_s": "s", "_ms": "ms", "_per_s": "per second"}
    for ending in sorted(units, key=len, reverse=True):
        if name.endswith(ending) and isinstance(value, int | float):
            return name.removesuffix(ending).replace("_", " "), f"{value:g} {units[ending]}"
    return name.replace("_", " "), plain(value)


def plain(value: object) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, list | tuple):
        return ", ".join(map(plain, value)) or NONE
    if isinstance(value, dict):
        return ", ".join(f"{name} {plain(part)}" for name, part in value.items()) or NONE
    return str(value)
