"""The pipeline hosts services in one Flink job.

    all {service}_in ─source→ InputRecord ─→ HostOperator ─→ Outbox ─→ the record's topic

One pipeline for all services: each one more would poll, flush and checkpoint by itself. A job may
host a part of them. All Python of a TaskManager shares one interpreter lock, so a record goes
through Python once: its key and its topic are looked at in Java.

    python -m system.flink_job.pipeline --bootstrap H:P --rest H:P --connector-jars A.jar,B.jar

submits the job to a cluster. Without ``--rest`` it is the program of an application cluster, which
the JobManager itself runs. Without ``--connector-jars`` the cluster has the connector, and this
project's own Java (`system.runtime.own_jars`), on its classpath.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from pyflink.common import Configuration, Types, WatermarkStrategy
from pyflink.datastream import DataStream, KeyedStream, StreamExecutionEnvironment
from pyflink.datastream.connectors.base import Sink
from pyflink.datastream.connectors.kafka import KafkaOffsetsInitializer, KafkaSource
from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import get_j_env_configuration, to_jarray

from machine.arguments import real, whole
from machine.errors import EXIT_CODE
from system.catalog import CatalogError, catalog
from system.flink_job.batches import configured
from system.flink_job.java_sources import compile_java
from system.flink_job.process_mode import HostFunction
from system.kafka_security import KafkaSecurity
from system.runtime.data_folder import form_of
from system.runtime.settings import (
    CHECKPOINT_INTERVAL_S,
    CHECKPOINT_INTERVAL_S_MAX,
    CHECKPOINT_INTERVAL_S_MIN,
    KEY_GROUPS,
    KNOWN_MIB_MAX,
    KNOWN_TASK_MIB,
)
from system.service import WINDOW_S, WINDOW_S_MAX, WINDOW_S_MIN, Window
from system.wire import TIMEOUT_S, TIMEOUT_S_MAX, TIMEOUT_S_MIN, dead_topic, input_topic

WAIT_S = 0.05
"""A job that waits for a file looks for it this often."""
BATCH_RECORDS_MAX = 256
"""Python takes at most so many records in one call, some milliseconds of work: then others may have
its lock, and a checkpoint may begin."""
BATCH_BYTES_MAX = 1024 * 1024
"""A batch is handed to Python once its frames have so many bytes together: a topic takes records of
1 MiB, and they are in the heap."""
CHECKPOINT_TIMEOUT_MS = 60_000
"""A checkpoint that takes longer is given up; ten may fail in a row."""
RESTART_DELAY_MS_MAX = 5_000
"""A failing job is tried again without end, after at most this pause."""
METADATA_BACKOFF = {"retry.backoff.ms": "50", "retry.backoff.max.ms": "50"}
"""Kafka's producer asks for a topic that was deleted until it was idle for five minutes, with this
pause between, less or more by a fifth. It draws that chance twice, in `NetworkClient`'s
`isUpdateDue` and `maybeUpdate`: in between it sends nothing, to no topic. With Kafka's own pause, a
second, that is up to 0.2 s each time."""


def add_pipeline(environment: StreamExecutionEnvironment, arguments: argparse.Namespace) -> None:
    """`add_pipeline` joins source, host and sink. Python has no name for Java's deserializers that
    see a key, and Flink's own sink is not for topics that may be missing."""
    jvm = get_gateway().jvm
    topics = [arguments.topic_prefix + input_topic(name) for name in arguments.services]
    records = jvm.kaflinkshop.InputRecord(arguments.bootstrap, arguments.topic_prefix)
    for topic in topics:
        records.read(topic)
    source = (
        KafkaSource.builder()
        .set_bootstrap_servers(arguments.bootstrap)
        .set_topics(*topics)
        .set_group_id(arguments.job_name)
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_property("fetch.min.bytes", "1")
    )
    outbox = jvm.kaflinkshop.Outbox(arguments.bootstrap, arguments.topic_prefix)
    outbox.set("linger.ms", "0")
    # What comes while a batch is under way becomes the next one: larger batches under load, and no
    # waiting without.
    outbox.set("max.in.flight.requests.per.connection", "1")
    for name, value in METADATA_BACKOFF.items():
        outbox.set(name, value)
    for name, value in KafkaSecurity.read().properties().items():
        source.set_property(name, value)
        records.set(name, value)
        outbox.set(name, value)
    source._j_builder.setDeserializer(records)
    for name in catalog().services:
        outbox.require(input_topic(name)).own(dead_topic(input_topic(name)))
    stream = environment.from_source(source.build(), WatermarkStrategy.no_watermarks(), "requests")
    (
        hosted(keyed(stream.uid("requests")), arguments)
        .name("services")
        .uid(f"services, {form_of(arguments.execution_mode, arguments.window_s)}")
        .sink_to(Sink(outbox))
        .name("outbox")
        .uid("outbox")
    )


