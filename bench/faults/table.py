"""The findings of a campaign or a soak become Markdown; a campaign's has its place in
docs/reliability.md (pure)."""

from collections.abc import Mapping, Sequence

from bench.faults.judgement import Found
from bench.faults.soak import Soaked

BEGIN, END = "<!-- faults:begin -->", "<!-- faults:end -->"
HEAD = (
    *("fault", "seed", "lasted s", "requests", "checkouts", "refused", "unknown", "longest s"),
    *("recovered s", "goal s", "violations", "promises", "took s"),
)


def table(found: Sequence[Found], about: str) -> str:
    """`table` returns Markdown; `about` says what was measured, and where."""
    lines = [about, "", totals(found), ""]
    lines += ["| " + " | ".join(HEAD) + " |", "| --- " * len(HEAD) + "|"]
    lines += ["| " + " | ".join(_cells(each)) + " |" for each in found]
    lines += ["", *(f"- {each.fault}, seed {each.seed}: {each.proof}" for each in found)]
    return "\n".join(lines) + "\n"


def totals(found: Sequence[Found]) -> str:
    """`totals` returns some sentences on all of them."""
    states = [each.state for each in found]
    runs = ", ".join(
        f"{word} in {states.count(state)}"
        for state, word in (
            *(("hold", "the promises held"), ("broken", "were broken"), ("unknown", "are unknown")),
        )
        if state in states
    )
    late = ", ".join(
        f"{each.fault} of seed {each.seed} ({each.recovered_s:.1f} s)"
        for each in found
        if each.recovered_s is not None and each.recovered_s > each.recovery_s_max
    )
    return (
        f"{len(found)} runs took {sum(each.took_s for each in found) / 60:.0f} minutes: {runs}. "
        f"In all {sum(each.requests for each in found):,} requests, "
        f"{sum(each.checkouts for each in found):,} paid checkouts, "
        f"{sum(each.violations for each in found):,} violations. "
        f"{sum(each.resent for each in found):,} writes that had no answer in time were sent "
        "again with their request_id, and were answered."
        + (f" Later than their goal: {late}." if late else "")
    )


def _cells(found: Found) -> list[str]:
    recovered = "not" if found.recovered_s is None else f"{found.recovered_s:.1f}"
    why = "; ".join(found.broken or found.unsure)
    return [
        *(found.fault, str(found.seed), f"{found.span_s:.1f}", f"{found.requests:,}"),
        *(f"{found.checkouts:,}", f"{found.refused:,}", f"{found.unknown:,}"),
        *(f"{found.longest_s:.2f}", recovered),
        *(f"{found.recovery_s_max:g}", str(found.violations)),
        f"{found.state}: {why}" if why else found.state,
        f"{found.took_s:.0f}",
    ]


def into(page: str, text: str) -> str:
    """`into` returns the page with the text in its place. Raises `ValueError` where it has none."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"it has no place between {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{text}{END}{tail}"


def summary(soaked: Soaked, figures: Mapping[str, object]) -> str:
    """`summary` returns Markdown about a soak."""
    found = soaked.found
    told_of = ", ".join(f"{name} {value}" for name, value in figures.items())
    lines = [
        f"Soak: {told_of}; {found.requests:,} requests, {found.checkouts:,} paid checkouts, "
        f"{found.unknown:,} of unknown outcome, {found.violations} violations.",
        "",
        f"Promises: {found.state}",
        *(f"- {line}" for line in (*found.broken, *found.unsure)),
        "",
        "| held | watched s | grew | at most |",
        "| --- | --: | --: | --: |",
    ]
    lines += [
        f"| {each.series} | {each.watched_s:.0f} "
        f"| {'unknown' if each.share is None else f'{each.share:+.1%}'} | {each.share_max:+.0%} |"
        for each in soaked.grown
    ]
    return "\n".join([*lines, "", *(f"- {line}" for line in soaked.faults)]) + "\n"
