"""A whole run brings the system up, loads it in phases, and judges it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.errors import BenchError, bench_errors
from bench.generator.preflight import LOOPBACK, check_before, connections_per_s_max
from bench.generator.spec import Phase
from bench.judge import answers
from bench.judge.final_reads import audit
from bench.judge.invariants import check
from bench.judge.ledger import Ledger, balance, balance_samples
from bench.judge.resends import FILE as RESENDS
from bench.judge.resends import Resent, resend, unanswered
from bench.observe.gateway import scrape_all, scrape_quiet
from bench.records.gateway_counts import Metrics, rise
from bench.records.hdr_log import write_log
from bench.records.request_log import History, compress
from bench.records.run_files import write_run
from bench.records.run_record import Level, RunRecord
from bench.records.samples import Reader, read
from bench.result_files import to_json
from bench.run import capacity, out_folder
from bench.run.capacity import Capacity
from bench.run.control import control
from bench.run.environment import commit, environment
from bench.run.load import load_of
from bench.run.model import Measured, Probing, Progress, Search, Subject, System
from bench.run.phase_figures import Findings, describe, examine, wall_offset_ns
from bench.run.phase_runner import run_phase
from bench.run.record import Judgement, record_of
from bench.run.settings import Settings
from bench.stats import stages
from bench.workload.address import Address
from bench.workload.arrivals import Schedule, Stage
from machine.whole_files import write
from system.runtime.options import StackOptions
from system.runtime.stack import Stack


def _largest_per_s(settings: Settings) -> float:
    """Where each request has a connection of its own, this machine's ports end a search."""
    load = load_of(settings)
    if load.keep_alive or load.agents or settings.target is None:
        return capacity.RATE_PER_S_MAX
    is_loopback = Address.of(settings.target).host in LOOPBACK
    return min(capacity.RATE_PER_S_MAX, connections_per_s_max(is_loopback))


