"""Hosts services in one Flink job; the only module that imports PyFlink.

    {service}_in ─source→ KeyedRecord ─→ Host(service) ─→ RoutedRecord ─sink→ the record's topic

A pipeline a service, so that each has its own state and can be deployed in a job of its own. All
Python of a TaskManager shares one interpreter lock, so a record goes through Python once: its key
and its topic are looked at in Java.

    python -m system.flink_job.pipeline --bootstrap H:P --rest H:P --connector-jars A.jar,B.jar
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZipFile

import orjson
from pyflink.common import Configuration, Types, WatermarkStrategy
from pyflink.datastream import (
    DataStream,
    KeyedProcessFunction,
    KeyedStream,
    RuntimeContext,
    StreamExecutionEnvironment,
    TimerService,
)
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor
from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import to_jarray

from system.flink_job.state_cache import Knowledge, Known, Read
from system.routes import SERVICES
from system.services.service import Record, Service, handle, refuse_malformed, ring
from system.wire import (
    Request,
    Trace,
    WireError,
    decode_request,
    input_topic,
    with_trace,
)

MEMORY_S = 15 * 60
"""How long a step is remembered at least (at most twice as long), and so how late it may be sent
again: longer than any outage of a service that is deployed on its own."""

MEMORY_STEPS_MAX = 10_000
"""Steps remembered for one entity; at more, the older half is forgotten."""

CHECKPOINT_INTERVAL_MS = 1_000
"""At most this much is handled again after a crash."""
CHECKPOINT_TIMEOUT_MS = 60_000
"""A checkpoint that takes longer is given up; ten may fail in a row."""
RESTART_DELAY_MS_MAX = 5_000
"""Between restarts of a failing job, which are tried without end."""

TIME_DIGITS = 20
"""Of nanoseconds since 1970; sorts as text."""

MALFORMED = ""
"""The key of records that name no entity: they have no state."""


def load(name: str) -> Service:
    """The service of `system.services.<name>`, which stands there as <NAME>."""
    module = importlib.import_module(f"system.services.{name}")
    service = getattr(module, name.upper())
    assert isinstance(service, Service)
    return service


def key_of(service: Service, request: Request) -> Any:
    """What the service's key parameter says of the entity that a request is for."""
    if service.key == "request_id":
        return request.request_id
    return request.params.get(service.key)


