"""The options say what may differ between stacks, and what of it the data of a stack depends on."""

import math
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from machine.errors import StackError
from system.catalog import catalog
from system.kafka_security import KafkaSecurity
from system.runtime import jars
from system.runtime.settings import (
    BROKERS_MAX,
    CHECKPOINT_INTERVAL_S,
    CHECKPOINT_INTERVAL_S_MAX,
    CHECKPOINT_INTERVAL_S_MIN,
    GATEWAYS_MAX,
    HEAP_MIB_MIN,
    INDEX_INTERVAL_BYTES,
    INDEX_OFFSET_BYTES,
    INDEX_TIME_BYTES,
    KNOWN_MIB,
    KNOWN_MIB_MAX,
    PARALLELISM_MAX,
    PARTITIONS_MAX,
    TASK_SLOTS,
    TASKMANAGERS_MAX,
    TOPIC_MIB,
    TOPIC_MIB_MAX,
    TOPIC_MIB_MIN,
    TOPIC_SEGMENTS,
    Heaps,
    task_slots,
)
from system.service import WINDOW_S, WINDOW_S_MAX, WINDOW_S_MIN
from system.wire import TIMEOUT_S, TIMEOUT_S_MAX, TIMEOUT_S_MIN

Mode = Literal["thread", "process"]
"""PyFlink runs the services in the TaskManager's JVM, or in processes of their own."""
StateBackend = Literal["rocksdb", "hashmap"]
"""State is on the TaskManager's disk, or on its heap."""


class RescaleError(StackError):
    """A stack is not rescaled, and is as it was: one line says why."""


GATEWAY_OPTIONS = (
    *("--bootstrap", "--host", "--port", "--gateway-id", "--ready-by", "--workers"),
    *("--timeout-s", "--topic-prefix", "--tls-cert-file", "--tls-key-file"),
)
"""The stack gives its gateways these options: another time than the saga's, or other topics than
the job's, would break what it promises. It asks them by plain HTTP, so none of its own has TLS."""


