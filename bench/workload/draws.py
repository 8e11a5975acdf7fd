"""A draw says what request number n of a workload file is: which flow, with which values."""

from collections.abc import Iterator, Mapping

import numpy as np

from bench.workload.http_file import Workload
from bench.workload.values import Numbers, fractions, key_of

BLOCK = 1024
"""So many numbers are drawn together: a draw by itself would cost more than sending the request."""


class Draws:
    """The draws are all that one generator draws; `index` of `count` takes each count-th number."""

    def __init__(self, workload: Workload, seed: int, index: int = 0, count: int = 1) -> None:
        self.workload = workload
        self._seed = seed
        self._next, self._count = index, count
        weights = np.cumsum([flow.weight for flow in workload.flows])
        self._borders = weights[:-1] / weights[-1]
        names = [
            {place.partition(".")[0] for step in flow.steps for place in step.names}
            for flow in workload.flows
        ]
        self._names = [sorted(own & workload.values.keys()) for own in names]
        self._used = sorted(set().union(*self._names))

    def flows(self) -> list[int]:
        """`flows` returns the flows of the next `BLOCK` numbers, where their values are not
        needed."""
        return self._flows(self._numbers())

    @property
    def has_values(self) -> bool:
        return bool(self._used)

    def block(self) -> Iterator[tuple[int, Mapping[str, str]]]:
        """`block` yields the next `BLOCK` draws: the flow's index, and a text for each of its
        places."""
        numbers = self._numbers()
        flows = self._flows(numbers)
        drawn = {
            name: self.workload.values[name].draw(numbers, key_of(self._seed, f"values {name}"))
            for name in self._used
        }
        for place, flow in enumerate(flows):
            texts: dict[str, str] = {}
            for name in self._names[flow]:
                texts |= self.workload.values[name].texts(name, drawn[name][place])
            yield flow, texts

    def _numbers(self) -> Numbers:
        numbers: Numbers = np.arange(BLOCK, dtype=np.uint64) * np.uint64(self._count)
        numbers += np.uint64(self._next)
        self._next += self._count * BLOCK
        return numbers

    def _flows(self, numbers: Numbers) -> list[int]:
        if not len(self._borders):
            return [0] * len(numbers)
        drawn = fractions(numbers, key_of(self._seed, "flow"))
        chosen: list[int] = np.searchsorted(self._borders, drawn, side="right").tolist()
        return chosen
