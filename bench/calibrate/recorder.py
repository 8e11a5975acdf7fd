"""The recorder records what `resample` draws from: the system as it is, and slowed down, in turn.

A set is what is up together: gateways on one Kafka and Flink, or two whole stacks, as more would
take from each other what they need to idle. A round starts all systems of a set anew. In each
cycle of a round every system is measured once, in an order that a coin chooses, with the same
requests.
"""

import shutil
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from random import Random
from statistics import median

import orjson

from bench.calibrate.slowdowns import (
    BASE,
    SETS,
    SLOWDOWNS,
    SPUN_SERVICE,
    Cost,
    Set,
    slow_down,
    spin,
)
from bench.errors import BenchError, UsageError
from bench.observe.kafka_offsets import TrafficMeter
from bench.records.run_record import GroupCpu, RunRecord
from bench.regression.python_env import python_of
from bench.regression.runs import Measure, Options, described
from bench.regression.side import Side, Stacks, apart
from bench.regression.worktree import Commit, checked_out, folder_for_trees
from bench.result_files import to_json
from bench.run.model import Progress, Subject
from bench.run.record import was_interrupted
from bench.run.settings import Settings
from machine.whole_files import write
from system.wire import input_topic, reply_topic

COST_RUNS = 5
"""The unchanged system makes so many runs, as those that are compared: they tell what a request
costs."""
COST_S = 12.0
"""A run takes this long that tells how many records the slowed service handles for a request."""
COST_BETWEEN = (0.5, 0.9)
"""The records are counted in this part of that time, from the begin of the run: all is load."""


CYCLES, ROUNDS = 16, 10
"""A round has cycles enough for the first look of a job, of its void ones for the fresh batch, and
a row of the table has so many restarts."""
START_S = 60.0
"""It takes about so long until the systems of a round are up."""
OVERHEAD_S = 4.0
"""A run takes about so much longer than its windows: processes start, all is read and judged."""
BUDGETS_FILE = "budgets.toml"
"""The copy of the budgets says which roles were settled before the first round."""
KIND_FILE = "kind.json"
"""The file says what all in the folder are of: the commit, and how it is measured."""
WHOLE_FILE = "whole"
"""A round has this file once all of it was measured."""
SPIN_SAMPLE_TURNS, SPIN_INTERVAL_S = 20_000, 0.1
"""The slowdowns' empty loop is measured so beside those runs."""
NEXT_WARMUP_S = 2.0
"""A further gateway on a warm Flink is warmed up this long."""
SEEDS_PER_ROUND = 1000


def round_s(up: Set, options: Options, cycles: int) -> float:
    """`round_s` returns about how long a round takes on an idle machine."""
    systems = up.bases + len(up.slowdowns)
    run_s = 2 * (options.warmup_s + options.duration_s) + OVERHEAD_S
    warm_ups = 1 if up.is_shared else systems
    return START_S + warm_ups * options.first_warmup_s + systems * (cycles + 1) * run_s


def freeze(folder: Path, budgets: Path, kind: Mapping[str, object]) -> None:
    """`freeze` keeps the budgets that all comparisons of the recordings are judged by, and of what
    kind these are. It raises `UsageError` where others are kept already."""
    kept, content = folder / BUDGETS_FILE, budgets.read_bytes()
    if kept.exists() and kept.read_bytes() != content:
        raise UsageError(
            f"{kept} differs from {budgets}: roles that were changed after runs were seen say "
            "nothing of new ones; record into another folder"
        )
    write(kept, content)
    kept, content = folder / KIND_FILE, to_json(kind)
    if not kept.exists() and [*folder.glob("*/round-*"), *folder.glob("job-*")]:
        raise UsageError(f"{folder} has recordings that do not say of what: name another folder")
    if kept.exists() and kept.read_bytes() != content:
        before = orjson.loads(kept.read_bytes())
        for name, value in orjson.loads(content).items():
            if before.get(name) != value:
                raise UsageError(
                    f"{folder} holds what was measured with {name} {before.get(name)}, not "
                    f"{value}: give it again, or name another folder"
                )
    write(kept, content)


