"""Kafka and Flink have all their settings here, on this machine and in the containers.

Sizes are in MiB, durations as Flink and Kafka write them. What is not here is at its default.
"""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from system.wire import OF_THE_LOG, TIMES

KAFKA_HEAP_MIB = 512
"""A broker for one machine needs no more; topics are in the page cache, not in the heap."""
JOBMANAGER_HEAP_MIB = 512
"""One job of a few tasks needs no more, with a checkpoint each few seconds."""
TASKMANAGER_HEAP_MIB = 1024
"""The heap holds the records under way; the state is outside it, in RocksDB."""
HEAP_MIB_MIN = 192
"""A smaller heap does not even start: Flink's own use of the TaskManager's heap is 128 MiB."""

TASKMANAGER_FRAMEWORK_HEAP_MIB = 128
"""This part of the heap above is Flink's default for its own use."""

DIRECT_MIB = 256
"""The TaskManager has this much off-heap memory besides its network memory: half framework, half
tasks."""

NETWORK_MIB = 64
"""The network memory is 2,048 buffers of 32 KiB between tasks: ample for six services at
parallelism 4."""

MANAGED_MIB = 256
"""RocksDB's caches have this, and, in process mode, Python worker processes."""

METASPACE_MIB = 256
"""The classes of Flink and the job take up to this much, in JobManager and TaskManager each."""

OVERHEAD_MIB = 256
"""Flink's containers add this for threads, code cache and, in thread mode, Python."""

KNOWN_MIB = 384
"""A TaskManager's tasks together have so much of their state packed in Python's memory, besides all
of the above: a million users, or a third as many that have 15 steps each."""

KNOWN_MIB_MAX = 64 * 1024
"""They have at most so much, which is 64 GiB."""

MALLOC_ARENAS = 2
"""glibc's malloc has so many arenas in Flink's processes, not eight a core: what RocksDB takes and
gives back leaves holes in each of them (FLINK-19125)."""

GC_LOG_MIB = 1
"""Each JVM's log of its pauses has at most this size, and as much of the one before: some ten
thousand pauses."""

CHECKPOINT_INTERVAL_S = 5.0
"""The job handles at most this much again after a crash: some seconds of records, which takes less
time than to notice the crash. Each checkpoint delays the requests under way by tens of
milliseconds."""

CHECKPOINT_INTERVAL_S_MIN = 0.1
"""The job would do little else with a shorter interval."""

CHECKPOINT_INTERVAL_S_MAX = 300.0
"""A longer interval won't do: what is handled again after a crash would be more than five minutes
of load."""

TASK_SLOTS = 4
"""A TaskManager alone has so many slots: the highest parallelism of the job there."""
KNOWN_TASK_MIB = KNOWN_MIB // TASK_SLOTS
"""A task of which nothing is said has so much of it: each slot of a TaskManager may have one."""
TASKMANAGERS_MAX = 16
"""A stack has at most so many TaskManagers: each takes a core and two gigabytes, and more are for a
Flink on several machines."""
PARALLELISM_MAX = TASK_SLOTS * TASKMANAGERS_MAX
"""The job has at most so many tasks of a kind: what the most TaskManagers have slots for."""
KEY_GROUPS = 128
"""The keys are in so many groups, each of which one task has as a whole. State that was written
with another number can't be read, so it stays; it is Flink's own choice up to parallelism 85."""
PARTITIONS_MAX = PARALLELISM_MAX
"""An input topic has at most so many partitions: more than tasks would have nobody to read them
sooner."""
BROKERS_MAX = 3
"""A stack has one broker or three: with three each topic has three copies, and any one broker may
be lost. Two survive no more than one does."""
GATEWAYS_MAX = 8
"""A stack has at most so many gateways, each at a port of its own; more are `--workers`, which
share one."""

TOPIC_MIB = 256
"""An input topic keeps the newest records of so many MiB, in all its partitions together however
old they are: 800,000 of 300 bytes. What no checkpoint covers must be there when Flink comes back,
and no clock may say that it is too old."""
TOPIC_MIB_MIN = 16
"""A topic has at least so many MiB: less would be some seconds of load."""
TOPIC_MIB_MAX = 1024 * 1024
"""A topic has at most so many MiB, which is a TiB."""
SEGMENT_BYTES_MIN = 1024**2
"""Kafka takes no smaller segment."""
SEGMENT_BYTES_MAX = 1024**3
"""A segment is no larger than Kafka's own default."""
INDEX_INTERVAL_BYTES = 256
"""A segment's index has an entry after so many bytes of records, so one for nearly each batch: a
fetch looks for its offset from the last entry before it on, batch by batch, with a read of the
file each. Kafka's own choice is 4 KiB."""
INDEX_OFFSET_BYTES, INDEX_TIME_BYTES = 8, 12
"""An entry takes so much in the index of offsets, and in that of times."""
INDEX_BYTES_DEFAULT = 10 * 1024**2
"""Each index of a segment has at most so many bytes, where nobody says otherwise, and a segment
whose index is full is followed by another one."""
TOPIC_SEGMENTS = 8
"""A partition has so many segments, and the one that is written: Kafka removes whole ones only."""


