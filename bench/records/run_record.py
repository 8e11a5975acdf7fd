"""These types are the record of a run: what run.json holds, key by key, as the schema describes it.

Each class is an object of the file; its attributes are the keys.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

SCHEMA_VERSION = 3
CONTROL = "control"
"""The probe of this name keeps how fast the machine itself was."""
GROUPS = ("gateway", "kafka", "flink", "generator")
"""The CPU time of these groups of processes is known, in the order in which requests meet them."""
IN_FLIGHT_MAX = 2_000
"""Each generator of an open loop has so many requests under way at a time by default; that is below
the connections that one gateway accepts."""

Verdict = Literal["valid", "failed", "invalid", "void", "interrupted"]
Scenario = Literal["shop", "steady", "checkout"]
Loop = Literal["closed", "open"]
ProbeState = Literal["holds", "broken", "unknown"]
QuantileName = Literal["p50", "p90", "p99", "p99.9", "max"]
PERCENTS: dict[QuantileName, float] = {
    "p50": 50.0, "p90": 90.0, "p99": 99.0, "p99.9": 99.9, "max": 100.0,
}  # fmt: skip
"""Every table shows these quantiles."""


@dataclass(frozen=True)
class CommitRecord:
    """The record names the commit that was measured."""

    id: str
    """The id is the commit's short one; "unknown" outside a git work tree."""
    dirty: bool
    """The flag says whether files differ from the commit."""

    def __str__(self) -> str:
        return f"{self.id}{' with changes' if self.dirty else ''}"


@dataclass(frozen=True)
class Environment:
    """A run took place in this environment."""

    cpu_model: str
    cores: int
    memory_bytes: int
    kernel: str
    python: str
    packages: dict[str, str]
    """The packages that matter for speed have these versions."""
    kafka: str | None
    """The version is None where Kafka runs elsewhere. So is Flink's."""
    flink: str | None


OPTIONAL = {"optional": True}
"""A field with this is left out where it has its default."""


@dataclass(frozen=True)
class RunSettings:
    """Runs may differ in these settings; `bench.run.settings` makes phases of them."""

    scenario: Scenario = field(default="shop", metadata=OPTIONAL)
    workload: str | None = None
    """The path is that of a workload file, which is sent in place of a scenario of the shop."""
    zipf: float = field(default=0.0, metadata=OPTIONAL)
    basket: int = field(default=0, metadata=OPTIONAL)
    """Each basket of the checkout scenario has so many items; 0: 1 to 10."""
    users: tuple[int, ...] = (1, 64, 256)
    """Each measured phase has so many simulated users."""
    rate: str | None = None
    """The rate is an open loop's, as `bench.workload.arrivals.parse` reads it; None: closed."""
    saturation_users: int = field(default=0, metadata=OPTIONAL)
    """So many users send again once they are answered, after the open loop; 0: no such phase."""
    arrivals: Literal["poisson", "constant"] = "poisson"
    in_flight_max: int = IN_FLIGHT_MAX
    """Each generator of an open loop has at most this many requests under way; more are dropped."""
    locust: bool = False
    """The flag says whether Locust walks the schedule, instead of `bench.generator.process`."""
    trace_every: int = field(default=0, metadata=OPTIONAL)
    """Each so many-th request of an open loop is traced; 0: none."""
    first_warmup_s: float = 120.0
    """The first warm-up ends when the system is steady, at most this late; 0: it is warm."""
    warmup_s: float = 3.0
    """The warm-up before each measured window takes this long."""
    duration_s: float = 20.0
    """Each measured window takes this long."""
    seed: int = 1
    generators: int = 1
    """So many processes send."""
    workers: int = field(default=1, metadata=OPTIONAL)
    """So many gateway processes serve."""
    max_failed: float = 0.01
    """The run counts as failed when a larger share of a window's requests fails."""
    target: str | None = None
    """The URL is that of a gateway that is up already; None: a stack of its own."""
    p99_ms: float | None = field(default=None, metadata=OPTIONAL)
    """The run counts as failed when a window's p99 is longer; None: any may be."""
    ca: str | None = field(default=None, metadata=OPTIONAL)
    """The path is that of a file of certificates that are trusted, for a target of https."""
    insecure: bool = field(default=False, metadata=OPTIONAL)
    """The flag says whether the target's certificate is not checked at all."""
    agents: tuple[str, ...] = field(default=(), metadata=OPTIONAL)
    """The generators run for these agents, ``host:port``, in turns; none: on this machine."""
    kafka: str | None = field(default=None, metadata=OPTIONAL)
    """Records go into this Kafka's topics, without HTTP: ``host:port``, or "own": the stack's."""
    record_bytes: int = field(default=0, metadata=OPTIONAL)
    """These records are filled up to so many bytes; 0: as they are."""


