"""What may differ between runs, and the phases that follow from it."""

from dataclasses import dataclass, replace

from bench.load import Load, Phase

USERS_MAX = 4000
"""Below the connections that one gateway accepts."""
GENERATORS_MAX = 64
DURATION_S_MAX = 600.0
"""The services remember replies for 15 minutes; a phase stays below that."""
SCENARIOS = ("shop", "checkout")


@dataclass(frozen=True)
class Settings:
    scenario: str = "shop"
    zipf: float = 0.0
    users: tuple[int, ...] = (1, 64, 256)
    """Simulated users of each measured phase."""
    first_warmup_s: float = 15.0
    """Before all, at the largest number of users: the JVMs compile what they run often."""
    warmup_s: float = 3.0
    """Before each measured window."""
    duration_s: float = 20.0
    """Of each measured window."""
    seed: int = 1
    generators: int = 1
    """Locust processes."""
    workers: int = 1
    """Gateway processes."""
    target: str | None = None
    """URL of a gateway that is up already; None: a stack of its own."""

    def load(self) -> Load:
        return Load(self.scenario, self.zipf, self.generators)

    def phases(self) -> list[Phase]:
        warm = Phase("warmup", max(self.users), self.first_warmup_s, 0.0)
        return [warm] + [
            Phase(f"users-{users}", users, self.warmup_s, self.duration_s) for users in self.users
        ]

    def phase_seed(self, index: int) -> int:
        """No two generators of a run have the same seed."""
        return self.seed * 1_000_000 + index * GENERATORS_MAX

    def quick(self) -> "Settings":
        """The same in little time: within 90 s with the stack's start and the final reads."""
        return replace(self, first_warmup_s=4.0, warmup_s=1.0, duration_s=4.0)
