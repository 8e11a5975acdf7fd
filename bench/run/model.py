"""A run is made of these data: the system under load, and what a phase of load left behind."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.errors import BenchError
from bench.generator.spec import Phase
from bench.observe.processes import Cpu, Pids
from bench.records.run_record import AgentRecord, CommitRecord, Environment, Level, ProbeRecord
from bench.records.samples import Window
from bench.stats.steadiness import Steadiness
from system.runtime.options import StackOptions

Progress = Callable[[str], object]
"""`Progress` takes a line that tells a person how far a run is."""


class System(NamedTuple):
    """This system is under load."""

    url: str
    pids: Pids
    """These are the processes of its parts, as far as they are known."""
    check: Callable[[], None]
    """`check` raises `BenchError` when a part of it has ended."""
    bootstrap: str | None = None
    """The address is ``host:port`` of its Kafka, where that is known; so of the rest."""
    flink_rest: str | None = None
    gc_logs: Callable[[], Mapping[str, Path]] = dict
    """`gc_logs` returns the log of pauses of each JVM."""
    workers: int = 1
    until_ready: Callable[[], object] = lambda: None
    """`until_ready` returns when it answers, so that it can be read after whatever befell it. It
    raises `BenchError`."""
    figures: Callable[[], Mapping[str, float]] = dict
    """`figures` returns what shall be sampled beside what all runs have, by the name of its
    series."""
    others: tuple[str, ...] = ()
    """These URLs are of more gateways, which take their part of an open loop."""
    answer_timeout_s: float | None = None
    """An answer is waited for so long; None: for as long as the load says."""
    beside: Callable[[], Sequence[int]] = tuple
    """These processes are kept up without load meanwhile: the other side of a comparison."""

    @property
    def urls(self) -> tuple[str, ...]:
        """`urls` are those of all gateways."""
        return (self.url, *self.others)


def beside(key: str, systems: Mapping[str, System]) -> list[int]:
    """`beside` returns the processes of the other systems, as far as they are not its own."""
    own = _all_pids(systems[key])
    return sorted(frozenset().union(*map(_all_pids, systems.values())) - own)


def _all_pids(system: System) -> frozenset[int]:
    return frozenset(pid for own in system.pids().values() for pid in own)


class Subject(NamedTuple):
    """A subject is a system that is up already and warm, and what the record says of it."""

    system: System
    commit: CommitRecord
    environment: Environment


class Search(NamedTuple):
    """A search looks for the capacity, instead of phases of load."""

    level: Level
    start_per_s: float


class Probing(NamedTuple):
    """Probes are run, instead of phases of load."""

    probe: Callable[[System, Progress], Sequence[ProbeRecord]]
    """`probe` probes a system."""
    stack: StackOptions
    """A stack of its own has these options, with which all probes are quick."""


class Measured(NamedTuple):
    """A phase left this behind."""

    phase: Phase
    generators: int
    samples: list[Path]
    histories: list[Path]
    traces: list[Path]
    groups: frozenset[str]
    """The system and the generators had processes of these groups when the window opened."""
    window: Window | None
    """The window is None when it was interrupted before the window opened, and where nothing is
    measured."""
    cpu: dict[str, Cpu]
    """Each group of processes took this CPU time."""
    warmup_s: float
    """The phase was really warmed up for so long."""
    settled: Steadiness | None
    """The steadiness says whether a phase that only warms up ended steady."""
    interrupted: bool
    cause: BenchError | None = None
    """It ended early for this."""
    series: Path | None = None
    stages: Path | None = None
    agents: Sequence[AgentRecord] = ()
    """The generators that did not run on this machine have these records."""
    counted: Mapping[str, float] = {}
    """The window took this, by the name that run.json has it under; what is not known is left
    out."""
