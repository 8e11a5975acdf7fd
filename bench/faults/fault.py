"""A fault is data: what happens to what, when, for how long, and how it heals.

Source: Apache Kafka's Trogdor, whose fault specs these follow; K. Kingsbury, Jepsen's nemeses.
"""

import random
from typing import Literal, NamedTuple

from bench.records.series import Event
from system.runtime.parts import GATEWAY, JOBMANAGER, KAFKA, TASKMANAGER, kind_of, names
from system.runtime.settings import CHECKPOINT_INTERVAL_S

WHOLE_S_MAX = 30.0
"""A checkpoint is whole so long after there is room again: one comes each 5 s, and one that could
not be written may first have to be given up."""

Kind = Literal[
    "kill", "kill-up", "pause", "slow", "fill", "clock", "poison", "replay", "crowd", "probe"
]
Needs = Literal["", "small disks", "own clock"]
START_S = 6.0
"""A fault begins so long after the measured window has opened, whose throughput is then known."""
COMPARED_S = 25.0
"""So long before a crowd of clients comes, with it and after it, a normal client's latency is
taken. Five checkpoints are in it, which hold up nearly one request in a hundred: of two, a 99th
percentile is chance."""
DEADLINE_S = 5.0
"""A gateway's usual deadline, which it is started with where nobody says otherwise."""
CROWD_P99_TIMES_MAX = 2.0
"""A crowd makes a normal client's 99th percentile at most so many times what it is without."""
CHECKPOINT_WAIT_S = 2 * CHECKPOINT_INTERVAL_S + 2.0
"""A checkpoint that can be hit begins within this time: one may be whole when it is first seen."""
AFTER_S = 5.0
"""The load goes on for so long after the time that a recovery may take: it must last to count."""


class Fault(NamedTuple):
    """A fault says what is done to a stack under load."""

    kind: Kind
    recovery_s_max: float
    """The throughput is back to 80 % so long after the beginning, or the end of what lasts."""
    healing: str
    parts: tuple[str, ...] = ()
    """These parts of the stack meet it."""
    chosen: int = 0
    """The seed chooses so many of the parts; 0: it is all of them."""
    what: str = ""
    """The disk, the crowd of clients, the probe or the kind of replay has this name; or it is what
    a kill waits for, or where a clock goes."""
    start_s: float = START_S
    duration_s: float = 0.0
    """The fault lasts so long, or waits for its moment at most; 0: it happens at once."""
    wait_s: float = 0.0
    """A record that is replayed comes again after this time."""
    spares: bool = False
    """Nothing of the load may fail meanwhile."""
    may_cut: bool = False
    """Requests under way may end without an answer."""
    others_ask: bool = False
    """Other clients' requests are among what the gateway counts: it may count more responses than
    the load knows of, and no fewer."""
    may_refuse: bool = False
    """A refusal with 503 is no failure: it says that nothing was done, and when to come again."""
    deadline_s: float = DEADLINE_S
    """The gateways answer within this time, whatever happens behind them."""
    p99_times_max: float | None = None
    """The load's 99th percentile during the fault is at most so many times that without it."""

    @property
    def span_s(self) -> float:
        """`span_s` is from the opening of the window to the healing."""
        return self.start_s + self.duration_s

    @property
    def after_s(self) -> float:
        """`after_s` is how long the load goes on after the healing."""
        compared_s = COMPARED_S if self.p99_times_max is not None else 0.0
        whole_s = WHOLE_S_MAX + AFTER_S if self.kind == "fill" else 0.0
        return max(self.recovery_s_max + AFTER_S, compared_s, whole_s)

    @property
    def takes_s(self) -> float:
        """`takes_s` is from its beginning to the end of a load that shows what became of it."""
        return self.duration_s + self.after_s

    @property
    def lasts(self) -> bool:
        """`lasts` returns whether a recovery begins with the end of it, not with its beginning."""
        return self.kind in ("pause", "slow", "fill", "clock")

    @property
    def kills(self) -> tuple[str, ...]:
        """`kills` returns the parts that end with it."""
        return self.parts if self.kind in ("kill", "kill-up", "replay") else ()

    @property
    def ends_gateway(self) -> bool:
        """`ends_gateway` returns whether connections and the gateway's counts end with it."""
        return GATEWAY in map(kind_of, self.kills)

    @property
    def cuts_connections(self) -> bool:
        return self.may_cut or self.ends_gateway

    @property
    def needs(self) -> Needs:
        """`needs` returns what the stack must have that meets it."""
        return "small disks" if self.kind == "fill" else "own clock" if self.kind == "clock" else ""

    def of(self, seed: int) -> "Fault":
        """`of` returns the fault with the parts that the seed chooses."""
        if not self.chosen:
            return self
        chosen = random.Random(seed).sample(self.parts, self.chosen)
        return self._replace(parts=tuple(chosen), chosen=0)