def topic_config(topic_mib: int, partitions: int) -> dict[str, str]:
    """`topic_config` returns the configuration of an input topic."""
    partition_bytes = topic_mib * 1024**2 // partitions
    segment_bytes = min(
        max(partition_bytes // TOPIC_SEGMENTS, SEGMENT_BYTES_MIN), SEGMENT_BYTES_MAX
    )
    index_bytes = segment_bytes // INDEX_INTERVAL_BYTES * INDEX_TIME_BYTES
    large = {"segment.index.bytes": str(index_bytes)} if index_bytes > INDEX_BYTES_DEFAULT else {}
    return {
        "retention.ms": "-1",
        "retention.bytes": str(partition_bytes),
        "segment.bytes": str(segment_bytes),
        **large,
        TIMES: OF_THE_LOG,
    }


DEAD_TOPIC = {
    # Somebody has to look at them: the newest stay for good, but no disk full of them.
    "retention.ms": "-1",
    "retention.bytes": str(64 * 1024 * 1024),
    "segment.bytes": str(16 * 1024 * 1024),
    TIMES: OF_THE_LOG,
}
"""Each topic of records that can't be handled has this configuration."""

KAFKA = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    # A topic comes into being by intent: a reply to a sink that does not exist must fail.
    "auto.create.topics.enable": "false",
    "num.partitions": "1",
    # One broker has no second one to replicate to.
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Its default, 50 partitions, would be 50 folders to make at start.
    "offsets.topic.num.partitions": "1",
    # Wait for no more members before the first assignment: start-up time.
    "group.initial.rebalance.delay.ms": "0",
    # The wire format allows records of 64 KiB; batches of them stay below this.
    "message.max.bytes": str(1024 * 1024),
    "num.network.threads": "2",
    "num.io.threads": "4",
    "log.retention.ms": "600000",
    "log.retention.check.interval.ms": "30000",
    "log.segment.bytes": str(128 * 1024 * 1024),
    "log.index.interval.bytes": str(INDEX_INTERVAL_BYTES),
}
"""The broker is in KRaft's combined mode: one process is broker and controller."""

KAFKA_REPLICATED = {
    "default.replication.factor": str(BROKERS_MAX),
    # Acknowledged is what two of three have: it is still there when any one of them is lost.
    "min.insync.replicas": str(BROKERS_MAX - 1),
    "offsets.topic.replication.factor": str(BROKERS_MAX),
    "transaction.state.log.replication.factor": str(BROKERS_MAX),
    "transaction.state.log.min.isr": str(BROKERS_MAX - 1),
    "share.coordinator.state.topic.replication.factor": str(BROKERS_MAX),
    "share.coordinator.state.topic.min.isr": str(BROKERS_MAX - 1),
    # A write waits for the copy of a dead broker until it counts as dead: 4 s instead of 9.
    "broker.heartbeat.interval.ms": "1000",
    "broker.session.timeout.ms": "4000",
}
"""Each of three brokers has these settings too."""

