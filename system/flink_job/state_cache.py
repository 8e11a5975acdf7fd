"""What a task knows of the keys that it used last, so that it need not ask Flink.

Never more than Flink's state: whoever changes that changes this too, and a task that fails begins
with an empty one.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rbloom import Bloom

from system.services.service import Entity

KEYS_MAX = 10_000
"""Keys of which a service's task knows entity and steps without asking Flink, those used last."""
STEPS_MAX = 4_000_000
"""Of a generation, of all keys together: 4 MB. Two are kept; at up to 4,400 steps a second the
older one lasts for the 15 minutes after which a key's steps are looked through again."""
FALSE_POSITIVES = 0.02
"""Of the steps that are not remembered: these are asked for in vain."""


@dataclass(slots=True)
class Known:
    """Of a key: its entity, and when its alarm is to ring, in ms since 1970; 0 is never."""

    entity: Entity | None
    wake_at_ms: int
    generation: int | None
    """The first that may have steps of the key, if all that Flink remembers are in one."""


Read = tuple[Entity | None, int, bool]
"""What Flink has of a key: entity, alarm, and whether it remembers no step at all."""


class Knowledge:
    """Steps are kept in Bloom filters (B. H. Bloom, Communications of the ACM 13 (7), 1970), the
    newest in one, the older ones in another that is emptied when the first is full."""

    def __init__(self, keys_max: int = KEYS_MAX, steps_max: int = STEPS_MAX) -> None:
        self._keys_max = keys_max
        self._steps_max = steps_max
        self._keys: dict[str, Known] = {}
        self._generation = 0
        self._count = 0
        self._new, self._old = (Bloom(steps_max, FALSE_POSITIVES) for _ in range(2))

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, key: str, read: Callable[[], Read]) -> Known:
        """Reads what is not known. A key that is used is the last to be left out for others."""
        known = self._keys.pop(key, None)
        if known is None:
            if len(self._keys) == self._keys_max:
                del self._keys[next(iter(self._keys))]
            entity, wake_at_ms, is_new = read()
            known = Known(entity, wake_at_ms, self._generation if is_new else None)
        self._keys[key] = known
        return known

    def lacks(self, key: str, step: str) -> bool:
        """Whether Flink surely does not remember the step."""
        seen = key, step
        return self._is_complete(key) and seen not in self._new and seen not in self._old

    def remember(self, key: str, step: str) -> None:
        """A step of the key that Flink is told to remember."""
        if self._is_complete(key):
            self._add(key, step)

    def learn(self, key: str, steps: Iterable[str]) -> None:
        """All that Flink remembers of the key."""
        known = self._keys.get(key)
        if known is not None:
            known.generation = self._generation
            for step in steps:
                self._add(key, step)

    def _is_complete(self, key: str) -> bool:
        known = self._keys.get(key)
        if known is None or known.generation is None:
            return False
        return known.generation >= self._generation - 1

    def _add(self, key: str, step: str) -> None:
        if self._count == self._steps_max:
            self._new, self._old = self._old, self._new
            self._new.clear()
            self._generation += 1
            self._count = 0
        self._new.add((key, step))
        self._count += 1
