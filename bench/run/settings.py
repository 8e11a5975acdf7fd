"""The settings of a run say which phases it has."""

from dataclasses import dataclass, replace

from bench.generator.spec import Phase
from bench.records.run_record import RunSettings
from bench.workload.arrivals import Schedule, Stage, parse

USERS_MAX = 4000
"""A closed loop has at most this many users, below the connections that one gateway accepts."""
GENERATORS_MAX = 64
"""A run has at most this many Locust processes; no machine here has more cores."""
DURATION_S_MAX = 600.0
"""A phase is at most this long: the services remember replies for 15 minutes."""


@dataclass(frozen=True)
class Settings(RunSettings):
    """These are the settings of a run, and what follows from them."""

    @property
    def is_shop(self) -> bool:
        """`is_shop` tells whether the load is a scenario of the reference system, whose promises
        are known."""
        return self.workload is None

    def schedule(self) -> Schedule:
        """`schedule` returns that of the rate. It raises `ScheduleError`."""
        assert self.rate is not None
        return parse(self.rate, self.duration_s, self.arrivals)

    def phases(self) -> list[Phase]:
        if self.rate is None:
            warm = Phase("warmup", max(self.users), self.first_warmup_s, 0.0)
            return [warm, *map(self._closed_phase, self.users)]
        schedule, users = self.schedule(), self.saturation_users
        measured = [self.open_phase("open", schedule)]
        if users:
            measured.append(self._closed_phase(users))
            warm = Phase("warmup", users, self.first_warmup_s, 0.0)
        else:
            warm = self.warm_up(schedule.requests / schedule.duration_s)
        return [warm, *measured] if self.first_warmup_s else measured

    def _closed_phase(self, users: int) -> Phase:
        return Phase(f"users-{users}", users, self.warmup_s, self.duration_s)

    def warm_up(self, rate_per_s: float) -> Phase:
        stages = (Stage(rate_per_s, rate_per_s, self.first_warmup_s),)
        return Phase("warmup", 0, self.first_warmup_s, 0.0, Schedule(stages, self.arrivals))

    def open_phase(self, name: str, schedule: Schedule) -> Phase:
        """`open_phase` returns the schedule, after some seconds of its first rate that are not
        measured."""
        rate = schedule.stages[0].from_per_s or schedule.stages[0].to_per_s
        stages = (Stage(rate, rate, self.warmup_s), *schedule.stages)
        return Phase(name, 0, self.warmup_s, schedule.duration_s, schedule._replace(stages=stages))

    def phase_seed(self, index: int) -> int:
        """`phase_seed` differs for all generators of a run: no two have the same seed."""
        return self.seed * 1_000_000 + index * GENERATORS_MAX

    def quick(self) -> "Settings":
        """`quick` returns the same in little time: within 90 s with the stack's start and the final
        reads."""
        return replace(self, first_warmup_s=4.0, warmup_s=1.0, duration_s=4.0)