@dataclass(frozen=True)
class Latency:
    """The quantiles are in ms."""

    p50: float
    p90: float
    p99: float
    p999: float = field(metadata={"key": "p99.9"})
    max: float
    at_least: list[QuantileName]
    """These quantiles are lower bounds: requests without an answer are censored, not left out."""

    def of(self, name: QuantileName) -> float:
        value: float = getattr(self, name.replace(".", ""))
        return value


@dataclass(frozen=True)
class Figures:
    """Requests of a window showed these figures."""

    requests: int
    """So many requests of the window were sent, however they ended."""
    answered: int
    throughput_per_s: float
    """So many answers came in a second while the window was open."""
    latency_ms: Latency | None
    """The latency counts from when a request should have been sent; None where nothing was."""
    refused: dict[str, int]
    """The 4xx are counted by kind, as "409 out_of_stock": journeys ask for nearly all of them."""
    failed: dict[str, int]
    """The 5xx, timeouts and broken connections are counted by kind."""
    done: dict[str, int] = field(default_factory=dict, kw_only=True, metadata=OPTIONAL)
    """Answers of a status below 400 are counted by it; older records don't tell."""


@dataclass(frozen=True)
class OpenFigures:
    """The schedule of an open loop was kept as well as this."""

    scheduled: int
    dropped: int
    achieved_ratio: float
    """The ratio is sent to scheduled."""
    service_ms: Latency | None
    """The service time counts from when a request was sent."""
    schedule_lag_ms: Latency | None
    """The lag counts from when a request should have been sent until it was."""
    not_sent: int = field(default=0, metadata=OPTIONAL)
    """So many of the dropped were not sent as too many were under way; older ones don't tell."""


@dataclass(frozen=True)
class GroupCpu:
    """A group of processes took this in a window."""

    cpu_s: float
    us_per_request: float | None
    """The time is None where nothing was answered."""
    compiling_s: float = field(default=0.0, metadata=OPTIONAL)
    """The compilers of JVMs took this part of `cpu_s`; older records have none."""
    compacting_s: float | None = field(default=None, metadata=OPTIONAL)
    """RocksDB's flushes and compactions took this part; older records don't tell."""

    @property
    def worked_s(self) -> float:
        """The time is without compiling, which wanes, and compacting, which comes in lumps."""
        return self.cpu_s - self.compiling_s - (self.compacting_s or 0.0)


@dataclass(frozen=True)
class WindowFigures(Figures):
    """A measured window showed these figures."""

    opened_ns: int
    """The window opened at this time of the machine's monotonic clock, as `closed_ns`."""
    closed_ns: int
    length_s: float
    operations: dict[str, Figures]
    open: OpenFigures | None
    """The figures are None for a closed loop."""
    checkout_paid_share: float | None
    """The share is the checkouts that were paid, of all; None where there was none."""
    cpu: dict[str, GroupCpu]
    """The CPU time is that of each group of `GROUPS`; one that runs elsewhere is not there."""
    per_request: dict[str, float] = field(default_factory=dict, metadata=OPTIONAL)
    """An answered request took this, of what was counted: kafka_records and kafka_bytes, in all
    topics but Kafka's own; kafka_allocated_bytes and flink_allocated_bytes, of their JVMs."""
    first_answers: dict[str, str] = field(default_factory=dict, metadata=OPTIONAL)
    """The first answer of each kind that failed began so, by "operation: outcome"."""


@dataclass(frozen=True)
class SteadyRecord:
    """The record says whether the system was steady, and how long it was warmed up."""

    steady: bool
    why: str
    warmup_s: float


@dataclass(frozen=True)
class AgentRecord:
    """All recorded times assume that an agent's clock was ahead by the offset. At some time of the
    phase that was wrong by at least the drift, before and after it by at most the error."""

    address: str
    offset_ms: float
    drift_ms: float
    error_ms: float | None
    """The error is None where the clock could not be read after the phase."""