class Recorder:
    def __init__(
        self,
        folder: Path,
        commit: Commit,
        options: Options,
        cycles: int,
        measure: Measure,
        tell: Progress,
    ) -> None:
        self._measure_run = measure
        self._folder = folder
        self._commit = commit
        self._options = options
        self._cycles = cycles
        self._tell = tell

    def rounds(self, name: str) -> int:
        """`rounds` returns how many whole ones a set has."""
        return len(list((self._folder / name).glob(f"round-*/{WHOLE_FILE}")))

    def record(self, name: str) -> None:
        """`record` records a round, in place of one that was interrupted. It raises `StackError`,
        and `KeyboardInterrupt`."""
        number = self.rounds(name) + 1
        folder = self._folder / name / f"round-{number}"
        again = ", anew, as it was interrupted" if folder.exists() else ""
        self._tell(f"{folder}: {self._cycles} cycles{again}")
        shutil.rmtree(folder, ignore_errors=True)
        with ExitStack() as trees:
            subjects = self._start(SETS[name], trees, self._folder / f"stacks-{name}-{number}")
            self._measure(subjects, folder, Random(f"{name} {number}"), number)
            (folder / WHOLE_FILE).touch()

    def _start(self, up: Set, trees: ExitStack, logs: Path) -> dict[str, Subject]:
        parent = trees.enter_context(folder_for_trees())
        tree = trees.enter_context(checked_out(self._commit, parent / BASE))
        stacks = trees.enter_context(Stacks(logs, self._tell))
        base = Side(BASE, self._commit, tree, python_of(tree, self._tell))
        sides = [base._replace(letter=f"{BASE}-{n + 1}") for n in range(up.bases)]
        begin = stacks.whole
        if up.is_shared:
            cluster = stacks.cluster(base)

            def begin(*sides: Side) -> dict[str, Subject]:
                return {side.letter: stacks.gateway(side, cluster) for side in sides}

        found = begin(*sides)
        self._warm(found[sides[0].letter], sides[0].letter, self._options.first_warmup_s)
        cost = self._cost(found[sides[0].letter])
        for name in up.slowdowns:
            slowed = trees.enter_context(checked_out(self._commit, parent / name))
            slow_down(slowed, SLOWDOWNS[name], cost)
            found |= begin(Side(name, self._commit, slowed, base.python, is_patched=True))
        found = apart(found)
        next_s = NEXT_WARMUP_S if up.is_shared else self._options.first_warmup_s
        for letter in list(found)[1:]:
            self._warm(found[letter], letter, next_s)
        return found

    def _warm(self, subject: Subject, letter: str, at_most_s: float) -> None:
        settings = replace(self._options.settings(0), first_warmup_s=at_most_s)
        self._run(subject, settings, self._folder / "warm-up", f"{letter} warm-up")

    def _cost(self, subject: Subject) -> Cost:
        """Of a request, in the file cost.json: all rounds have the same slowdowns."""
        path = self._folder / "cost.json"
        if path.exists():
            return Cost(**orjson.loads(path.read_bytes()))
        folder, what = self._folder / "cost", "what a request costs"
        settings = replace(self._options.settings(0), duration_s=COST_S)
        with ThreadPoolExecutor(1) as watching:
            spun = watching.submit(_spun_records, subject.system.bootstrap)
            self._run(subject, settings, folder, what)
        runs, turns_us = [], list[float]()
        for number in range(COST_RUNS):
            with ThreadPoolExecutor(1) as watching:
                turn_us = watching.submit(_turn_us, self._options.duration_s)
                runs.append(self._run(subject, self._options.settings(number), folder, what))
            turns_us.append(turn_us.result())
        spent = [window.cpu for run in runs for _, window in run.windows]
        gateway_us, flink_us = (
            median(_worked_us(cpu[group]) for cpu in spent) for group in ("gateway", "flink")
        )
        cost = Cost(gateway_us, flink_us, spun.result(), median(turns_us))
        write(path, to_json(cost._asdict()))
        self._tell(f"a request costs {cost}")
        return cost

    def _measure(
        self, subjects: Mapping[str, Subject], folder: Path, random: Random, number: int
    ) -> None:
        letters = list(subjects)
        for cycle in range(self._cycles):
            settings = self._options.settings(SEEDS_PER_ROUND * number + cycle)
            random.shuffle(letters)
            for letter in letters:
                what = f"cycle {cycle + 1} of {self._cycles}, {letter}"
                self._run(subjects[letter], settings, folder / letter, what)

    def _run(self, subject: Subject, settings: Settings, folder: Path, what: str) -> RunRecord:
        run = self._measure_run(settings, folder, subject)
        self._tell(f"{what}: {described(run)}")
        if was_interrupted(run):
            raise KeyboardInterrupt
        if run.verdict not in ("valid", "void"):
            raise BenchError(f"a run is {run.verdict}: {'; '.join(run.reasons)}")
        return run


def _turn_us(duration_s: float) -> float:
    """Of `spin`, now and then while a run lasts, by this thread's CPU time."""
    found, end_s = [], time.monotonic() + duration_s
    while time.monotonic() < end_s:
        time.sleep(SPIN_INTERVAL_S)
        begin_ns = time.thread_time_ns()
        spin(SPIN_SAMPLE_TURNS)
        found.append((time.thread_time_ns() - begin_ns) / 1e3 / SPIN_SAMPLE_TURNS)
    return median(found)


def _worked_us(cpu: GroupCpu) -> float:
    """Of a request, without what JVMs compile and RocksDB compacts."""
    assert cpu.us_per_request is not None
    return cpu.us_per_request * cpu.worked_s / cpu.cpu_s


def _spun_records(bootstrap: str | None) -> float:
    """Of the service that is slowed down, for each request, in the midst of a run."""
    assert bootstrap is not None
    meter = TrafficMeter(bootstrap)
    time.sleep(COST_S * COST_BETWEEN[0])
    before = meter.ends()
    time.sleep(COST_S * (COST_BETWEEN[1] - COST_BETWEEN[0]))
    risen = {place: end - before.get(place, 0) for place, end in meter.ends().items()}
    meter.close()
    spun = sum(n for place, n in risen.items() if place.topic == input_topic(SPUN_SERVICE))
    replies = sum(n for place, n in risen.items() if place.topic.startswith(reply_topic("")))
    return spun / replies
