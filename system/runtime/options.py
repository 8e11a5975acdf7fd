"""The options say what may differ between stacks, and what of it the data of a stack depends on."""

from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from system.catalog import catalog
from system.runtime import jars
from system.runtime.settings import (
    CHECKPOINT_INTERVAL_S,
    CHECKPOINT_INTERVAL_S_MAX,
    CHECKPOINT_INTERVAL_S_MIN,
    HEAP_MIB_MIN,
    TASK_SLOTS,
    Heaps,
)


@dataclass(frozen=True)
class StackOptions:
    """Stacks may differ in this; heaps are in MiB.

    A port of 0 is any free one, None the usual one, and any free one where that is taken.
    """

    services: tuple[str, ...] = field(default_factory=lambda: catalog().services)
    port: int | None = 0
    kafka_port: int | None = 0
    flink_rest_port: int | None = 0
    workers: int = 1
    """So many gateway processes share one port."""
    gateway_options: tuple[str, ...] = ()
    """The gateways get these further arguments of ``python -m system.gateway``."""
    execution_mode: Literal["thread", "process"] = "thread"
    parallelism: int = 1
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S
    heaps: Heaps = field(default_factory=Heaps)
    data_dir: Path | None = None
    """The folder is new, or an earlier stack's, and stays; None is a temporary one in the cache."""
    savepoint: str | None = None
    """The job begins from this URI of a savepoint or checkpoint, on a Flink that exists."""
    topic_prefix: str = ""
    """The names of all topics begin like this: up to 64 characters of [A-Za-z0-9._-]."""
    replication: int = -1
    """Each topic has so many copies; -1 is the brokers' default."""
    name: str | None = None
    """The name goes into the gateway's reply topic, and a temporary folder that outlives a kill."""

    def __post_init__(self) -> None:
        known = catalog().services
        if unknown := set(self.services) - set(known):
            raise ValueError(f"no service {', '.join(sorted(unknown))} in {', '.join(known)}")
        if not 1 <= self.parallelism <= TASK_SLOTS:
            raise ValueError(f"parallelism {self.parallelism} is not in 1 to {TASK_SLOTS}")
        shortest, longest = CHECKPOINT_INTERVAL_S_MIN, CHECKPOINT_INTERVAL_S_MAX
        if not shortest <= self.checkpoint_interval_s <= longest:
            raise ValueError(
                f"a checkpoint each {self.checkpoint_interval_s:g} s is not in {shortest:g} to "
                f"{longest:g}"
            )
        if min(self.heaps) < HEAP_MIB_MIN:
            raise ValueError(f"a heap of {min(self.heaps)} MiB is less than {HEAP_MIB_MIN}")

    def made_with(self, bootstrap_servers: str | None, flink_rest: str | None) -> dict[str, str]:
        """`made_with` returns what the data of a stack depends on, as words; None stands for a
        cluster of its own."""
        _, _, kafka = jars.SETS["kafka"][0].split(":")
        return {
            "Kafka": f"at {bootstrap_servers}" if bootstrap_servers else kafka,
            "Flink": f"at {flink_rest}" if flink_rest else version("apache-flink"),
            "services": ", ".join(self.services),
            "topic prefix": self.topic_prefix or "none",
            "parallelism": str(self.parallelism),
            "execution mode": self.execution_mode,
        }