@dataclass(frozen=True)
class PhaseRecord:
    """A phase of load names its files by their place in the run's folder."""

    name: str
    loop: Loop
    users: int | None
    """The users are None for an open loop, as the schedule is for a closed one."""
    schedule: str | None
    warmup_s: float
    duration_s: float
    """The duration is 0 where a phase only warms up."""
    generators: int
    samples: list[str]
    histories: list[str]
    series: str | None
    stages: str | None
    steady: SteadyRecord | None
    """The record is None where the rate changes on purpose."""
    window: WindowFigures | None
    """The window is None where nothing was measured."""
    agents: list[AgentRecord] = field(default_factory=list, metadata=OPTIONAL)
    """Each generator that did not run on this machine has a record."""

    @property
    def is_open(self) -> bool:
        return self.loop == "open"


@dataclass(frozen=True)
class Level:
    """A capacity is searched for this service level: what must hold at a rate."""

    p99_ms: float = 50.0
    failed_share: float = 0.0
    """This part of the scheduled requests may fail or be dropped: 5xx, timeouts, broken
    connections."""


@dataclass(frozen=True)
class Step:
    """A step is a rate that was tried. One that is not `held` did not hold, or is `unknown`."""

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
    unknown: bool = field(default=False, metadata=OPTIONAL)
    """The flag says that it may have held but for the generator or the machine."""
    doubts: list[str] = field(default_factory=list, metadata=OPTIONAL)
    """The generator or the machine was, or may have been, the bottleneck: why, a line each."""


@dataclass(frozen=True)
class CapacityRecord:
    """A search looked for the highest rate that holds."""

    level: Level
    knee_per_s: float | None
    """The knee is the highest rate that held; None when none did."""
    steps: list[Step]
    at_least: bool = field(default=False, metadata=OPTIONAL)
    """The flag says that the search did not come to its end: a higher rate may hold."""


@dataclass(frozen=True)
class ProbeRecord:
    """A probe ended like this."""

    name: str
    state: ProbeState
    """The state is unknown where the probe or the machine could not do what it takes to tell."""
    reasons: list[str]
    requests: int
    latency_ms: Latency | None
    figures: dict[str, float | None]


@dataclass(frozen=True)
class EntryRecord:
    """An entry is a total of the ledger, what it is made of, and what is left."""

    name: str
    total: int
    parts: dict[str, int]
    remainder: int


@dataclass(frozen=True)
class LedgerRecord:
    entries: list[EntryRecord]
    missing: list[str]
    """These could not be counted at all."""


@dataclass(frozen=True)
class ViolationRecord:
    invariant: str
    entity: str
    message: str


@dataclass(frozen=True)
class InvariantsRecord:
    """The invariants say this; see `bench.judge.invariants`."""

    counts: dict[str, int]
    """Each invariant was broken so often."""
    violations: list[ViolationRecord]
    outcomes: int
    """So many requests were judged, resends not counted."""
    totals: dict[str, int]


@dataclass(frozen=True)
class WrongAnswers:
    """The journeys found these answers wrong."""

    count: int
    first: list[str]


@dataclass(frozen=True)
class RunRecord:
    """This is the record of a run."""

    schema_version: int
    run_id: str
    started_utc: str
    verdict: Verdict
    reasons: list[str]
    """The reasons say why the verdict is not valid, a line each."""
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
    digests: dict[str, str] = field(default_factory=dict, metadata=OPTIONAL)
    """These SHA-256, of run.json without its own and of the samples, tell of changes."""

    @property
    def windows(self) -> Iterator[tuple[PhaseRecord, WindowFigures]]:
        """`windows` yields the phases that were measured, each with its figures."""
        return ((phase, phase.window) for phase in self.phases if phase.window is not None)

    @property
    def fixed_phases(self) -> list[PhaseRecord]:
        """`fixed_phases` returns those that every run of the same settings has: no search's."""
        if self.capacity is None:
            return self.phases
        return [phase for phase in self.phases if not phase.name.startswith("step-")]

    @property
    def controls(self) -> dict[str, float]:
        """`controls` returns the figures of `CONTROL`, which move with the machine alone."""
        return {
            name: figure
            for probe in self.probes or ()
            if probe.name == CONTROL
            for name, figure in probe.figures.items()
            if figure is not None and figure > 0
        }