FLINK: dict[str, str | int] = {
    # A dead TaskManager is noticed after 4 s instead of 50, which bounds the time to recovery.
    "heartbeat.interval": "1 s",
    "heartbeat.timeout": "4 s",
    # A TaskManager that asks for its JobManager before that listens asks again after 0.5 s, not 10,
    # and one whose question was lost after 1 s, not 30.
    "cluster.registration.error-delay": "500 ms",
    "cluster.registration.refused-registration-delay": "500 ms",
    "cluster.registration.max-timeout": "1 s",
    # How old may be what it tells who measures; nothing is gathered unless somebody asks.
    "metrics.fetcher.update-interval": "1 s",
    "web.refresh-interval": "1 s",
    # Whoever reaches the page may look, and run nothing.
    "web.submit.enable": "false",
    "web.cancel.enable": "false",
    "taskmanager.numberOfTaskSlots": TASK_SLOTS,
    # Fifteen minutes of remembered steps outgrow a heap, and a heap's snapshot is a whole copy each
    # second: measured, a fifth of a core after two minutes. Price: 6 % of find_user's throughput.
    "state.backend.type": "rocksdb",
    # Each checkpoint is a new file. Nearly every request looks up a step that was never seen: a
    # bloom filter says so without reading them. Few large compactions instead of many small ones.
    "state.backend.rocksdb.use-bloom-filter": "true",
    "state.backend.rocksdb.compaction.style": "UNIVERSAL",
    # A file's index and filter are read as parts, not as a whole megabyte each time that the cache
    # has lost it: of 600,000 users 654 a second were found without, and 19,732 with it.
    "state.backend.rocksdb.memory.partitioned-index-filters": "true",
    # All tasks wait while a checkpoint writes its files, so these are not compressed. What they are
    # merged into is, in the background.
    "state.backend.rocksdb.compression.per.level": "NO_COMPRESSION;SNAPPY_COMPRESSION",
    "execution.checkpointing.incremental": "true",
    "execution.checkpointing.storage": "filesystem",
    # The TaskManager is started without Flink's scripts, which would work these out.
    "taskmanager.cpu.cores": TASK_SLOTS,
    "taskmanager.memory.framework.heap.size": f"{TASKMANAGER_FRAMEWORK_HEAP_MIB}m",
    "taskmanager.memory.framework.off-heap.size": f"{DIRECT_MIB // 2}m",
    "taskmanager.memory.task.off-heap.size": f"{DIRECT_MIB // 2}m",
    "taskmanager.memory.network.min": f"{NETWORK_MIB}m",
    "taskmanager.memory.network.max": f"{NETWORK_MIB}m",
    "taskmanager.memory.managed.size": f"{MANAGED_MIB}m",
    "taskmanager.memory.jvm-overhead.min": f"{OVERHEAD_MIB + KNOWN_MIB}m",
    "taskmanager.memory.jvm-overhead.max": f"{OVERHEAD_MIB + KNOWN_MIB}m",
    "taskmanager.memory.jvm-metaspace.size": f"{METASPACE_MIB}m",
    "jobmanager.memory.jvm-metaspace.size": f"{METASPACE_MIB}m",
}
"""Flink's configuration at the cluster's level is here; `system.flink_job.pipeline` sets what is
the job's."""

_OPENED = (
    "lang lang.reflect net io nio text time util util.concurrent util.concurrent.atomic "
    "util.concurrent.locks"
)

FLINK_JVM = (
    # Flink reaches into the JDK for serialization and unloading of job classes.
    "--add-exports=java.rmi/sun.rmi.registry=ALL-UNNAMED",
    "--add-exports=java.security.jgss/sun.security.krb5=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    *(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in _OPENED.split()),
    # Ten seconds by default, which a crowded machine needs: the start's own limits end what hangs.
    # Flink's own setting for it, pekko.startup-timeout, goes where Pekko 1.x does not look.
    "-Dpekko.remote.classic.startup-timeout=120s",
    # Each JVM has two schedulers, which wake up 100 times a second by default: a fifth of what the
    # stack took at rest. What they end or try again may do so a tenth of a second later.
    "-Dpekko.scheduler.tick-duration=100ms",
)

SHORT_LIVED_JVM = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
"""JVMs off the path of requests take this: less CPU for compiling and collecting while others
start."""

TASKMANAGER_JVM = ("-XX:+UseG1GC",)

KAFKA_JVM = (
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-Djava.awt.headless=true",
)


def gc_log_option(file: Path) -> str:
    """`gc_log_option` logs each pause. The decorator is System.nanoTime(), on Linux the monotonic
    clock."""
    return f'-Xlog:gc:file="{file}":timenanos:filecount=1,filesize={GC_LOG_MIB}m'


LOG4J = """\
rootLogger.level = INFO
rootLogger.appenderRef.console.ref = console
appender.console.name = console
appender.console.type = CONSOLE
appender.console.target = SYSTEM_ERR
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{HH:mm:ss,SSS} %-5p %c{1} - %m%n
# It logs all of its environment, of which secrets may be a part.
logger.environment.name = org.apache.flink.client.python.PythonEnvUtils
logger.environment.level = WARN
"""
"""Every JVM logs to its standard error, which is the log file that the supervisor opened."""


