"""The record of a run as types: what run.json holds, key by key, as run.schema.json describes it.

Each class is an object of the file; its attributes are the keys. `bench.records.run_files` reads
and writes it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

SCHEMA_VERSION = 3
CONTROL = "control"
"""The probe under whose name a run keeps how fast the machine itself was."""
GROUPS = ("gateway", "kafka", "flink", "generator")
"""The groups of processes whose CPU time is known, in the order in which a request meets them."""
IN_FLIGHT_MAX = 2_000
"""The default of requests under way at a time, for each generator of an open loop; below the
connections that one gateway accepts."""

Verdict = Literal["valid", "failed", "invalid", "void", "interrupted"]
Scenario = Literal["shop", "checkout"]
Loop = Literal["closed", "open"]
ProbeState = Literal["holds", "broken", "unknown"]
QuantileName = Literal["p50", "p90", "p99", "p99.9", "max"]
PERCENTS: dict[QuantileName, float] = {
    "p50": 50.0,
    "p90": 90.0,
    "p99": 99.0,
    "p99.9": 99.9,
    "max": 100.0,
}
"""The quantiles that every table shows."""


@dataclass(frozen=True)
class CommitRecord:
    """What was measured."""

    id: str
    """The commit's short id; "unknown" outside a git work tree."""
    dirty: bool
    """Whether files differ from it."""

    def __str__(self) -> str:
        return f"{self.id}{' with changes' if self.dirty else ''}"


@dataclass(frozen=True)
class Environment:
    """Where a run took place."""

    cpu_model: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    packages: dict[str, str]
    """The version of each package that matters for speed."""
    kafka: str | None
    """The version; None where it runs elsewhere. So of Flink."""
    flink: str | None


OPTIONAL = {"optional": True}
"""Of a field that is left out where it has its default: a foreign run says nothing of the shop."""


@dataclass(frozen=True)
class RunSettings:
    """What may differ between runs; `bench.run.settings` makes phases of it."""

    scenario: Scenario = field(default="shop", metadata=OPTIONAL)
    workload: str | None = None
    """The path of a workload file, for a target that is not the shop."""
    zipf: float = field(default=0.0, metadata=OPTIONAL)
    users: tuple[int, ...] = (1, 64, 256)
    """The simulated users of each measured phase."""
    rate: str | None = None
    """An open loop's schedule, as `bench.workload.arrivals.parse` reads it; None: a closed loop."""
    arrivals: Literal["poisson", "constant"] = "poisson"
    in_flight_max: int = IN_FLIGHT_MAX
    """The most requests under way in an open loop, for each generator; more are dropped."""
    locust: bool = False
    """Whether Locust walks the schedule, instead of `bench.generator.process`."""
    trace_every: int = field(default=0, metadata=OPTIONAL)
    """Each so many-th request of an open loop is traced; 0: none."""
    first_warmup_s: float = 120.0
    """The longest warm-up before all: it ends when the system is steady. 0 for one that is warm, in
    an open loop."""
    warmup_s: float = 3.0
    """The warm-up before each measured window."""
    duration_s: float = 20.0
    """The length of each measured window."""
    seed: int = 1
    generators: int = 1
    """How many processes send."""
    workers: int = field(default=1, metadata=OPTIONAL)
    """How many gateway processes there are."""
    max_failed: float = 0.01
    """The share of a window's requests that may fail before the run counts as failed."""
    target: str | None = None
    """The URL of a gateway that is up already; None: a stack of its own."""
    p99_ms: float | None = field(default=None, metadata=OPTIONAL)
    """The longest p99 of a window before the run counts as failed; None: any."""
    ca: str | None = field(default=None, metadata=OPTIONAL)
    """The path of a file of certificates that are trusted, for a target of https."""
    insecure: bool = field(default=False, metadata=OPTIONAL)
    """Whether the target's certificate is not checked at all."""


@dataclass(frozen=True)
class Latency:
    """Quantiles in ms."""

    p50: float
    p90: float
    p99: float
    p999: float = field(metadata={"key": "p99.9"})
    max: float
    at_least: list[QuantileName]
    """Those that are lower bounds: requests without an answer are censored, not left out."""

    def of(self, name: QuantileName) -> float:
        value: float = getattr(self, name.replace(".", ""))
        return value


@dataclass(frozen=True)
class Figures:
    """What requests of a window showed."""

    requests: int
    """Those of the window that were sent, however they ended."""
    answered: int
    throughput_per_s: float
    """Answers that came while the window was open."""
    latency_ms: Latency | None
    """From when a request should have been sent. None where nothing was sent."""
    refused: dict[str, int]
    """4xx by kind, as "409 out_of_stock": answers, nearly all of them asked for by the journeys."""
    failed: dict[str, int]
    """5xx, timeouts and broken connections by kind."""

    @property
    def failed_share(self) -> float | None:
        """None where nothing was asked."""
        return sum(self.failed.values()) / self.requests if self.requests else None


@dataclass(frozen=True)
class OpenFigures:
    """How well the schedule of an open loop was kept."""

    scheduled: int
    dropped: int
    achieved_ratio: float
    """Sent of scheduled."""
    service_ms: Latency | None
    """From when a request was sent."""
    schedule_lag_ms: Latency | None
    """From when it should have been sent until it was."""


