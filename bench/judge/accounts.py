"""An account is what a history says it may hold, where some outcomes are not known."""

from dataclasses import dataclass, field

SUMS_MAX = 4096
"""An account with unknown outcomes has at most this many possible sums; beyond, only smallest and
largest are looked at."""


@dataclass(slots=True)
class Account:
    """An account's `fixed` happened, each of `either` happened once or not, and up to `slack` more
    did."""

    fixed: int = 0
    either: list[int] = field(default_factory=list)
    slack: int = 0

    def allows(self, value: int) -> bool:
        sums = {self.fixed}
        for amount in self.either:
            sums |= {total + amount for total in sums}
            if len(sums) > SUMS_MAX:
                return self.lowest() <= value <= self.highest()
        return any(total <= value <= total + self.slack for total in sums)

    def lowest(self) -> int:
        return self.fixed + sum(amount for amount in self.either if amount < 0)

    def highest(self) -> int:
        return self.fixed + sum(amount for amount in self.either if amount > 0) + self.slack

    def __str__(self) -> str:
        lowest, highest = self.lowest(), self.highest()
        return str(lowest) if lowest == highest else f"one of {lowest} to {highest}"
