"""A spec is data that says what generators do: the load, its phases, each process's part."""

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
"""These workloads have names; any other is the path of a workload file."""

READY_TIMEOUT_S = 120.0
"""All users of a phase must have created what they need by then."""
BACKSTOP_S = 60.0
"""A generator ends by itself so long after it should have been ended."""
LEAD_NS = 200_000_000
"""The first request comes this long after the word to go: every generator has read it by then."""


class Phase(NamedTuple):
    """A phase is a load for a time."""

    name: str
    users: int
    """A closed loop has so many simulated users; an open one 0."""
    warmup_s: float
    duration_s: float
    """The duration is 0 where a phase only warms up, until the system is steady or `warmup_s` is
    over."""
    schedule: Schedule | None = None
    """The schedule is that of an open loop, warm-up included; None for a closed one."""


class Load(NamedTuple):
    """The load is what stays the same in all phases of a run."""

    workload: str
    """The workload is a file in locustfiles/, without its suffix; or the path of a workload
    file."""
    zipf: float
    generators: int
    """So many processes send, never more than users."""
    in_flight_max: int
    trace_every: int
    locust: bool = False
    """The flag says whether Locust walks the schedule of an open loop too."""
    trust: Trust = Trust()
    """An address of https must convince this trust."""
    timeout_s: float = TIMEOUT_S
    """An answer is waited for so long."""
    keep_alive: bool = True
    """The flag says whether a connection serves more than one request."""
    agents: tuple[str, ...] = ()
    """The generators run for these agents in turns; none: on this machine."""
    others: tuple[str, ...] = ()
    """Servers at these URLs, http or https as the first, take their turn at connections."""
    kafka: str | None = None
    """The shop's records go straight into the topics of this Kafka; None: by HTTP."""
    record_bytes: int = 0
    """The records are filled up to so many bytes; 0: as they are."""
    basket: int = 0
    """Each basket of the checkout scenario has so many items; 0: 1 to 10."""
    files: tuple[str, ...] = ()
    """These files say what is sent: the workload file, and those of its values and bodies."""

    @property
    def is_shop(self) -> bool:
        return self.workload in SCENARIOS


@dataclass(frozen=True)
class Spec:
    """A spec says what one generator does; `index` of `count` sends each count-th request of the
    schedule."""

    url: str
    workload: str
    """The workload is one of `SCENARIOS`, or the path of a workload file."""
    zipf: float
    seed: int
    stages: tuple[tuple[float, float, float], ...]
    """These are the stages of the schedule; none for a closed loop."""
    arrivals: Arrivals
    users: int
    """A closed loop has so many users; an open one 0."""
    duration_s: float
    index: int
    count: int
    in_flight_max: int
    timeout_s: float
    trace_every: int
    """Each so many-th request is traced; 0: none."""
    samples: str
    """The path is that of NAME.bin."""
    history: str
    traces: str
    go: str
    trust: Trust = field(default_factory=Trust)
    keep_alive: bool = True
    others: tuple[str, ...] = ()
    kafka: str | None = None
    """The address is that of the Kafka whose topics the records go into; None: by HTTP."""
    record_bytes: int = 0
    basket: int = 0
    is_elsewhere: bool = False
    """The flag says that an agent runs it: nobody has looked yet whether the server can be reached
    from there."""
    alternating: bool = False
    """The flag says whether samples are kept for half of the time only, to measure what that
    costs."""

    def to_json(self) -> bytes:
        return orjson.dumps(asdict(self), option=orjson.OPT_INDENT_2)

    @classmethod
    def of_json(cls, content: bytes) -> "Spec":
        fields = orjson.loads(content)
        fields["stages"] = tuple(map(tuple, fields["stages"]))
        fields["trust"] = Trust(**fields["trust"])
        fields["others"] = tuple(fields["others"])
        return cls(**fields)

    def intended_ns(self) -> "array[int]":
        """`intended_ns` returns this generator's share of the schedule, in ns from its begin."""
        stages = tuple(Stage(*stage) for stage in self.stages)
        times = arrivals.intended_ns(Schedule(stages, self.arrivals), self.seed)
        return array("q", times[self.index :: self.count].tobytes())
