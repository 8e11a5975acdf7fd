"""Real slowdowns and failures of the system are patches: they show how often they are found.

A patch that takes CPU time has one constant, ``SPIN_TURNS``: of an empty loop, for each request of
the gateway, or each record of the service ``order``. It is computed from what the unchanged system
takes, so that the added share is what its name says. A loop, and no time, as a machine that gets
faster must not make the share larger.
"""

import re
from pathlib import Path
from typing import Literal, NamedTuple

from bench.errors import BenchError
from bench.project import PROJECT_DIR
from bench.regression.worktree import apply_patch

FOLDER = PROJECT_DIR / "tests" / "faults" / "slowdowns"
SPIN = re.compile(r"^SPIN_TURNS = 0\b", re.MULTILINE)
BASE = "base"
"""The names of unchanged systems begin with it."""
SPUN_SERVICE = "order"

Group = Literal["gateway", "service"]


class Slowdown(NamedTuple):
    patch: str
    """The patch is a file in `FOLDER`, without its suffix."""
    file: str
    """The patch changes this one file of the system."""
    group: Group
    """The slowdown is in this group; a gateway's are measured on one Kafka and Flink."""
    text: str
    share: float = 0.0
    """The slowdown adds this share of the CPU time per request that the gateway, or Flink, takes
    without it."""

    @property
    def path(self) -> Path:
        return FOLDER / f"{self.patch}.patch"


def _cpu(group: Group, file: str) -> dict[str, Slowdown]:
    return {
        f"{group}-cpu-{percent}": Slowdown(
            f"{group}-cpu", file, group, f"{group} +{percent} % CPU", percent / 100
        )
        for percent in (5, 10, 20)
    }


GATEWAY_FILE = "system/gateway/app.py"
SLOWDOWNS = {
    **_cpu("gateway", GATEWAY_FILE),
    "gateway-tail": Slowdown(
        "gateway-tail", GATEWAY_FILE, "gateway", "+2 ms on 1 % of requests in the gateway"
    ),
    "gateway-failing": Slowdown(
        "gateway-failing", GATEWAY_FILE, "gateway", "0.5 % of requests fail in the gateway"
    ),
    **_cpu("service", "system/service.py"),
    "service-record": Slowdown(
        "service-record",
        "system/flink_job/host.py",
        "service",
        "one more Kafka record per request",
    ),
    "service-refusing": Slowdown(
        "service-refusing", "system/services/order.py", "service", "checkout refuses every order"
    ),
}


def of_group(group: Group) -> list[str]:
    return [name for name, slowdown in SLOWDOWNS.items() if slowdown.group == group]


class Set(NamedTuple):
    bases: int
    """So many systems are unchanged: two of them are the base and the base again, and to compare it
    with itself takes a third."""
    slowdowns: tuple[str, ...] = ()
    is_shared: bool = False
    """The flag says whether they are on one Kafka and Flink."""


SETS = {
    "gateway": Set(3, tuple(of_group("gateway")), is_shared=True),
    "service-unchanged": Set(3),
    **{name: Set(2, (name,)) for name in of_group("service")},
}


class Cost(NamedTuple):
    """A request of the unchanged system takes this."""

    gateway_us: float
    flink_us: float
    spun_records: float
    """The service `SPUN_SERVICE` handles so many records for each request."""
    turn_us: float
    """A turn of the empty loop takes this long, beside the requests."""


def spin(turns: int) -> None:
    """`spin` does what the patches do."""
    for _ in range(turns):
        pass


def spin_turns(slowdown: Slowdown, cost: Cost) -> int:
    """`spin_turns` returns the turns for each request of the gateway, or record of the service."""
    if slowdown.group == "gateway":
        return round(slowdown.share * cost.gateway_us / cost.turn_us)
    return round(slowdown.share * cost.flink_us / cost.turn_us / cost.spun_records)


def slow_down(tree: Path, slowdown: Slowdown, cost: Cost) -> None:
    """`slow_down` patches a work tree. It raises `BenchError` where the patch does not fit."""
    apply_patch(tree, slowdown.path)
    if not slowdown.share:
        return
    path = tree / slowdown.file
    source, count = SPIN.subn(f"SPIN_TURNS = {spin_turns(slowdown, cost)}", path.read_text())
    if count != 1:
        raise BenchError(f"{slowdown.path.name} has no line SPIN_TURNS = 0")
    path.write_text(source)
