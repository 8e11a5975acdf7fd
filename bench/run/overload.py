"""The watch tells when a rate is out of reach: the rest of a load would tell nothing new."""

from bench.records.samples import Samples, merge

OVERLOAD_S = 10.0
"""Most requests must have been dropped for so long on end: a stall that is shorter is measured."""
DROPPED_SHARE_MIN = 0.5
"""This share of what ended in that time, answered or dropped, must have been dropped: the service
does less than half of the rate."""


class Overload:
    """The watch sees what comes in of an open loop; asked again and again, it says when to give
    up."""

    def __init__(self) -> None:
        self._parts: list[Samples] = []
        self._begin_ns = 0
        self.found = False

    def is_over(self, samples: Samples) -> bool:
        """`is_over` takes the `samples` since the last call."""
        if len(samples):
            self._parts.append(samples)
        if not self._parts:
            return False
        seen = merge(self._parts)
        latest_ns = int(seen.done_ns.max())
        self._begin_ns = self._begin_ns or int(seen.done_ns.min())
        stretch_ns = int(OVERLOAD_S * 1e9)
        recent = seen.where(seen.done_ns > latest_ns - stretch_ns)
        self._parts = [recent]
        if latest_ns - self._begin_ns < stretch_ns:
            return False
        self.found = float(recent.of_kind("dropped").mean()) > DROPPED_SHARE_MIN
        return self.found
