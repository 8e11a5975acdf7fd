"""A task knows the keys that it used last, so that it need not ask Flink.

Never more than Flink's state: whoever changes that changes this too, and a task that fails begins
with an empty one.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson
from rbloom import Bloom

from system.flink_job.packed_keys import PackedKeys
from system.service import Entity

KEYS_MAX = 10_000
"""A task has this many keys at hand, those used last; more of them are packed."""
AT_HAND_BYTES_MAX = 16 * 1024 * 1024
"""All keys at hand have so much together, as JSON, of which Python makes some seven times as much:
of large ones fewer are at hand."""
STEPS_MAX = 4_000_000
"""A generation has at most this many steps, of all keys together: 4 MB. Two are kept; at up to
3,000 steps a second the older one lasts for the 22 minutes in which a step may be asked for."""
FALSE_POSITIVES = 0.02
"""This share of the steps that are not remembered is asked for in vain."""


@dataclass(slots=True)
class Kept:
    """Flink keeps this of a key, as one value: its entity, its timers, and which steps there are.

    The names of steps stand in the order in which they came, so that the oldest are found without a
    look at the others: the newest here, all before in the chunks `first` to `end` - 1. Times are in
    ms since 1970 where nothing else is said; that of a timer is 0 where none runs.
    """

    entity: Entity | None = None
    wake_at_ms: int = 0
    """The entity's alarm is to ring at this time."""
    sweep_at_ms: int = 0
    """Steps are to be forgotten at this time; a timer runs as long as there are any."""
    partition: int = 0
    """The key's records come from this partition of the topic."""
    first: int = 0
    end: int = 0
    newest_ms: int = 0
    """The record of the last of `names` was written to the topic at this time."""
    handled_ms: int = 0
    """It was handled at this time of `Clocks.elapsed_ms`."""
    names: list[str] = field(default_factory=list)
    generation: int | None = None
    """This is the first generation of `Knowledge` that may have steps of the key, if it has all of
    them. It is not part of Flink's state."""
    size: int = field(default=0, compare=False)
    """It had so many bytes when it was read or written last, and so many are `counted`. Neither is
    part of Flink's state."""
    counted: int = field(default=0, compare=False)
    is_packed: bool = False
    """`PackedKeys` was given it as it is, and may have left it out since. It is not part of Flink's
    state either."""

    @classmethod
    def from_bytes(cls, value: bytes | None) -> "Kept":
        """`from_bytes` reads what `to_bytes` made, out of Flink's state, or `packed`."""
        if value is None:
            return cls()
        kept = cls(*orjson.loads(value))
        kept.size = len(value)
        return kept

    def changed(self, entity: bytes | None = None) -> bytes | None:
        """`changed` notes that it is not as it was packed, and returns `to_bytes`: whoever changes
        anything of it writes this to Flink's state."""
        self.is_packed = False
        written = self.to_bytes(entity)
        self.size = 0 if written is None else len(written)
        return written

    def to_bytes(self, entity: bytes | None = None) -> bytes | None:
        """`to_bytes` writes it for Flink's state; it is None where there is nothing to keep.

        `entity` is the entity as JSON, where somebody has written it already.
        """
        if self.entity is None and not self.has_steps():
            return None
        written = self.entity if entity is None else orjson.Fragment(entity)
        return orjson.dumps([written, *self._rest()])

    def packed(self) -> bytes:
        """`packed` is all that there is of it, for the task's own memory."""
        return orjson.dumps([self.entity, *self._rest(), self.generation])

    def _rest(self) -> tuple[int | list[str], ...]:
        return (
            *(self.wake_at_ms, self.sweep_at_ms, self.partition),
            *(self.first, self.end, self.newest_ms, self.handled_ms, self.names),
        )

    def has_steps(self) -> bool:
        """`has_steps` returns whether any step is remembered."""
        return bool(self.names) or self.first < self.end


class Knowledge:
    """Steps are kept in Bloom filters (B. H. Bloom, Communications of the ACM 13 (7), 1970), the
    newest in one, the older ones in another that is emptied when the first is full."""

    def __init__(
        self,
        packed_bytes_max: int,
        keys_max: int = KEYS_MAX,
        steps_max: int = STEPS_MAX,
        at_hand_bytes_max: int = AT_HAND_BYTES_MAX,
    ) -> None:
        self._keys_max = keys_max
        self._steps_max = steps_max
        self._bytes_max = at_hand_bytes_max
        self._bytes = 0
        self._keys: OrderedDict[str, Kept] = OrderedDict()
        self._packed = PackedKeys(packed_bytes_max)
        self._generation = 0
        self._count = 0
        self._new, self._old = (Bloom(steps_max, FALSE_POSITIVES) for _ in range(2))

    def __len__(self) -> int:
        return len(self._keys)

    def of(self, key: str, read: Callable[[], bytes | None]) -> Kept:
        """`of` returns what Flink keeps of the key, and reads it where it is not known. A key that
        is used is the last to be packed, so that others have its place."""
        kept = self._keys.get(key)
        if kept is not None:
            self._keys.move_to_end(key)
        else:
            packed = self._packed.get(key)
            kept = Kept.from_bytes(read() if packed is None else packed)
            kept.is_packed = packed is not None
            self._keys[key] = kept
        self._bytes += kept.size - kept.counted  # what was changed is counted when it is used again
        kept.counted = kept.size
        while len(self._keys) > self._keys_max or (
            self._bytes > self._bytes_max and len(self._keys) > 1
        ):
            self._pack(*self._keys.popitem(last=False))
        if kept.first == kept.end and not self._is_complete(kept):  # its names are all its steps
            kept.generation = self._generation
            kept.is_packed = False
            for step in kept.names:
                self._add(key, step)
        return kept

    def drop(self, key: str) -> None:
        """The task knows nothing of the key from now on."""
        kept = self._keys.pop(key, None)
        if kept is not None:
            self._bytes -= kept.counted
        self._packed.drop(key)

    def lacks(self, key: str, step: str) -> bool:
        """`lacks` returns whether Flink surely does not remember the step."""
        seen, kept = (key, step), self._keys.get(key)
        if kept is None or not self._is_complete(kept):
            return False
        return seen not in self._new and seen not in self._old

    def remember(self, key: str, step: str) -> None:
        """`remember` takes a step of the key that Flink is told to remember."""
        kept = self._keys.get(key)
        if kept is not None and self._is_complete(kept):
            self._add(key, step)

    def _is_complete(self, kept: Kept) -> bool:
        return kept.generation is not None and kept.generation >= self._generation - 1

    def _pack(self, key: str, kept: Kept) -> None:
        self._bytes -= kept.counted
        if kept.entity is None and not kept.has_steps():  # made-up ids would take others' room
            self._packed.drop(key)
        elif not kept.is_packed:
            self._packed.put(key, kept.packed())

    def _add(self, key: str, step: str) -> None:
        if self._count == self._steps_max:
            self._new, self._old = self._old, self._new
            self._new.clear()
            self._generation += 1
            self._count = 0
        self._new.add((key, step))
        self._count += 1
