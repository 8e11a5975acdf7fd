"""A file of another tool's results becomes a run that `bench.compare` takes, and says what is
unknown of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import file_digest
from pathlib import Path

from bench.imports.formats import Requests, ResultsError, read
from bench.records.run_record import (
    SCHEMA_VERSION,
    CommitRecord,
    Environment,
    Figures,
    PhaseRecord,
    RunRecord,
    RunSettings,
    WindowFigures,
    WrongAnswers,
)
from bench.records.samples import Window
from bench.stats.window import asked, failures, summarize

UNKNOWN = "unknown"
NOT_SO = "not so"
"""A check of a script fails by this outcome."""
REQUESTS_MIN = 100
"""A run has at least so many requests that were sent: the p99 of fewer is their longest."""

RATE_SHARE_MAX = 0.05
"""The requests that runs sent a second may differ by this share: whether that was the load or its
result no file says, and latency depends on it."""

UNKNOWN_OF_ALL = (
    "what {tool} writes says nothing of the machine, the schedule and the generator: that they "
    "were alike, warm and no bottleneck is for you to know; all requests of a file count"
)
UNKNOWN_OF: Mapping[str, str] = {
    "vegeta": "vegeta's latency counts from when a request was sent: what one waited for a free "
    "worker is in no figure",
    "k6": "k6's http_req_duration counts from when a request was sent, without connecting: what an "
    "iteration waited is in no figure; dropped iterations rank behind all that were sent, and have "
    "failed",
}
"""These lines tell what the requests of a tool's file can't say."""
UNKNOWN_OF_SUMMARY: Mapping[str, str] = {
    "vegeta": "vegeta's report estimates quantiles, over failed requests too: vegeta encode --to "
    "json of its results can be judged",
    "k6": "k6's summary has quantiles over failed requests too, and p(99) only where "
    "--summary-trend-stats asks for it: k6 --out json can be judged",
    "oha": "oha writes its failed requests as counts alone, and its quantiles leave them out; it "
    "does not say when a run was: no file of oha's can be judged",
    "locust": "Locust rounds quantiles to two digits, over failed requests too, and counts from "
    "when a user was ready: no file of Locust's can be judged",
}
"""These lines tell what is missing in a tool's figures, and where it is to be had."""


@dataclass(frozen=True, kw_only=True)
class ImportedRun(RunRecord):
    """This is a run that another tool made, as far as its file says."""

    tool: str
    figures: Mapping[str, float]
    """The figures are all there is, see `Summary`; empty where the requests are known."""

    @property
    def unknown(self) -> list[str]:
        """`unknown` returns a line for each thing that such a file can't say."""
        why = (UNKNOWN_OF_SUMMARY if self.figures else UNKNOWN_OF)[self.tool]
        return [why, UNKNOWN_OF_ALL.format(tool=self.tool)]

    @property
    def rate_per_s(self) -> float | None:
        """`rate_per_s` returns how many requests were sent a second; None for figures alone."""
        windows = [window for _, window in self.windows]
        return windows[0].requests / windows[0].length_s if windows else None


def read_imported(path: Path) -> ImportedRun:
    """`read_imported` returns the run of a file. It raises `ResultsError`."""
    result = read(path)
    if not isinstance(result, Requests):
        return _run(path, result.tool, "", None, result.figures)
    sent = result.samples.where(~result.samples.of_kind("dropped"))
    if len(sent) < REQUESTS_MIN:
        why = f"{len(sent)} requests, at least {REQUESTS_MIN} are needed"
        raise ResultsError(f"{path} has {why}")
    times_ns = result.samples.sent_ns
    first_ns, last_ns = int(times_ns.min()), int(times_ns.max())
    if first_ns == last_ns:
        raise ResultsError(f"{path} says that all requests were sent at one moment")
    started = datetime.fromtimestamp(first_ns / 1e9, UTC).isoformat(timespec="milliseconds")
    window = _window(result, Window(first_ns, last_ns + 1, is_open_loop=True))
    return _run(path, result.tool, started, window, {})


def unlike_rates(runs: Sequence[ImportedRun]) -> str | None:
    """`unlike_rates` returns a line where runs sent too unlike numbers of requests a second."""
    rates = [rate for run in runs if (rate := run.rate_per_s) is not None]
    if not rates or max(rates) <= min(rates) * (1 + RATE_SHARE_MAX):
        return None
    return (
        f"from {min(rates):.1f} to {max(rates):.1f} requests were sent a second, which may be the "
        "load or its result: latency can be compared at one rate only"
    )


def _window(result: Requests, window: Window) -> WindowFigures:
    """Each of the script's checks is as an operation: what it asked is a share that may differ."""
    found = summarize(result.samples, window)
    checks = {
        f"check {name}": Figures(
            requests=told.total(),
            answered=told[True],
            throughput_per_s=0.0,
            latency_ms=None,
            refused={},
            failed={NOT_SO: told[False]} if told[False] else {},
        )
        for name, told in result.checks.items()
    }
    return WindowFigures(
        **vars(found.total),
        opened_ns=window.opened_ns,
        closed_ns=window.closed_ns,
        length_s=window.length_s,
        operations={**found.operations, **checks},
        open=found.open,
        checkout_paid_share=None,
        cpu={},
    )


def _run(
    path: Path, tool: str, started: str, window: WindowFigures | None, figures: Mapping[str, float]
) -> ImportedRun:
    """Whether the loop was open or closed is unknown. With "open" latency counts, which runs of
    one rate have in common."""
    phase = PhaseRecord(
        name=tool if window else f"{tool}'s figures",
        loop="open",
        users=None,
        schedule=None,
        warmup_s=0.0,
        duration_s=0.0,
        generators=1,
        samples=[],
        histories=[],
        series=None,
        stages=None,
        steady=None,
        window=window,
    )
    why = []
    if window is not None and failures(window) >= asked(window):
        kinds = ", ".join(window.failed)
        why = [f"nothing was answered as expected: all {asked(window):,} requests failed: {kinds}"]
    nowhere = Environment(UNKNOWN, 0, 0, UNKNOWN, UNKNOWN, {}, None, None)
    return ImportedRun(
        schema_version=SCHEMA_VERSION,
        run_id=_id(path),
        started_utc=started,
        verdict="failed" if why else "valid",
        reasons=why,
        commit=CommitRecord(UNKNOWN, dirty=False),
        seed=0,
        settings=RunSettings(target=UNKNOWN),
        environment=nowhere,
        phases=[phase],
        capacity=None,
        probes=None,
        ledger=None,
        invariants=None,
        wrong_answers=WrongAnswers(0, []),
        tool=tool,
        figures=figures,
    )


def _id(path: Path) -> str:
    """A file is known by its name and its content: one that is in both sets is found out."""
    with path.open("rb") as file:
        return f"{path.name} ({file_digest(file, 'sha256').hexdigest()[:10]})"