@contextmanager
def system_under_test(
    settings: Settings,
    progress: Progress,
    options: StackOptions | None = None,
    search: Search | None = None,
) -> Iterator[System]:
    """`system_under_test` yields a stack of its own, or the target. It raises `StackError` when the
    stack does not come up."""
    if settings.target is not None:
        load, per_s, is_search = load_of(settings), 0.0, search is not None
        if settings.rate is not None and not load.keep_alive:
            per_s = max(max(stage[:2]) for stage in settings.schedule().stages)
        elif search is not None and not load.keep_alive:
            per_s = search.start_per_s
        users = 0 if is_search else max(phase.users for phase in settings.phases())
        is_open = is_search or settings.rate is not None
        connections = max(settings.in_flight_max if is_open else 0, -(-users // load.generators))
        check_before(settings.target, load, connections, per_s)
        yield System(
            *(settings.target, dict, lambda: None, settings.kafka), workers=settings.workers
        )
        return
    options = replace(options or StackOptions(), workers=settings.workers)
    with own_stack(options, progress) as system:
        yield system


@contextmanager
def own_stack(options: StackOptions, progress: Progress) -> Iterator[System]:
    """`own_stack` raises `StackError` when the stack does not come up."""
    with Stack(options, progress=progress) as stack:

        def check_stack() -> None:
            with bench_errors():
                stack.check()

        yield System(
            stack.url,
            stack.pids,
            check_stack,
            stack.bootstrap_servers,
            stack.flink_rest,
            stack.gc_logs,
            options.workers,
            others=stack.urls[1:],
        )


def measure(settings: Settings, results: Path, subject: Subject) -> RunRecord:
    """`measure` returns the record of a run of a system that is up, made without a word.

    Any share may fail: two sides that are compared may fail alike, and the comparison judges how
    often.
    """
    settings = replace(settings, max_failed=1.0)
    run, _ = Run(settings, results, lambda _: None, subject=subject).execute()
    return run


class Run:
    """A run has a folder, results/<utc>-<commit>-<seed>."""

    def __init__(
        self,
        settings: Settings,
        results: Path,
        progress: Progress,
        task: Search | Probing | None = None,
        subject: Subject | None = None,
    ) -> None:
        """The `task` is what to do instead of the phases of `settings`.

        `subject`: what is measured, in place of a stack of its own or the target; the control
        workload is then measured too.
        """
        self._settings = settings
        self._results = results
        self._progress = progress
        self._task = task
        self._given = subject
        self._found: list[Findings] = []
        self._capacity: Capacity | None = None

    def execute(self) -> tuple[RunRecord, Path]:
        """`execute` returns the record of the run, and its folder.

        Ctrl-C during the load, or a system that ends, ends the run early: what was measured is
        kept. It raises `StackError` when the stack does not come up, and `BenchError` where the run
        can't be written.
        """
        try:
            return self._execute()
        except OSError as cause:
            raise BenchError(
                f"cannot write {cause.filename or self._results}: {cause.strerror}; what was "
                "recorded until then is kept"
            ) from None

    def _execute(self) -> tuple[RunRecord, Path]:
        settings = self._settings
        out_folder.prepare(self._results)
        with self._subject() as (system, source, where):
            before = None if self._given else self._counters(system)
            started = datetime.now(UTC)
            run_id = f"{started:%Y%m%dT%H%M%SZ}-{source.id}-{settings.seed}"
            folder = self._results / run_id
            folder.mkdir(parents=True)
            judgement = self._load_and_judge(system, folder, before)
            run = record_of(
                run_id,
                started.isoformat(timespec="milliseconds"),
                settings,
                where,
                source,
                [describe(findings) for findings in self._found],
                judgement,
                None if self._capacity is None else self._capacity.record(),
            )
            # Before the stack ends, which takes seconds: a second Ctrl-C meanwhile loses nothing.
            write_run(folder, run)
        for findings in self._found:
            _write_logs(findings, folder)
        for path in folder.glob("history-*.jsonl"):
            compress(path)
        return run, folder

    @contextmanager
    def _subject(self) -> Iterator[Subject]:
        if self._given is not None:
            yield self._given
            return
        settings = self._settings
        options = self._task.stack if isinstance(self._task, Probing) else None
        search = self._task if isinstance(self._task, Search) else None
        with system_under_test(settings, self._progress, options, search) as system:
            yield Subject(system, commit(), environment(own_stack=settings.target is None))

    def _counters(self, system: System) -> Metrics | None:
        settings = self._settings
        return scrape_all(system.urls, settings.workers) if settings.is_shop else None

    def _histories(self) -> History:
        return History([path for found in self._found for path in found.measured.histories])

    def _replies(self) -> Counter[str] | None:
        """Those that the generators read from Kafka; None where they sent over HTTP."""
        if self._settings.kafka is None:
            return None
        return sum((Counter(found.replies or {}) for found in self._found), Counter())

    def _load_and_judge(self, system: System, folder: Path, before: Metrics | None) -> Judgement:
        try:
            if isinstance(self._task, Probing):
                return Judgement(probes=self._task.probe(system, self._progress))
            probes = None
            if self._given is not None:  # one that has ended spoils this run, not the job
                probes, before = [control()], self._counters(system)
            if not self._load(system, folder):
                return Judgement(wrong_answers=self._histories().wrong(), interrupted=True)
            return self._judge(system, folder, before)._replace(probes=probes)
        except KeyboardInterrupt:
            return Judgement(wrong_answers=self._histories().wrong(), interrupted=True)
        except BenchError as cause:
            return Judgement(wrong_answers=self._histories().wrong(), problems=[str(cause)])

    def _load(self, system: System, folder: Path) -> bool:
        """False when it was interrupted."""
        if isinstance(self._task, Search):
            return self._search_capacity(system, folder, *self._task)
        return all(self._run_phase(system, folder, phase) for phase in self._settings.phases())

    def _search_capacity(
        self, system: System, folder: Path, level: Level, start_per_s: float
    ) -> bool:
        settings = self._settings
        found = self._capacity = Capacity(level, [], start_per_s, _largest_per_s(settings))
        if not self._run_phase(system, folder, settings.warm_up(start_per_s)):
            return False
        while (rate := found.next_per_s) is not None:
            name = f"step-{len(found.steps) + 1}"
            schedule = Schedule((Stage(rate, rate, settings.duration_s),), settings.arrivals)
            if not self._run_phase(system, folder, settings.open_phase(name, schedule)):
                return False
            last = self._found[-1]
            assert last.summary is not None
            in_flight = _in_flight(last.measured)
            step = capacity.judge(rate, level, last.summary, in_flight, last.doubtful)
            found.steps.append(step)
            told = ["unknown"] * step.unknown + [step.why] * bool(step.why) + step.doubts
            self._progress(f"{rate:,.1f}/s: {'; '.join(told)}")
        return True

    def _run_phase(self, system: System, folder: Path, phase: Phase) -> bool:
        """False when it was interrupted."""
        settings = self._settings
        seed = settings.phase_seed(len(self._found))
        load = load_of(settings)._replace(
            others=system.others, kafka=system.bootstrap if settings.kafka else None
        )
        if system.answer_timeout_s is not None:
            load = load._replace(timeout_s=system.answer_timeout_s)
        measured = run_phase(system, load, phase, seed, folder, self._progress)
        measured = measured._replace(stages=_write_stages(measured, folder))
        found = examine(measured)
        self._found.append(found)
        if found.settled is not None:
            steady = "steady" if found.settled.steady else "not steady"
            self._progress(f"{phase.name}: {steady}: {found.settled.why}")
        if measured.cause is not None:
            raise measured.cause
        return not measured.interrupted

    def _judge(self, system: System, folder: Path, before: Metrics | None) -> Judgement:
        settings = self._settings
        judged = of_load(self._found, settings.max_failed, settings.p99_ms, self._capacity)
        if before is None:
            return judged
        system.until_ready()
        history = self._histories()
        gateway = rise(before, scrape_quiet(system.urls, self._settings.workers))
        told = balance(history, history.footers(), gateway, self._replies())
        assert judged.ledger is not None
        entries, missing = judged.ledger
        ledger = Ledger(entries + told.entries, missing + told.missing)
        judged = judged._replace(ledger=ledger, wrong_answers=history.wrong())
        again = Resent()
        if calls := unanswered(history):
            again = resend(system.url, calls, folder / RESENDS, self._progress)
            history = History([*history.paths, folder / RESENDS])
        late = [f"no answer in time: {again.first}"] if again.unknown else []
        problems = [*judged.problems, *late]
        try:
            final = audit(system.url, history, self._progress)
        except BenchError as cause:
            return judged._replace(problems=[*problems, str(cause)])
        self._progress("checking the invariants")
        report = check(history, final)
        report = report._replace(totals=report.totals | again.totals)
        return judged._replace(report=report, problems=problems)


def of_load(
    phases: Sequence[Findings],
    failed_share_max: float,
    p99_ms: float | None = None,
    search: Capacity | None = None,
) -> Judgement:
    """`of_load` judges what the samples and the series of the phases tell.

    Of each window at most `failed_share_max` may fail, and its p99 may be at most `p99_ms`, where
    there is such a limit; where a rate is searched that does not hold, something must be answered
    in one of them, and the search must have come to its end.
    """
    windows = [found for found in phases if found.summary is not None]
    if search is not None:
        requests = sum(found.requests for found in windows)
        failed = sum((Counter(found.failed) for found in windows), Counter[str]())
        checks = [answers.judge("all steps", requests, failed, failed_share_max=1.0)]
        void, problems = search.void, search.problems
    else:
        problems = []
        void = [reason for found in windows for reason in found.void]
        checks = [found.answered(failed_share_max) for found in windows]
        if p99_ms is not None:
            checks += [found.in_time(p99_ms) for found in windows]
    return Judgement(
        balance_samples(
            sum(found.sent for found in phases),
            sum(found.dropped for found in phases),
            [footer for found in phases for footer in found.footers],
        ),
        problems=problems,
        unanswered=[check.why for check in checks if check.state == "broken"],
        void=[*void, *(check.why for check in checks if check.state == "unknown")],
    )


def _in_flight(measured: Measured) -> list[float]:
    """Requests under way in each second of the window, of all generators."""
    window = measured.window
    assert window is not None
    seconds: dict[int, float] = {}
    for path in measured.samples:
        reader = Reader(path)
        reader.read_marks()
        for mark in reader.watched:
            if window.opened_ns <= mark["at_ns"] < window.closed_ns:
                second = (mark["at_ns"] - window.opened_ns) // 1_000_000_000
                seconds[second] = seconds.get(second, 0.0) + mark["in_flight"]
    return [seconds[second] for second in sorted(seconds)]


def _write_stages(measured: Measured, folder: Path) -> Path | None:
    """Where the time of the window's traced requests went; None where none was traced."""
    window = measured.window
    if window is None:
        return None
    ahead_ns = wall_offset_ns(measured.samples)
    opened_ns, closed_ns = window.opened_ns + ahead_ns, window.closed_ns + ahead_ns
    traced = stages.read(measured.traces)
    found = stages.summarize(each for each in traced if opened_ns <= each.intended_ns < closed_ns)
    if not found["requests"]:
        return None
    path = folder / f"stages-{measured.phase.name}.json"
    write(path, to_json(found))
    return path


def _write_logs(findings: Findings, folder: Path) -> None:
    """Response times for other tools; of an open loop the service times too."""
    measured = findings.measured
    if measured.window is None:
        return
    sent = measured.window.of(read(measured.samples))
    sent = sent.where(~sent.of_kind("dropped"))
    offset_ns, name = wall_offset_ns(measured.samples), measured.phase.name
    write_log(folder / f"response-{name}.hlog", sent, sent.response_ns, offset_ns)
    if measured.phase.schedule is not None:
        write_log(folder / f"service-{name}.hlog", sent, sent.service_ns, offset_ns)