class Host(KeyedProcessFunction):  # type: ignore[misc]
    """Keeps what a service's pure methods return, and sends what they send.

    State of a key: the entity with the time of its alarm, as one value; its remembered steps, as a
    map, whose values begin with the digits of their time. Both are strings: PyFlink hands arrays of
    bytes to Java one byte at a time. Reads were the larger half of a task's time, so it keeps what
    it knows of keys beside Flink's state; a task that fails is made anew, and knows nothing.

    Steps are forgotten by a timer of their key. PyFlink starts a second JVM in the TaskManager to
    configure Flink's own time-to-live, which on heap state looks at other keys' maps as well.
    """

    def __init__(self, service: str) -> None:
        self.name = service

    def open(self, context: RuntimeContext) -> None:
        self.service = load(self.name)
        self.malformed = context.get_metrics_group().counter("malformed_records")
        if self.service.stateless:
            return
        self.steps_of: dict[str, int] = {}
        """For each key with a timer to forget by: how many steps came since the last time."""
        self.memory = context.get_map_state(
            MapStateDescriptor("memory", Types.STRING(), Types.STRING())
        )
        self.entity = context.get_state(ValueStateDescriptor("entity", Types.STRING()))
        self.knowledge = Knowledge()

    def process_element(
        self, value: bytes, context: KeyedProcessFunction.Context
    ) -> Iterator[bytes]:
        in_ns = time.time_ns()
        named, _, record = value.partition(b"\n")
        try:
            request = decode_request(record)
        except WireError:
            self.malformed.inc()
            return
        key = named.decode()
        if key == MALFORMED or key != key_of(self.service, request):
            self.malformed.inc()
            records = refuse_malformed(request)
        elif self.service.stateless:
            records = handle(self.service, None, no_memory, request).records
        else:
            records = self.handle(key, request, context.timer_service())
        for sent in records:
            if request.trace is not None:
                sent = with_hop(sent, request.trace, self.name, in_ns)
            yield routed(sent)

    def handle(self, key: str, request: Request, timers: TimerService) -> list[Record]:
        known = self.known(key)
        was = known.entity

        def recall(step: str) -> bytes | None:
            return None if self.knowledge.lacks(key, step) else self.recall(step)

        effect = handle(self.service, was, recall, request)
        known.entity = effect.entity
        if effect.wake_after_s is not None:
            known.wake_at_ms = timers.current_processing_time() + int(effect.wake_after_s * 1000)
            timers.register_processing_time_timer(known.wake_at_ms)
        if effect.entity is None:
            known.wake_at_ms = 0
            if was is not None:
                self.entity.clear()
        elif effect.entity is not was or effect.wake_after_s is not None:
            self.entity.update(orjson.dumps([effect.entity, known.wake_at_ms]).decode())
        for step, outputs in effect.memory.items():
            self.remember(key, step, outputs, timers)
        return effect.records

    def on_timer(
        self, timestamp: int, context: KeyedProcessFunction.OnTimerContext
    ) -> Iterator[bytes]:
        """A timer whose saga has ended fires too; only the one asked for last rings."""
        key = context.get_current_key()
        known = self.known(key)
        if timestamp == known.wake_at_ms:
            for record in ring(self.service, key, known.entity):
                yield routed(record)
        else:
            self.steps_of.pop(key, None)
            self.forget(key, time.time_ns() - MEMORY_S * 10**9, context.timer_service())

    def known(self, key: str) -> Known:
        return self.knowledge.of(key, self.read)

    def read(self) -> Read:
        """The current key's state. Steps that are there already are learned in `forget`."""
        text = self.entity.value()
        entity, wake_at_ms = (None, 0) if text is None else orjson.loads(text)
        return entity, wake_at_ms, self.memory.is_empty()

    def recall(self, step: str) -> bytes | None:
        remembered = self.memory.get(step)
        return None if remembered is None else remembered[TIME_DIGITS:].encode()

    def remember(self, key: str, step: str, outputs: bytes, timers: TimerService) -> None:
        self.memory.put(step, f"{time.time_ns():0{TIME_DIGITS}}{outputs.decode()}")
        self.knowledge.remember(key, step)
        count = self.steps_of.get(key, 0) + 1
        self.steps_of[key] = count
        if count == 1:
            self.forget_later(timers)
        elif count > MEMORY_STEPS_MAX:
            times = sorted(int(value[:TIME_DIGITS]) for value in self.memory.values())
            self.forget(key, times[len(times) // 2], timers)

    def forget(self, key: str, before_ns: int, timers: TimerService) -> None:
        """Forgets what is older, and comes again for the rest."""
        old, kept = [], set()
        for step, value in self.memory.items():
            if int(value[:TIME_DIGITS]) < before_ns:
                old.append(step)
            else:
                kept.add(step)
        for step in old:
            self.memory.remove(step)
        self.knowledge.learn(key, kept)
        if kept:
            if key not in self.steps_of:
                self.forget_later(timers)
            self.steps_of[key] = len(kept)

    def forget_later(self, timers: TimerService) -> None:
        now_ms = timers.current_processing_time()
        timers.register_processing_time_timer(now_ms + MEMORY_S * 1000)


def no_memory(_step: str) -> None:
    return None


def with_hop(record: Record, trace: Trace, service: str, in_ns: int) -> Record:
    """The trace is not the services' business: it is added to what they send, never remembered."""
    hops = [*trace, (service, in_ns, time.time_ns())]
    return record._replace(value=with_trace(record.value, hops))


def routed(record: Record) -> bytes:
    """As RoutedRecord.java reads it: of a row, PyFlink would convert each field by itself."""
    return b"%b\n%b\n%b" % (record.topic.encode(), record.key.encode(), record.value)


def add_service(environment: StreamExecutionEnvironment, name: str, bootstrap_servers: str) -> None:
    """Source, service and sink. Python has no name for Java's deserializers that see a key."""
    jvm = get_gateway().jvm
    source = KafkaSource.builder()
    source._j_builder.setDeserializer(jvm.kaflinkshop.KeyedRecord())
    source = (
        source.set_bootstrap_servers(bootstrap_servers)
        .set_topics(input_topic(name))
        .set_group_id(f"kaflinkshop-{name}")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_property("fetch.min.bytes", "1")
        .build()
    )
    sink = KafkaSink.builder().set_bootstrap_servers(bootstrap_servers)
    sink._j_builder.setRecordSerializer(jvm.kaflinkshop.RoutedRecord())
    sink = (
        sink.set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .set_property("linger.ms", "0")
        # What comes while a batch is under way becomes the next one: larger batches under load,
        # and no waiting without.
        .set_property("max.in.flight.requests.per.connection", "1")
        .build()
    )
    records = environment.from_source(
        source, WatermarkStrategy.no_watermarks(), input_topic(name)
    ).uid(f"{name}-source")
    (
        keyed(records)
        .process(Host(name), output_type=Types.PRIMITIVE_ARRAY(Types.BYTE()))
        .name(name)
        .uid(f"{name}-service")
        .sink_to(sink)
        .name(f"{name}-sink")
        .uid(f"{name}-sink")
    )


def keyed(records: DataStream) -> KeyedStream:
    """The stream by its rows' first field.

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


def compile_java(folder: Path) -> str:
    """The URI of a jar of the Java sources beside this file, compiled by what Flink brings."""
    jvm = get_gateway().jvm
    jar = folder / "kaflinkshop.jar"
    with ZipFile(jar, "w") as file:
        for source in Path(__file__).parent.glob("*.java"):
            compiler = jvm.org.codehaus.janino.SimpleCompiler()
            compiler.setParentClassLoader(jvm.Thread.currentThread().getContextClassLoader())
            compiler.cook(source.read_text())
            for name, code in compiler.getBytecodes().items():
                file.writestr(f"{name.replace('.', '/')}.class", bytes(code))
    return jar.resolve().as_uri()


def remote_environment(arguments: argparse.Namespace) -> StreamExecutionEnvironment:
    """PyFlink's own factory runs the job in the client's JVM unless `flink run` started it; Java's
    for a remote cluster needs no such script."""
    host, _, port = arguments.rest.rpartition(":")
    configuration = Configuration()
    for name, value in job_settings(arguments.execution_mode, arguments.parallelism).items():
        configuration.set_string(name, value)
    gateway = get_gateway()
    java_environment = gateway.jvm.org.apache.flink.streaming.api.environment
    environment = StreamExecutionEnvironment(
        java_environment.StreamExecutionEnvironment.createRemoteEnvironment(
            host, int(port), configuration._j_configuration, to_jarray(gateway.jvm.String, [])
        )
    )
    environment.add_jars(
        *(Path(jar).resolve().as_uri() for jar in arguments.connector_jars.split(","))
    )
    return environment


def job_settings(execution_mode: str, parallelism: int) -> dict[str, str]:
    """What holds on whatever cluster the job runs; the cluster's own is `system.runtime`'s.

    Process mode collects records for its workers; thread mode has nothing to collect, and a short
    bundle time would only have every operator wake up each millisecond.
    """
    bundle = {"python.fn-execution.bundle.time": "1"} if execution_mode == "process" else {}
    return {
        **bundle,
        "pipeline.object-reuse": "true",
        "parallelism.default": str(parallelism),
        "execution.buffer-timeout.interval": "0 ms",
        "execution.checkpointing.interval": f"{CHECKPOINT_INTERVAL_MS} ms",
        "execution.checkpointing.timeout": f"{CHECKPOINT_TIMEOUT_MS} ms",
        "execution.checkpointing.mode": "EXACTLY_ONCE",
        "execution.checkpointing.tolerable-failed-checkpoints": "10",
        "restart-strategy.type": "exponential-delay",
        "restart-strategy.exponential-delay.initial-backoff": "100 ms",
        "restart-strategy.exponential-delay.max-backoff": f"{RESTART_DELAY_MS_MAX} ms",
        "python.execution-mode": execution_mode,
        "python.executable": sys.executable,
        "python.client.executable": sys.executable,
    }


def parse_arguments(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m system.flink_job.pipeline", description=__doc__
    )
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--bootstrap", required=True, help="Kafka's HOST:PORT, as Flink sees it")
    parser.add_argument("--rest", required=True, help="the JobManager's REST HOST:PORT")
    parser.add_argument("--services", default=",".join(SERVICES), help="a comma-separated subset")
    parser.add_argument("--execution-mode", choices=("thread", "process"), default="thread")
    parser.add_argument("--parallelism", type=int, default=1)
    parser.add_argument("--connector-jars", required=True, help="comma-separated paths")
    parser.add_argument("--job-name", default="kaflinkshop")
    parser.add_argument("--when-told", action="store_true", help="wait for a line of input")
    arguments = parser.parse_args(argv)
    arguments.services = arguments.services.split(",")
    for name in arguments.services:
        if name not in SERVICES:
            parser.error(f"no service {name!r}; there are {', '.join(SERVICES)}")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    environment = remote_environment(arguments)
    with TemporaryDirectory() as folder:
        environment.add_jars(compile_java(Path(folder)))
        for name in arguments.services:
            add_service(environment, name, arguments.bootstrap)
        if arguments.when_told and not sys.stdin.readline():
            return 1  # who started this has ended
        job = environment.execute_async(arguments.job_name)
    print(json.dumps({"job_id": str(job.get_job_id())}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
