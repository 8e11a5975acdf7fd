"""What generators are to do, as data: the load of a run, its phases, and each process's part."""

from array import array
from dataclasses import asdict, dataclass, field
from typing import NamedTuple, get_args

import orjson

from bench.generator.tls import Trust
from bench.records.run_record import Scenario
from bench.workload import arrivals
from bench.workload.answer import TIMEOUT_S
from bench.workload.arrivals import Arrivals, Schedule, Stage

SCENARIOS: tuple[Scenario, ...] = get_args(Scenario)
"""Workloads by name; any other is the path of a workload file."""

READY_TIMEOUT_S = 120.0
"""All users of a phase must have created what they need by then."""
LEAD_NS = 200_000_000
"""From the word to go until the first request: every generator has read it by then."""


class Phase(NamedTuple):
    """A load for a time."""

    name: str
    users: int
    """The simulated users of a closed loop; 0 for an open one."""
    warmup_s: float
    duration_s: float
    """0: a phase that only warms up, until the system is steady or `warmup_s` is over."""
    schedule: Schedule | None = None
    """The schedule of an open loop, warm-up included; None for a closed one."""


class Load(NamedTuple):
    """What stays the same in all phases of a run."""

    workload: str
    """A file in locustfiles/, without its suffix; or the path of a workload file."""
    zipf: float
    generators: int
    """How many processes send; never more than users."""
    in_flight_max: int
    trace_every: int
    locust: bool = False
    """Whether Locust walks the schedule of an open loop too."""
    trust: Trust = Trust()
    """Whom an address of https must convince."""
    timeout_s: float = TIMEOUT_S
    """How long an answer is waited for."""
    keep_alive: bool = True
    """Whether a connection serves more than one request."""

    @property
    def is_shop(self) -> bool:
        return self.workload in SCENARIOS


@dataclass(frozen=True)
class Spec:
    """What one generator does; `index` of `count` sends each count-th request of the schedule."""

    url: str
    workload: str
    """One of `SCENARIOS`, or the path of a workload file."""
    zipf: float
    seed: int
    stages: tuple[tuple[float, float, float], ...]
    """The stages of the schedule; none for a closed loop."""
    arrivals: Arrivals
    users: int
    """The users of a closed loop; 0 for an open one."""
    duration_s: float
    index: int
    count: int
    in_flight_max: int
    timeout_s: float
    trace_every: int
    """Each so many-th request is traced; 0: none."""
    samples: str
    """The path of NAME.bin."""
    history: str
    traces: str
    go: str
    trust: Trust = field(default_factory=Trust)
    keep_alive: bool = True
    alternating: bool = False
    """Whether samples are kept for half of the time only, to measure what that costs."""

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)

    @classmethod
    def of_json(cls, content: bytes) -> "Spec":
        fields = orjson.loads(content)
        fields["stages"] = tuple(map(tuple, fields["stages"]))
        fields["trust"] = Trust(**fields["trust"])
        return cls(**fields)

    def intended_ns(self) -> "array[int]":
        """`intended_ns` returns this generator's share of the schedule, in ns from its begin."""
        stages = tuple(Stage(*stage) for stage in self.stages)
        times = arrivals.intended_ns(Schedule(stages, self.arrivals), self.seed)
        return array("q", times[self.index :: self.count].tobytes())
