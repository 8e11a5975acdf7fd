"""What may differ between runs, and the phases that follow from it."""

from dataclasses import dataclass, replace

from bench.generator.spec import IN_FLIGHT_MAX, Load, Phase
from bench.workload.arrivals import Arrivals, Schedule, Stage, parse

USERS_MAX = 4000
"""Below the connections that one gateway accepts."""
GENERATORS_MAX = 64
"""Locust processes; more than any machine here has cores."""
DURATION_S_MAX = 600.0
"""The services remember replies for 15 minutes; a phase stays below that."""


@dataclass(frozen=True)
class Settings:
    scenario: str = "shop"
    workload: str | None = None
    """The path of a workload file, for a target that is not the shop."""
    zipf: float = 0.0
    users: tuple[int, ...] = (1, 64, 256)
    """Simulated users of each measured phase."""
    rate: str | None = None
    """An open loop's schedule, as `bench.workload.arrivals.parse` reads it; None: a closed loop."""
    arrivals: Arrivals = "poisson"
    in_flight_max: int = IN_FLIGHT_MAX
    """Of an open loop, each generator; more are dropped."""
    locust: bool = False
    """Whether Locust walks the schedule, instead of `bench.generator.process`."""
    trace_every: int = 0
    """Each so many-th request of an open loop is traced; 0: none."""
    first_warmup_s: float = 120.0
    """At most, before all: until the system is steady. 0 for one that is warm, in an open loop."""
    warmup_s: float = 3.0
    """Before each measured window."""
    duration_s: float = 20.0
    """Of each measured window."""
    seed: int = 1
    generators: int = 1
    """Processes that send."""
    workers: int = 1
    """Gateway processes."""
    max_failed: float = 0.01
    """The share of a window's requests that may fail before the run counts as failed."""
    target: str | None = None
    """URL of a gateway that is up already; None: a stack of its own."""

    @property
    def is_shop(self) -> bool:
        """Whether what is under load is the reference system, whose promises are known."""
        return self.workload is None

    def load(self) -> Load:
        return Load(
            self.workload or self.scenario,
            self.zipf,
            self.generators,
            self.in_flight_max,
            self.trace_every if self.is_shop else 0,
            self.locust,
        )

    def schedule(self) -> Schedule:
        """Raises `ScheduleError`."""
        assert self.rate is not None
        return parse(self.rate, self.duration_s, self.arrivals)

    def phases(self) -> list[Phase]:
        if self.rate is not None:
            schedule = self.schedule()
            warm = self.warm_up(schedule.requests / schedule.duration_s)
            measured = self.open_phase("open", schedule)
            return [warm, measured] if self.first_warmup_s else [measured]
        most = max(self.users)
        warm = Phase("warmup", most, self.first_warmup_s, 0.0)
        return [warm] + [
            Phase(f"users-{users}", users, self.warmup_s, self.duration_s) for users in self.users
        ]

    def warm_up(self, rate_per_s: float) -> Phase:
        stages = (Stage(rate_per_s, rate_per_s, self.first_warmup_s),)
        return Phase("warmup", 0, self.first_warmup_s, 0.0, Schedule(stages, self.arrivals))

    def open_phase(self, name: str, schedule: Schedule) -> Phase:
        """The schedule, after some seconds of its first rate that are not measured."""
        rate = schedule.stages[0].from_per_s or schedule.stages[0].to_per_s
        stages = (Stage(rate, rate, self.warmup_s), *schedule.stages)
        return Phase(name, 0, self.warmup_s, schedule.duration_s, schedule._replace(stages=stages))

    def phase_seed(self, index: int) -> int:
        """No two generators of a run have the same seed."""
        return self.seed * 1_000_000 + index * GENERATORS_MAX

    def quick(self) -> "Settings":
        """The same in little time: within 90 s with the stack's start and the final reads."""
        return replace(self, first_warmup_s=4.0, warmup_s=1.0, duration_s=4.0)