@dataclass(frozen=True)
class GroupCpu:
    """What a group of processes took in a window."""

    cpu_s: float
    us_per_request: float | None
    """None where nothing was answered."""
    compiling_s: float = field(default=0.0, metadata={"optional": True})
    """The part of `cpu_s` that the compilers of JVMs took; not there in older records."""

    @property
    def worked_s(self) -> float:
        """What is left without compiling, which wanes for minutes after a start."""
        return self.cpu_s - self.compiling_s


@dataclass(frozen=True)
class WindowFigures(Figures):
    """What a measured window showed."""

    opened_ns: int
    """On the machine's monotonic clock, as `closed_ns`."""
    closed_ns: int
    length_s: float
    operations: dict[str, Figures]
    open: OpenFigures | None
    """None for a closed loop."""
    checkout_paid_share: float | None
    """The checkouts that were paid, of all; None where there was none."""
    cpu: dict[str, GroupCpu]
    """By group of `GROUPS`; one that runs elsewhere is not there."""
    per_request: dict[str, float] = field(default_factory=dict, metadata={"optional": True})
    """What an answered request took, of what was counted: kafka_records and kafka_bytes, in all
    topics but Kafka's own; kafka_allocated_bytes and flink_allocated_bytes, of their JVMs."""


@dataclass(frozen=True)
class SteadyRecord:
    """Whether the system was steady, and how long it was warmed up."""

    steady: bool
    why: str
    warmup_s: float


@dataclass(frozen=True)
class PhaseRecord:
    """A phase of load: files are named by their place in the run's folder."""

    name: str
    loop: Loop
    users: int | None
    """None for an open loop, as the schedule is for a closed one."""
    schedule: str | None
    warmup_s: float
    duration_s: float
    """0: a phase that only warms up."""
    generators: int
    samples: list[str]
    histories: list[str]
    series: str | None
    stages: str | None
    steady: SteadyRecord | None
    """None where the rate changes on purpose."""
    window: WindowFigures | None
    """None where nothing was measured."""

    @property
    def is_open(self) -> bool:
        return self.loop == "open"


@dataclass(frozen=True)
class Level:
    """The service level that a capacity is searched for: what must hold at a rate."""

    p99_ms: float = 50.0
    failed_share: float = 0.0
    """The part of the scheduled requests that may fail or be dropped: 5xx, timeouts, broken
    connections."""


@dataclass(frozen=True)
class Step:
    """A rate that was tried."""

    rate_per_s: float
    held: bool
    why: str
    throughput_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    p999_ms: float | None = field(metadata={"key": "p99.9_ms"})
    failed_share: float
    dropped: int
    schedule_lag_p99_ms: float | None


@dataclass(frozen=True)
class CapacityRecord:
    """A search for the highest rate that holds."""

    level: Level
    knee_per_s: float | None
    """The highest rate that held; None when none did."""
    steps: list[Step]

    @property
    def by_rate(self) -> list[Step]:
        return sorted(self.steps, key=lambda step: step.rate_per_s)


@dataclass(frozen=True)
class ProbeRecord:
    """What became of a probe."""

    name: str
    state: ProbeState
    """unknown: the probe or the machine could not do what it takes to tell."""
    reasons: list[str]
    requests: int
    latency_ms: Latency | None
    figures: dict[str, float | None]


@dataclass(frozen=True)
class EntryRecord:
    """A total of the ledger, what it is made of, and what is left."""

    name: str
    total: int
    parts: dict[str, int]
    remainder: int


@dataclass(frozen=True)
class LedgerRecord:
    entries: list[EntryRecord]
    missing: list[str]
    """What could not be counted at all."""


@dataclass(frozen=True)
class ViolationRecord:
    invariant: str
    entity: str
    message: str


@dataclass(frozen=True)
class InvariantsRecord:
    """What the invariants say; see `bench.judge.invariants`."""

    counts: dict[str, int]
    """How often each was broken."""
    violations: list[ViolationRecord]
    outcomes: int
    """Requests that were judged, resends not counted."""
    totals: dict[str, int]


@dataclass(frozen=True)
class WrongAnswers:
    """What the journeys found wrong."""

    count: int
    first: list[str]


@dataclass(frozen=True)
class RunRecord:
    """The record of a run."""

    schema_version: int
    run_id: str
    started_utc: str
    verdict: Verdict
    reasons: list[str]
    """Why the verdict is not valid, a line each."""
    commit: CommitRecord
    seed: int
    settings: RunSettings
    environment: Environment
    phases: list[PhaseRecord]
    capacity: CapacityRecord | None
    probes: list[ProbeRecord] | None
    ledger: LedgerRecord | None
    invariants: InvariantsRecord | None
    wrong_answers: WrongAnswers

    @property
    def windows(self) -> Iterator[tuple[PhaseRecord, WindowFigures]]:
        """The phases that were measured, each with its figures."""
        return ((phase, phase.window) for phase in self.phases if phase.window is not None)

    @property
    def fixed_phases(self) -> list[PhaseRecord]:
        """Those that every run of the same settings has: no steps of a search for the capacity."""
        if self.capacity is None:
            return self.phases
        return [phase for phase in self.phases if not phase.name.startswith("step-")]

    @property
    def controls(self) -> dict[str, float]:
        """What moves with the machine alone: the figures of the probe `CONTROL`."""
        return {
            name: figure
            for probe in self.probes or ()
            if probe.name == CONTROL
            for name, figure in probe.figures.items()
            if figure is not None and figure > 0
        }
