"""Looks at a sampler's values while it runs; in production only the whole series is read."""

from collections.abc import Mapping

from bench.observe.sampler import Sampler
from bench.records.series import Columns


class Watched(Columns):
    """`latest` has the values of the last sample."""

    def __init__(self) -> None:
        super().__init__()
        self.latest: Mapping[str, float] = {}

    def add(self, at_ns: int, values: Mapping[str, float]) -> None:
        super().add(at_ns, values)
        self.latest = values


def watch(sampler: Sampler) -> Watched:
    """To be called before the sampler starts."""
    sampler._columns = watched = Watched()
    return watched