def hosted(records: KeyedStream, arguments: argparse.Namespace) -> DataStream:
    """`hosted` returns what the services send."""
    window = Window(arguments.window_s * 1000, round(arguments.timeout_s * 1000))
    frame = Types.PRIMITIVE_ARRAY(Types.BYTE())
    known_bytes_max = arguments.known_task_mib * 1024 * 1024
    told = (arguments.services, window, arguments.topic_prefix, known_bytes_max)
    if arguments.execution_mode == "process":
        function = HostFunction(*told)
        return records.process(function, output_type=frame)
    jvm = get_gateway().jvm
    operator = jvm.kaflinkshop.HostOperator(
        jvm.org.apache.flink.configuration.Configuration(),
        configured(*told),
        BATCH_RECORDS_MAX,
        BATCH_BYTES_MAX,
    )
    stream = records._j_data_stream
    return DataStream(stream.transform("services", frame.get_java_type_info(), operator))


def keyed(records: DataStream) -> KeyedStream:
    """`keyed` returns the stream, keyed by its rows' first field.

    With one task a service no key has to go anywhere else, and the source hands its records on
    without a network buffer between.
    """
    jvm = get_gateway().jvm
    key_type = Types.ROW([Types.STRING()]).get_java_type_info()
    stream, selector = records._j_data_stream, jvm.KeyByKeySelector()
    if stream.getExecutionEnvironment().getParallelism() == 1:
        utils = jvm.org.apache.flink.streaming.api.datastream.DataStreamUtils
        by_key = utils.reinterpretAsKeyedStream(stream, selector, key_type)
    else:
        by_key = stream.keyBy(selector, key_type)
    return KeyedStream(by_key, records.get_type(), records)


def environment_of(arguments: argparse.Namespace) -> StreamExecutionEnvironment:
    """PyFlink's own factory runs the job in the client's JVM unless Flink started the program;
    Java's for a remote cluster needs no script of Flink's."""
    configuration = Configuration()
    for name, value in job_settings(arguments).items():
        configuration.set_string(name, value)
    if arguments.rest is None:
        environment = StreamExecutionEnvironment.get_execution_environment(configuration)
    else:
        host, _, port = arguments.rest.rpartition(":")
        gateway = get_gateway()
        java_environment = gateway.jvm.org.apache.flink.streaming.api.environment
        environment = StreamExecutionEnvironment(
            java_environment.StreamExecutionEnvironment.createRemoteEnvironment(
                host, int(port), configuration._j_configuration, to_jarray(gateway.jvm.String, [])
            )
        )
    return environment


def ship_nothing(environment: StreamExecutionEnvironment) -> None:
    """`ship_nothing` takes from the job the jar that PyFlink's driver names, its own, which the
    cluster has: with any jar, the job of another JobManager is another one for a TaskManager."""
    own = get_j_env_configuration(environment._j_stream_execution_environment)
    own.removeConfig(get_gateway().jvm.org.apache.flink.configuration.PipelineOptions.JARS)


def ship(environment: StreamExecutionEnvironment, connector_jars: str, folder: Path) -> None:
    """`ship` has the job bring the connector and this project's own Java, which it compiles in that
    folder."""
    environment.add_jars(*(Path(jar).resolve().as_uri() for jar in connector_jars.split(",")))
    own = folder / "kaflinkshop.jar"
    compile_java(Path(__file__).parent.glob("*.java"), own, {})
    environment.add_jars(own.as_uri())