class Bite(NamedTuple):
    """A bite tells what became of a fault that was put in."""

    proof: str
    """The proof says that it bit; "" where nothing does."""
    broken: tuple[str, ...] = ()
    """These promises did not hold, by the injector's own account."""
    unsure: tuple[str, ...] = ()
    """These reasons say why it can't be told."""
    healed_ns: int | None = None
    """It was healed at this time; None: when the injector returned."""
    struck_ns: int | None = None
    """The first part was killed at this time; None: nothing was, or at the very beginning."""


class Planned(NamedTuple):
    """A fault is planned for a time after the opening of the window."""

    name: str
    fault: Fault
    seed: int
    at_s: float


class Injected(NamedTuple):
    """A fault was put in, and healed."""

    name: str
    fault: Fault
    began_ns: int
    healed_ns: int
    bite: Bite

    def event(self) -> Event:
        """`event` returns its span, for the time axis of the report."""
        lasted_ms = (self.healed_ns - self.began_ns) / 1e6
        return Event("fault", self.began_ns, lasted_ms, f"injected: {self.name}")


PARTS = (GATEWAY, TASKMANAGER, JOBMANAGER, KAFKA)
LOGS, CHECKPOINTS = "the broker's logs", "the checkpoints"
A_CHECKPOINT = "a checkpoint"
SLOW_HEADERS, SLOW_BODIES, DEAF, IDLE, FUZZ = (
    *("slow headers", "slow bodies", "never reading", "idle", "fuzzed requests"),
)
SAME, CHANGED = "the same", "with another body"
AHEAD, BEHIND = "ahead", "behind"

RESTART, RESUME, NONE = "the supervisor starts it anew", "SIGCONT", "none is needed"
ROOM, LEAVE, RIGHT = "what filled it is removed", "they go", "the clock is right again"


def _crowd(what: str, duration_s: float = COMPARED_S, may_cut: bool = False) -> Fault:
    return Fault(
        *("crowd", 5.0, LEAVE), what=what, start_s=COMPARED_S, duration_s=duration_s,
        spares=True, others_ask=True, p99_times_max=CROWD_P99_TIMES_MAX, may_cut=may_cut,
    )  # fmt: skip


def _replay(what: str = SAME, duration_s: float = 5.0, wait_s: float = 0.0) -> Fault:
    return Fault("replay", 5.0, NONE, what=what, duration_s=duration_s, wait_s=wait_s, spares=True)


def _clock(what: str) -> Fault:
    return Fault("clock", 20.0, RIGHT, what=what, duration_s=36.0, wait_s=22.0)


