"""What a task knows of the keys that it used last, so that it need not ask Flink.

Never more than Flink's state: whoever changes that changes this too, and a task that fails begins
with an empty one.
"""

from collections.abc import Callable
from dataclasses import dataclass

from system.services.service import Entity

KEYS_MAX = 10_000
STEPS_MAX = 200_000
"""Of all keys together, some 25 MB; those used last stay."""


@dataclass(slots=True)
class Known:
    """Of a key: its entity, and when its alarm is to ring, in ms since 1970; 0 is never."""

    entity: Entity | None = None
    wake_at_ms: int = 0
    steps: set[str] | None = None
    """All that Flink remembers; None: not known. Changed by `Knowledge` alone."""

    def lacks(self, step: str) -> bool:
        """Whether the step is surely not remembered."""
        return self.steps is not None and step not in self.steps


class Knowledge:
    def __init__(self, keys_max: int = KEYS_MAX, steps_max: int = STEPS_MAX) -> None:
        self._keys_max = keys_max
        self._steps_max = steps_max
        self._keys: dict[str, Known] = {}
        self.steps = 0

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, key: str, read: Callable[[], Known]) -> Known:
        """Reads what is not known. A key that is used is the last to be left out for others."""
        known = self._keys.pop(key, None)
        if known is not None:
            self._keys[key] = known
            return known
        if len(self._keys) == self._keys_max:
            self._leave_out()
        known = self._keys[key] = read()
        self._grown(len(known.steps or ()))
        return known

    def remember(self, key: str, step: str) -> None:
        """A step of the key that Flink is told to remember."""
        known = self._keys.get(key)
        if known is not None and known.steps is not None and step not in known.steps:
            known.steps.add(step)
            self._grown(1)

    def learn(self, key: str, steps: set[str]) -> None:
        """All that Flink remembers of the key."""
        known = self._keys.get(key)
        if known is not None:
            grown = len(steps) - len(known.steps or ())
            known.steps = steps
            self._grown(grown)

    def _grown(self, by: int) -> None:
        self.steps += by
        while self.steps > self._steps_max:
            self._leave_out()

    def _leave_out(self) -> None:
        """The key that was not used for the longest time."""
        known = self._keys.pop(next(iter(self._keys)))
        self.steps -= len(known.steps or ())
