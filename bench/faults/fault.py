"""A fault is data: what happens to what, when, for how long, and how it heals.

Source: Apache Kafka's Trogdor, whose fault specs these follow; K. Kingsbury, Jepsen's nemeses.
"""

from typing import Literal, NamedTuple

from system.runtime.stack import GATEWAY, JOBMANAGER, KAFKA, TASKMANAGER

Kind = Literal["kill", "pause", "poison", "replay"]
START_S = 6.0
"""A fault begins so long after the measured window has opened, whose throughput is then known."""


class Fault(NamedTuple):
    """A fault says what is done to a stack under load."""

    kind: Kind
    target: str
    """The target is a part of the stack; for records, the topics."""
    recovery_s_max: float
    """The throughput is back to 80 % so long after the beginning, or after the end of a pause."""
    healing: str
    start_s: float = START_S
    duration_s: float = 0.0
    """The fault lasts so long; 0: it happens in a moment."""
    wait_s: float = 0.0
    """A record that is replayed comes again after this time."""
    cuts_connections: bool = False
    """Requests under way may end without an answer."""
    loses_counts: bool = False
    """The gateway's counters end with it: of the ledger only the generator's part is known."""

    @property
    def span_s(self) -> float:
        """`span_s` is from the opening of the window to the healing."""
        return self.start_s + self.duration_s


RESTART, RESUME, NONE = "the supervisor starts it anew", "SIGCONT", "none is needed"

FAULTS = {
    "kill-gateway": Fault("kill", GATEWAY, 5.0, RESTART, cuts_connections=True, loses_counts=True),
    "kill-taskmanager": Fault("kill", TASKMANAGER, 10.0, RESTART),
    "kill-jobmanager": Fault("kill", JOBMANAGER, 30.0, RESTART),
    "kill-broker": Fault("kill", KAFKA, 20.0, RESTART),
    "pause-broker-5": Fault("pause", KAFKA, 20.0, RESUME, duration_s=5.0),
    "pause-broker-30": Fault("pause", KAFKA, 20.0, RESUME, duration_s=30.0),
    "pause-broker-150": Fault("pause", KAFKA, 20.0, RESUME, duration_s=150.0),
    "pause-taskmanager-15": Fault("pause", TASKMANAGER, 10.0, RESUME, duration_s=15.0),
    "poison": Fault("poison", "the input topics", 5.0, NONE, duration_s=5.0),
    "replay-at-once": Fault("replay", "the input topics", 5.0, NONE, duration_s=5.0),
    "replay-late": Fault("replay", "the input topics", 5.0, NONE, duration_s=12.0, wait_s=7.0),
}
"""`FAULTS` has each fault by its name. SIGKILL kills, SIGSTOP pauses; a TaskManager is paused
beyond its heartbeat of 4 s."""
