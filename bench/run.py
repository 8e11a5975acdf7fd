"""A whole run: the system comes up, phases of load, the ledger, the final reads, the judgement."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import summary
from bench.audit import audit
from bench.check import check
from bench.environment import commit, environment
from bench.errors import BenchError
from bench.history import History, compress
from bench.ledger import balance
from bench.load import Measured, System, run_phase
from bench.metrics import Metrics, rise, scrape, scrape_quiet
from bench.record import Judgement, describe, to_json, write
from bench.settings import Settings
from system.runtime.errors import StackError
from system.runtime.stack import Stack, StackOptions

Progress = Callable[[str], object]


@contextmanager
def system_under_test(settings: Settings, progress: Progress) -> Iterator[System]:
    """A stack of its own, or the target. Raises `StackError` when the stack does not come up."""
    if settings.target is not None:
        yield System(settings.target, pids=dict, check=lambda: None)
        return
    with Stack(StackOptions(workers=settings.workers), progress=progress) as stack:

        def check_stack() -> None:
            try:
                stack.check()
            except StackError as cause:
                raise BenchError(str(cause)) from None

        yield System(stack.url, stack.pids, check_stack)


class Run:
    """One run and its folder, results/<utc>-<commit>-<seed>."""

    def __init__(self, settings: Settings, results: Path, progress: Progress) -> None:
        self._settings = settings
        self._results = results
        self._progress = progress
        self._measured: list[Measured] = []

    def execute(self) -> tuple[dict[str, Any], Path]:
        """Returns the content of run.json, and its folder.

        Ctrl-C during the load, or a system that ends, ends the run early: what was measured is
        kept. Raises `StackError` when the stack does not come up.
        """
        with system_under_test(self._settings, self._progress) as system:
            before = scrape(system.url, self._settings.workers)
            started, source = datetime.now(UTC), commit()
            run_id = f"{started:%Y%m%dT%H%M%SZ}-{source['id']}-{self._settings.seed}"
            folder = self._results / run_id
            try:
                folder.mkdir(parents=True)
            except OSError as cause:
                raise BenchError(f"cannot make the folder {folder}: {cause.strerror}") from None
            judgement = self._load_and_judge(system, folder, before)
        run = describe(
            run_id,
            started.isoformat(timespec="seconds"),
            self._settings,
            environment(own_stack=self._settings.target is None),
            source,
            self._measured,
            judgement,
        )
        write(folder / "run.json", to_json(run))
        write(folder / "summary.md", summary.summarize(run).encode())
        for path in folder.glob("history-*.jsonl"):
            compress(path)
        return run, folder

    def _histories(self) -> History:
        return History([path for phase in self._measured for path in phase.histories])

    def _load_and_judge(self, system: System, folder: Path, before: Metrics) -> Judgement:
        try:
            if not self._load(system, folder):
                return Judgement(wrong_answers=self._histories().wrong(), interrupted=True)
            return self._judge(system, before)
        except KeyboardInterrupt:
            return Judgement(interrupted=True)
        except BenchError as cause:
            return Judgement(wrong_answers=self._histories().wrong(), problems=[str(cause)])

    def _load(self, system: System, folder: Path) -> bool:
        """False when it was interrupted."""
        for index, phase in enumerate(self._settings.phases()):
            seed = self._settings.phase_seed(index)
            measured = run_phase(system, self._settings.load(), phase, seed, folder, self._progress)
            self._measured.append(measured)
            if measured.interrupted:
                return False
        return True

    def _judge(self, system: System, before: Metrics) -> Judgement:
        history = self._histories()
        gateway = rise(before, scrape_quiet(system.url, self._settings.workers))
        ledger = balance(history, history.footers(), gateway)
        final = audit(system.url, history, self._progress)
        self._progress("checking the invariants")
        return Judgement(ledger, check(history, final), history.wrong())