def job_settings(arguments: argparse.Namespace) -> dict[str, str]:
    """These settings hold on whatever cluster the job runs; the cluster's own is
    `system.runtime`'s.

    In process mode PyFlink collects records for its workers, at most for this bundle time; thread
    mode waits for none, and it would only have every task wake up each millisecond.
    """
    mode = arguments.execution_mode
    chosen = {
        "$internal.pipeline.job-id": arguments.job_id,
        "execution.state-recovery.path": arguments.savepoint,
        "state.backend.type": arguments.state_backend,
    }
    bundle = {"python.fn-execution.bundle.time": "1"} if mode == "process" else {}
    interval_ms = round(arguments.checkpoint_interval_s * 1000)
    return {
        **bundle,
        **{name: value for name, value in chosen.items() if value is not None},
        "pipeline.object-reuse": "true",
        "state.backend.rocksdb.options-factory": "kaflinkshop.StateOptions",
        "parallelism.default": str(arguments.parallelism),
        "pipeline.max-parallelism": str(KEY_GROUPS),
        "execution.buffer-timeout.interval": "0 ms",
        "execution.checkpointing.interval": f"{interval_ms} ms",
        "execution.checkpointing.timeout": f"{CHECKPOINT_TIMEOUT_MS} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        # What a JobManager that died leaves is what its successor begins from.
        "execution.checkpointing.externalized-checkpoint-retention": "RETAIN_ON_CANCELLATION",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "100 ms",
        "restart-strategy.exponential-delay.max-backoff": f"{RESTART_DELAY_MS_MAX} ms",
        "python.execution-mode": mode,
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }


def parse_arguments(argv: list[str] | None, hosted: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m system.flink_job.pipeline", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--bootstrap", required=True, help="Kafka's HOST:PORT, as Flink sees it")
    parser.add_argument("--rest", help="a JobManager's REST HOST:PORT, to submit the job to")
    parser.add_argument("--services", default=",".join(hosted),
                        help="a comma-separated subset")  # fmt: skip
    parser.add_argument("--execution-mode", choices=("thread", "process"), default="thread")
    parser.add_argument("--parallelism", type=int, default=1)
    parser.add_argument(
        "--known-task-mib",
        type=whole("MiB", KNOWN_MIB_MAX, 0),
        default=KNOWN_TASK_MIB,
        help="each task has so much of its state packed in Python's memory (default: %(default)s)",
    )
    parser.add_argument("--connector-jars", help="comma-separated paths, for the job to bring")
    interval_s = real(CHECKPOINT_INTERVAL_S_MAX, CHECKPOINT_INTERVAL_S_MIN)
    parser.add_argument(
        "--checkpoint-interval-s",
        type=interval_s,
        default=CHECKPOINT_INTERVAL_S,
        help="after a crash at most so much is handled again (default: %(default)s)",
    )
    parser.add_argument("--state-backend", choices=("rocksdb", "hashmap"),
                        help="default: the cluster's own")  # fmt: skip
    parser.add_argument(
        "--window-s",
        type=whole("seconds", WINDOW_S_MAX, WINDOW_S_MIN),
        default=WINDOW_S,
        help="how long a request may be sent again (default: %(default)s)",
    )
    parser.add_argument(
        "--timeout-s",
        type=real(TIMEOUT_S_MAX, TIMEOUT_S_MIN),
        default=TIMEOUT_S,
        help="the gateways wait so long for a reply (default: %(default)s)",
    )
    parser.add_argument("--topic-prefix", default="", help="of the system's own topics")
    parser.add_argument("--job-name", default="kaflinkshop")
    parser.add_argument("--job-id", help="32 hexadecimal digits; with --rest")
    parser.add_argument("--savepoint", help="a savepoint or checkpoint to begin from; with --rest")
    parser.add_argument("--when-exists", type=Path, help="a file to wait for before the job runs")
    arguments = parser.parse_args(argv)
    arguments.services = arguments.services.split(",")
    for name in arguments.services:
        if name not in hosted:
            parser.error(f"no service {name!r}; there are {', '.join(hosted)}")
    return arguments


def main(argv: list[str] | None = None) -> int:
    try:
        arguments = parse_arguments(argv, catalog().services)
    except CatalogError as cause:
        print(f"error: {cause}", file=sys.stderr)
        return EXIT_CODE
    environment = environment_of(arguments)
    with TemporaryDirectory() as folder:
        if arguments.connector_jars:
            ship(environment, arguments.connector_jars, Path(folder))
        else:
            ship_nothing(environment)
        add_pipeline(environment, arguments)
        while arguments.when_exists and not arguments.when_exists.exists():
            time.sleep(WAIT_S)
        job = environment.execute_async(arguments.job_name)
    print(json.dumps({"job_id": str(job.get_job_id())}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