FAULTS = {
    "kill-gateway": Fault("kill", 5.0, RESTART, (GATEWAY,)),
    "kill-taskmanager": Fault("kill", 10.0, RESTART, (TASKMANAGER,)),
    "kill-jobmanager": Fault("kill", 30.0, RESTART, (JOBMANAGER,)),
    "kill-broker": Fault("kill", 20.0, RESTART, (KAFKA,)),
    "kill-broker-at-checkpoint": Fault(
        "kill", 20.0, RESTART, (KAFKA,), what=A_CHECKPOINT, duration_s=CHECKPOINT_WAIT_S
    ),
    "kill-pair": Fault("kill", 30.0, RESTART, PARTS, chosen=2),
    "kill-all": Fault("kill-up", 60.0, "`up` again, with the same data folder", PARTS),
    "pause-broker-5": Fault("pause", 20.0, RESUME, (KAFKA,), duration_s=5.0),
    "pause-broker-30": Fault("pause", 20.0, RESUME, (KAFKA,), duration_s=30.0),
    "pause-broker-150": Fault("pause", 20.0, RESUME, (KAFKA,), duration_s=150.0),
    "pause-taskmanager-15": Fault("pause", 10.0, RESUME, (TASKMANAGER,), duration_s=15.0),
    "slow-services": Fault("slow", 10.0, "full speed again", (TASKMANAGER,), duration_s=15.0),
    "full-disk-broker": Fault("fill", 20.0, ROOM, (KAFKA,), what=LOGS, duration_s=10.0),
    "full-disk-checkpoints": Fault(
        "fill", 10.0, ROOM, (JOBMANAGER, TASKMANAGER), what=CHECKPOINTS, duration_s=15.0
    ),
    "clock-ahead": _clock(AHEAD),
    "clock-behind": _clock(BEHIND),
    "poison": Fault("poison", 5.0, NONE, duration_s=5.0, spares=True),
    "replay-at-once": _replay(),
    "replay-late": _replay(duration_s=12.0, wait_s=7.0),
    "replay-changed": _replay(CHANGED),
    "replay-across-restart": _replay(duration_s=20.0, wait_s=10.0)._replace(
        parts=(TASKMANAGER,), spares=False, healing=RESTART, recovery_s_max=10.0
    ),
    "late-replies": Fault("probe", 5.0, NONE, what="timeout", duration_s=12.0, spares=True),
    "overload": Fault("probe", 5.0, LEAVE, what="overload", duration_s=12.0),
    "slow-headers": _crowd(SLOW_HEADERS),
    "slow-bodies": _crowd(SLOW_BODIES),
    "deaf-clients": _crowd(DEAF, 75.0, may_cut=True),
    "idle-clients": _crowd(IDLE, 36.0, may_cut=True),
    "fuzzed-requests": _crowd(FUZZ)._replace(start_s=START_S, p99_times_max=None),
}
"""`FAULTS` has each fault by its name. SIGKILL kills, SIGSTOP pauses; a TaskManager is paused
beyond its heartbeat of 4 s."""


CLUSTER_DEADLINE_S = 60.0
"""A gateway of the cluster waits so long for a reply: longer than any one process takes to come
back, on a busy machine too, so that what was accepted is answered."""


CLUSTER_PARTS = {KAFKA: 3, TASKMANAGER: 2, JOBMANAGER: 1, GATEWAY: 2}
"""The cluster has so many processes of each kind, gateways' workers left out."""


def _lost(part: str, recovery_s_max: float) -> Fault:
    return Fault(
        *("kill", recovery_s_max, RESTART, (part,)),
        spares=True, may_refuse=True, deadline_s=CLUSTER_DEADLINE_S,
    )  # fmt: skip


CLUSTER_FAULTS = {
    f"lose-{part.removeprefix('flink_').replace('_', '-')}": _lost(part, recovery_s_max)
    for kind, recovery_s_max in (
        (KAFKA, 20.0),
        (TASKMANAGER, 15.0),
        (JOBMANAGER, 30.0),
        (GATEWAY, 5.0),
    )
    for part in names(kind, CLUSTER_PARTS[kind])
}
"""`CLUSTER_FAULTS` has one for each process of the cluster: any one may be lost, and no request
fails, but those under way on a gateway that is killed."""