@dataclass(frozen=True)
class StackOptions:
    """Stacks may differ in this; heaps are in MiB.

    A port of 0 is any free one, None the usual one, and any free one where that is taken.
    """

    services: tuple[str, ...] = field(default_factory=lambda: catalog().services)
    port: int | None = 0
    kafka_port: int | None = 0
    flink_rest_port: int | None = 0
    brokers: int = 1
    """There are so many brokers: 1, or 3, which have three copies of each topic."""
    gateways: int = 1
    """There are so many gateways, each at a port of its own; the first has `port`."""
    workers: int = 1
    """So many processes of a gateway share one port."""
    gateway_options: tuple[str, ...] = ()
    """The gateways get these further arguments of ``python -m system.gateway``, of which none is
    one of `GATEWAY_OPTIONS`."""
    execution_mode: Mode = "thread"
    known_mib: int = KNOWN_MIB
    """A TaskManager's tasks together have so many MiB of their state packed in memory."""
    partitions: int | None = None
    """Each input topic has so many partitions; None: as many as it has already, or a new one as the
    job has tasks."""
    topic_mib: int = TOPIC_MIB
    """A new input topic keeps so many MiB of records."""
    parallelism: int = 1
    """The job has so many tasks of a kind."""
    taskmanagers: int = 1
    """So many processes, each with a Python of its own, share the job's tasks."""
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S
    window_s: int = WINDOW_S
    """A request may be sent again for so long."""
    timeout_s: float = TIMEOUT_S
    """Gateways wait for a reply for so long, and a checkout for less."""
    state_backend: StateBackend | None = None
    """The cluster's own is None, which is RocksDB in a stack's."""
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
        for number, what, most in (
            (1 if self.partitions is None else self.partitions, "partitions", PARTITIONS_MAX),
            (self.parallelism, "parallelism", PARALLELISM_MAX),
            (self.taskmanagers, "taskmanagers", TASKMANAGERS_MAX),
            (self.gateways, "gateways", GATEWAYS_MAX),
        ):
            if not 1 <= number <= most:
                raise ValueError(f"{what} {number} is not in 1 to {most}")
        for option in self.gateway_options:
            name = option.partition("=")[0]
            if name.startswith("--") and any(own.startswith(name) for own in GATEWAY_OPTIONS):
                raise ValueError(
                    f"{name} is not for --gateway-option: the stack gives it to its gateways; it "
                    "follows from an option of its own"
                )
        asked_for = [each for each in (self.port, self.kafka_port, self.flink_rest_port) if each]
        if len({*asked_for}) < len(asked_for):
            raise ValueError("--port, --kafka-port and --flink-rest-port are not all different")
        if not TOPIC_MIB_MIN <= self.topic_mib <= TOPIC_MIB_MAX:
            raise ValueError(
                f"a topic of {self.topic_mib} MiB is not in {TOPIC_MIB_MIN} to {TOPIC_MIB_MAX}"
            )
        if not 0 <= self.known_mib <= KNOWN_MIB_MAX:
            raise ValueError(f"packed state of {self.known_mib} MiB is not in 0 to {KNOWN_MIB_MAX}")
        if not WINDOW_S_MIN <= self.window_s <= WINDOW_S_MAX:
            raise ValueError(
                f"a window of {self.window_s} s is not in {WINDOW_S_MIN} to {WINDOW_S_MAX}"
            )
        if not TIMEOUT_S_MIN <= self.timeout_s <= TIMEOUT_S_MAX:
            raise ValueError(
                f"a timeout of {self.timeout_s:g} s is not in {TIMEOUT_S_MIN:g} to "
                f"{TIMEOUT_S_MAX:g}"
            )
        if self.brokers not in (1, BROKERS_MAX):
            raise ValueError(f"brokers {self.brokers} is neither 1 nor {BROKERS_MAX}")
        if self.taskmanagers > self.parallelism:
            raise ValueError(
                f"parallelism {self.parallelism} has no work for {self.taskmanagers} taskmanagers: "
                f"choose --parallelism {self.taskmanagers}, or fewer --taskmanagers"
            )
        needed = math.ceil(self.parallelism / self.task_slots)
        if needed < self.taskmanagers:
            raise ValueError(
                f"parallelism {self.parallelism} has {self.task_slots} tasks for each of {needed} "
                f"taskmanagers, and none for more: choose --taskmanagers {needed}, or "
                f"--parallelism {self.taskmanagers * self.task_slots}"
            )
        shortest, longest = CHECKPOINT_INTERVAL_S_MIN, CHECKPOINT_INTERVAL_S_MAX
        if not shortest <= self.checkpoint_interval_s <= longest:
            raise ValueError(
                f"a checkpoint each {self.checkpoint_interval_s:g} s is not in {shortest:g} to "
                f"{longest:g}"
            )
        if min(self.heaps) < HEAP_MIB_MIN:
            raise ValueError(f"a heap of {min(self.heaps)} MiB is less than {HEAP_MIB_MIN}")

    def check_clusters(self, bootstrap_servers: str | None, flink_rest: str | None) -> None:
        """`check_clusters` raises `StackError` when the options don't fit the clusters that exist;
        None stands for one of a stack's own."""
        for cluster, variable, number, option in (
            (bootstrap_servers, "KAFKA_BOOTSTRAP_SERVERS", self.brokers, "--brokers"),
            (flink_rest, "FLINK_REST", self.taskmanagers, "--taskmanagers"),
        ):
            if cluster and number > 1:
                raise StackError(
                    f"{option} is for a stack's own cluster, and {variable} names one that exists: "
                    "leave one of them out"
                )
        if not bootstrap_servers and KafkaSecurity.read() != KafkaSecurity():
            raise StackError(
                "KAFKA_SECURITY_PROTOCOL is set, and KAFKA_BOOTSTRAP_SERVERS is not: "
                "a stack's own broker listens on loopback, without TLS or SASL"
            )
        if flink_rest is None:
            self.check_slots()

    def check_slots(self) -> None:
        """`check_slots` raises `StackError` when a stack's own Flink would have too few slots for
        the tasks."""
        least = math.ceil(self.parallelism / TASK_SLOTS)
        if self.taskmanagers < least:
            raise StackError(
                f"parallelism {self.parallelism} is more than {TASK_SLOTS} task slots of each "
                f"TaskManager: choose --taskmanagers {least} or more"
            )

    @property
    def topics_mib(self) -> int:
        """`topics_mib` returns to how much the input topics grow on a stack's own brokers, whose
        disk is one: each has a copy, a segment that is written beside those that are kept, and
        indexes of all."""
        kept_mib = self.brokers * len(catalog().services) * self.topic_mib
        log_mib = kept_mib + kept_mib // TOPIC_SEGMENTS
        entry_bytes = INDEX_OFFSET_BYTES + INDEX_TIME_BYTES
        return log_mib + math.ceil(log_mib * entry_bytes / INDEX_INTERVAL_BYTES)

    @property
    def known_task_mib(self) -> int:
        """`known_task_mib` returns how much of its state each task has packed in memory."""
        return math.ceil(self.known_mib / math.ceil(self.parallelism / self.taskmanagers))

    @property
    def task_slots(self) -> int:
        """`task_slots` returns how many slots each TaskManager of a stack's own Flink has."""
        return task_slots(self.parallelism, self.taskmanagers)

    def rescaled(self, parallelism: int, taskmanagers: int | None) -> "StackOptions":
        """`rescaled` returns options with so many tasks and TaskManagers, None for as many as there
        are and no more than tasks. It raises `RescaleError` where that can't be."""
        count = taskmanagers or min(parallelism, self.taskmanagers)
        try:
            options = replace(self, parallelism=parallelism, taskmanagers=count)
            options.check_slots()
        except (ValueError, StackError) as cause:
            raise RescaleError(str(cause)) from None
        return options

    def made_with(self, bootstrap_servers: str | None, flink_rest: str | None) -> dict[str, str]:
        """`made_with` returns what the data of a stack depends on, as words; None stands for a
        cluster of its own."""
        _, _, kafka = jars.SETS["kafka"][0].split(":")
        return {
            "Kafka": f"at {bootstrap_servers}" if bootstrap_servers else kafka,
            **({} if bootstrap_servers else {"brokers": str(self.brokers)}),
            "Flink": f"at {flink_rest}" if flink_rest else version("apache-flink"),
            "services": ", ".join(self.services),
            "topic prefix": self.topic_prefix or "none",
            "execution mode": self.execution_mode,
            **({} if self.window_s == WINDOW_S else {"window": f"{self.window_s} s"}),
            **({"state": self.state_backend} if self.state_backend == "hashmap" else {}),
        }
