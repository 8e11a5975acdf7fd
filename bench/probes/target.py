"""A target is a gateway, and what a probe must know of it and of the machine beside it."""

import asyncio
import time
from typing import NamedTuple

from bench.stats.quantiles import percentile_ms

LAG_MS_MAX = 10.0
"""The probe's own event loop may be this late at p99; with more, it can hardly tell how late others
are."""
LAGS_MAX = 10.0
"""A time on a busy machine is nobody's fault that is known, up to so many times its lag at p99:
what passes through several processes waits for a core in each. Beyond, it is the system's."""
WATCH_INTERVAL_S = 0.01
"""This much time passes between two looks of a probe at its own event loop."""


class Options(NamedTuple):
    """The options are what a probe must know of the gateway, how long it loads it, and what it
    still accepts."""

    timeout_s: float = 5.0
    """The timeout is the gateway's own, as `in_flight_max`: these are its defaults."""
    in_flight_max: int = 4096
    """The limit is of each worker."""
    workers: int = 1
    duration_s: float = 7.0
    seed: int = 1
    late_504_ms_max: float = 50.0
    """A 504 may be this late at p99, after the deadline."""
    refusal_share_max: float = 0.2
    """The p99 of refusals under overload may be this share of the median of what is answered
    meanwhile."""

    def gateway_options(self) -> tuple[str, ...]:
        """`gateway_options` returns the arguments that give a gateway these limits."""
        limits = {"--timeout-s": self.timeout_s, "--in-flight-max": self.in_flight_max}
        return tuple(str(part) for limit in limits.items() for part in limit)


OWN_STACK = Options(timeout_s=2.0, in_flight_max=128)
"""All probes are quick at these limits, for a stack that is started for them."""


class Control:
    """The control tells how late the probing process's own clock rings: what the machine shows
    beside a probe.

    It asks nothing of the system, so whatever it waits for is the machine's doing.
    """

    def __init__(self) -> None:
        self.lag_ns: list[int] = []

    async def watch(self) -> None:
        """`watch` looks at the clock until it is cancelled."""
        while True:
            due_ns = time.monotonic_ns() + int(WATCH_INTERVAL_S * 1e9)
            await asyncio.sleep(WATCH_INTERVAL_S)
            self.lag_ns.append(time.monotonic_ns() - due_ns)

    @property
    def lag_ms(self) -> float:
        """The lag is at p99; 0 before the first look."""
        return percentile_ms(self.lag_ns, 99) if self.lag_ns else 0.0

    @property
    def is_busy(self) -> bool:
        return self.lag_ms > LAG_MS_MAX

    def excuses(self, late_ms: float) -> bool:
        """`excuses` tells whether the machine may be the cause of so much time."""
        return self.is_busy and late_ms <= LAGS_MAX * self.lag_ms


class Target(NamedTuple):
    """Nobody else uses this gateway meanwhile: the counts must be exact."""

    url: str
    kafka: str | None
    """The address is ``host:port`` of its Kafka."""
    options: Options = OWN_STACK
    control: Control = Control()
    """The control is what the machine shows meanwhile; each probe that is run has one of its
    own."""
