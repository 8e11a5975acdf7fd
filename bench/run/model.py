"""What a run is made of, as data: the system under load, and what a phase of load left behind."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from bench.generator.spec import Phase
from bench.observe.processes import Cpu, Pids
from bench.records.run_record import CommitRecord, Environment, Level, ProbeRecord
from bench.records.samples import Window
from bench.stats.steadiness import Steadiness

Progress = Callable[[str], object]
"""Takes a line that tells a person how far a run is."""


class System(NamedTuple):
    """What is under load."""

    url: str
    pids: Pids
    """The processes of its parts, as far as they are known."""
    check: Callable[[], None]
    """Raises `BenchError` when a part of it has ended."""
    bootstrap: str | None = None
    """``host:port`` of its Kafka, where that is known; so of the rest."""
    flink_rest: str | None = None
    gc_logs: Callable[[], Mapping[str, Path]] = dict
    """The log of pauses of each JVM."""
    workers: int = 1
    beside: Sequence[int] = ()
    """Processes that are kept up without load meanwhile: the other side of a comparison."""


class Subject(NamedTuple):
    """A system that is up already and warm, and what the record says of it."""

    system: System
    commit: CommitRecord
    environment: Environment


class Search(NamedTuple):
    """A search for the capacity, instead of phases of load."""

    level: Level
    start_per_s: float


class Probing(NamedTuple):
    """Probes, instead of phases of load."""

    probe: Callable[[System, Progress], Sequence[ProbeRecord]]
    """Probes a system."""
    gateway_options: tuple[str, ...] = ()
    """What makes the gateway of a stack of its own such that all probes are quick."""


class Measured(NamedTuple):
    """What a phase left behind."""

    phase: Phase
    generators: int
    samples: list[Path]
    histories: list[Path]
    traces: list[Path]
    window: Window | None
    """None when it was interrupted before the window opened, and where nothing is measured."""
    cpu: dict[str, Cpu]
    """The CPU time that each group of processes took."""
    warmup_s: float
    """How long it was really warmed up."""
    settled: Steadiness | None
    """Whether a phase that only warms up ended steady."""
    interrupted: bool
    series: Path | None = None
    stages: Path | None = None
    counted: Mapping[str, float] = {}
    """What the window took, by the name that run.json has it under; what is not known is left
    out."""