class Heaps(NamedTuple):
    """The heaps have these sizes in MiB."""

    kafka: int = KAFKA_HEAP_MIB
    jobmanager: int = JOBMANAGER_HEAP_MIB
    taskmanager: int = TASKMANAGER_HEAP_MIB

    def total_bytes(self, brokers: int = 1, taskmanagers: int = 1) -> int:
        mib = brokers * self.kafka + self.jobmanager + taskmanagers * self.taskmanager
        return mib * 1024 * 1024


def kafka_properties(
    broker: tuple[str, int],
    controller: tuple[str, int],
    log_dir: str,
    bind_host: str | None = None,
    node_id: int = 1,
    controllers: Sequence[tuple[str, int]] = (),
) -> dict[str, str]:
    """`kafka_properties` returns the broker's ``server.properties``; the two addresses are those
    that it advertises.

    `controllers` are the addresses of all controllers of several brokers, whose `node_id` count
    from 1. They are named here and not in the brokers' data, so that they may be others at the
    next start.
    """
    bind_broker, bind_controller = bind_host or broker[0], bind_host or controller[0]
    quorum = {"controller.quorum.bootstrap.servers": f"{controller[0]}:{controller[1]}"}
    if controllers:
        voters = (f"{node}@{host}:{port}" for node, (host, port) in enumerate(controllers, 1))
        quorum = {"controller.quorum.voters": ",".join(voters)}
    return {
        **KAFKA,
        **(KAFKA_REPLICATED if controllers else {}),
        "node.id": str(node_id),
        "listeners": (
            f"PLAINTEXT://{bind_broker}:{broker[1]},CONTROLLER://{bind_controller}:{controller[1]}"
        ),
        "advertised.listeners": (
            f"PLAINTEXT://{broker[0]}:{broker[1]},CONTROLLER://{controller[0]}:{controller[1]}"
        ),
        **quorum,
        "log.dirs": log_dir,
    }


def flink_configuration(
    jobmanager: tuple[str, int],
    rest: tuple[str, int],
    taskmanager_host: str | None,
    checkpoint_uri: str,
    heaps: Heaps,
    bind_host: str | None = None,
) -> dict[str, str | int]:
    """`flink_configuration` returns ``config.yaml`` of JobManager, TaskManagers and client.

    The addresses are those under which others reach them; `taskmanager_host` None leaves it to
    the TaskManager to find its own.
    """
    return {
        **FLINK,
        "jobmanager.rpc.address": jobmanager[0],
        "jobmanager.rpc.port": jobmanager[1],
        "jobmanager.bind-host": bind_host or jobmanager[0],
        "jobmanager.memory.heap.size": f"{heaps.jobmanager}m",
        "rest.address": rest[0],
        "rest.port": rest[1],
        "rest.bind-address": bind_host or rest[0],
        "rest.bind-port": str(rest[1]),
        # Only its own page may ask from a browser; Flink's default is any.
        "web.access-control-allow-origin": f"http://{rest[0]}:{rest[1]}",
        **({"taskmanager.host": taskmanager_host} if taskmanager_host else {}),
        "taskmanager.bind-host": bind_host or taskmanager_host or "0.0.0.0",
        "taskmanager.memory.task.heap.size": (
            f"{heaps.taskmanager - TASKMANAGER_FRAMEWORK_HEAP_MIB}m"
        ),
        "execution.checkpointing.dir": checkpoint_uri,
        "env.java.opts.all": " ".join(FLINK_JVM),
    }


def task_slots(parallelism: int, taskmanagers: int) -> int:
    """`task_slots` returns how many slots each TaskManager has.

    Several have no more than they need: so each gets its share of the tasks, whichever of them
    comes first after a crash.
    """
    return TASK_SLOTS if taskmanagers == 1 else math.ceil(parallelism / taskmanagers)


def file_uri(path: Path) -> str:
    """`file_uri` returns the URI of a file as Flink reads it: its `Path` takes no escapes, and
    would name another file by them."""
    return f"file://{path}"


def render_properties(settings: dict[str, str]) -> str:
    """`render_properties` returns Java's ``.properties`` format, which is ASCII, for values without
    line ends and backslashes."""
    text = "".join(f"{key}={value}\n" for key, value in settings.items())
    return "".join(each if each.isascii() else _escaped(each) for each in text)


def _escaped(character: str) -> str:
    units = character.encode("utf-16-be")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def render_yaml(settings: dict[str, str | int]) -> str:
    """`render_yaml` returns flat YAML; a JSON scalar is a YAML scalar."""
    return "".join(f"{key}: {json.dumps(value)}\n" for key, value in settings.items())
