"""The faults of a campaign become a table, with a place in docs/reliability.md (pure)."""

from collections.abc import Sequence

from bench.faults.judgement import Found

BEGIN, END = "<!-- faults:begin -->", "<!-- faults:end -->"
HEAD = (
    *("fault", "seed", "lasted s", "requests", "checkouts", "unknown", "longest s"),
    *("recovered s", "goal s", "violations", "promises"),
)


def table(found: Sequence[Found], about: str) -> str:
    """`table` returns Markdown; `about` says what was measured, and where."""
    lines = [about, "", "| " + " | ".join(HEAD) + " |", "| --- " * len(HEAD) + "|"]
    lines += ["| " + " | ".join(_cells(each)) + " |" for each in found]
    lines += ["", *(f"- {each.fault}, seed {each.seed}: {each.proof}" for each in found)]
    return "\n".join(lines) + "\n"


def _cells(found: Found) -> list[str]:
    recovered = "not" if found.recovered_s is None else f"{found.recovered_s:.1f}"
    return [
        *(found.fault, str(found.seed), f"{found.span_s:.1f}", f"{found.requests:,}"),
        *(f"{found.checkouts:,}", f"{found.unknown:,}", f"{found.longest_s:.2f}", recovered),
        *(f"{found.recovery_s_max:g}", str(found.violations)),
        "hold" if found.holds else "; ".join(found.broken),
    ]


def into(page: str, text: str) -> str:
    """`into` returns the page with the text in its place. Raises `ValueError` where it has none."""
    head, begin, rest = page.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"it has no place between {BEGIN} and {END}")
    return f"{head}{BEGIN}\n{text}{END}{tail}"
