"""Hosts services in one Flink job; the only module that imports PyFlink.

    {service}_in ─source→ key_by(entity's id) ─→ Host(service) ─sink→ the topic of each record

A pipeline a service, so that each has its own state and can be deployed in a job of its own.

    python -m system.services.job --bootstrap H:P --rest H:P --connector-jars A.jar,B.jar
"""

import argparse
import importlib
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
from pyflink.common import Configuration, Row, Types, WatermarkStrategy
from pyflink.common.serialization import ByteArraySchema, RowFieldExtractorSchema
from pyflink.datastream import (
    KeyedProcessFunction,
    RuntimeContext,
    StreamExecutionEnvironment,
    TimerService,
)
from pyflink.datastream.connectors.base import DeliveryGuarantee
from pyflink.datastream.connectors.kafka import (
    KafkaOffsetsInitializer,
    KafkaRecordSerializationSchema,
    KafkaSink,
    KafkaSource,
)
from pyflink.datastream.state import MapStateDescriptor, ValueStateDescriptor
from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import to_jarray

from system.routes import SERVICES
from system.services.service import Record, Service, handle, refuse_malformed, ring
from system.wire import (
    ID_PATTERN,
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
CHECKPOINT_TIMEOUT_MS = 60_000
RESTART_DELAY_MS_MAX = 5_000

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


class KeyOf:
    """The entity that a record is for, by the service's key parameter."""

    def __init__(self, service: str) -> None:
        self.parameter = load(service).key

    def __call__(self, record: bytes) -> str:
        try:
            request = decode_request(record)
        except WireError:
            return MALFORMED
        key = request.request_id if self.parameter == "request_id" else None
        key = key or request.params.get(self.parameter)
        return key if isinstance(key, str) and ID_PATTERN.fullmatch(key) else MALFORMED


class Host(KeyedProcessFunction):  # type: ignore[misc]
    """Keeps what a service's pure methods return, and sends what they send.

    State of a key: the entity with the time of its alarm, as one value; its remembered steps, as a
    map, whose values begin with the digits of their time. Both are strings: PyFlink hands arrays of
    bytes to Java one byte at a time.

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

    def process_element(self, value: bytes, context: KeyedProcessFunction.Context) -> Iterator[Row]:
        in_ns = time.time_ns()
        try:
            request = decode_request(value)
        except WireError:
            self.malformed.inc()
            return
        key = context.get_current_key()
        if key == MALFORMED:
            self.malformed.inc()
            records = refuse_malformed(request)
        elif self.service.stateless:
            records = handle(self.service, None, no_memory, request).records
        else:
            records = self.handle(key, request, context.timer_service())
        for record in records:
            if request.trace is not None:
                record = with_hop(record, request.trace, self.name, in_ns)
            yield to_row(record)

    def handle(self, key: str, request: Request, timers: TimerService) -> list[Record]:
        stored = self.entity.value()
        entity, wake_at_ms = (None, 0) if stored is None else orjson.loads(stored)
        effect = handle(self.service, entity, self.recall, request)
        if effect.wake_after_s is not None:
            wake_at_ms = timers.current_processing_time() + int(effect.wake_after_s * 1000)
            timers.register_processing_time_timer(wake_at_ms)
        if effect.entity is None:
            if entity is not None:
                self.entity.clear()
        elif effect.entity is not entity or effect.wake_after_s is not None:
            self.entity.update(orjson.dumps([effect.entity, wake_at_ms]).decode())
        for step, outputs in effect.memory.items():
            self.remember(key, step, outputs, timers)
        return effect.records

    def on_timer(
        self, timestamp: int, context: KeyedProcessFunction.OnTimerContext
    ) -> Iterator[Row]:
        """A timer whose saga has ended fires too; only the one asked for last rings."""
        key = context.get_current_key()
        stored = self.entity.value()
        entity, wake_at_ms = (None, 0) if stored is None else orjson.loads(stored)
        if timestamp == wake_at_ms:
            for record in ring(self.service, key, entity):
                yield to_row(record)
        else:
            self.steps_of.pop(key, None)
            self.forget(key, time.time_ns() - MEMORY_S * 10**9, context.timer_service())

    def recall(self, step: str) -> bytes | None:
        remembered = self.memory.get(step)
        return None if remembered is None else remembered[TIME_DIGITS:].encode()

    def remember(self, key: str, step: str, outputs: bytes, timers: TimerService) -> None:
        self.memory.put(step, f"{time.time_ns():0{TIME_DIGITS}}{outputs.decode()}")
        count = self.steps_of.get(key, 0) + 1
        self.steps_of[key] = count
        if count == 1:
            self.forget_later(timers)
        elif count > MEMORY_STEPS_MAX:
            times = sorted(int(value[:TIME_DIGITS]) for value in self.memory.values())
            self.forget(key, times[len(times) // 2], timers)

    def forget(self, key: str, before_ns: int, timers: TimerService) -> None:
        """Forgets what is older, and comes again for the rest."""
        old, kept = [], 0
        for step, value in self.memory.items():
            if int(value[:TIME_DIGITS]) < before_ns:
                old.append(step)
            else:
                kept += 1
        for step in old:
            self.memory.remove(step)
        if kept:
            if key not in self.steps_of:
                self.forget_later(timers)
            self.steps_of[key] = kept

    def forget_later(self, timers: TimerService) -> None:
        now_ms = timers.current_processing_time()
        timers.register_processing_time_timer(now_ms + MEMORY_S * 1000)


def no_memory(_step: str) -> None:
    return None


def with_hop(record: Record, trace: Trace, service: str, in_ns: int) -> Record:
    """The trace is not the services' business: it is added to what they send, never remembered."""
    hops = [*trace, (service, in_ns, time.time_ns())]
    return record._replace(value=with_trace(record.value, hops))


def to_row(record: Record) -> Row:
    return Row(record.topic, record.key.encode(), record.value)


def topic_of(row: Row) -> str:
    topic: str = row[0]
    return topic


def add_service(environment: StreamExecutionEnvironment, name: str, bootstrap_servers: str) -> None:
    source = (
        KafkaSource.builder()
        .set_bootstrap_servers(bootstrap_servers)
        .set_topics(input_topic(name))
        .set_group_id(f"kaflinkshop-{name}")
        .set_starting_offsets(KafkaOffsetsInitializer.earliest())
        .set_value_only_deserializer(ByteArraySchema())
        .set_property("fetch.min.bytes", "1")
        .build()
    )
    serializer = (
        KafkaRecordSerializationSchema.builder()
        .set_topic_selector(topic_of)
        .set_key_serialization_schema(RowFieldExtractorSchema(1))
        .set_value_serialization_schema(RowFieldExtractorSchema(2))
        .build()
    )
    sink = (
        KafkaSink.builder()
        .set_bootstrap_servers(bootstrap_servers)
        .set_record_serializer(serializer)
        .set_delivery_guarantee(DeliveryGuarantee.AT_LEAST_ONCE)
        .set_property("linger.ms", "0")
        .build()
    )
    row_type = Types.ROW(
        [Types.STRING(), Types.PRIMITIVE_ARRAY(Types.BYTE()), Types.PRIMITIVE_ARRAY(Types.BYTE())]
    )
    (
        environment.from_source(source, WatermarkStrategy.no_watermarks(), input_topic(name))
        .uid(f"{name}-source")
        .key_by(KeyOf(name), key_type=Types.STRING())
        .process(Host(name), output_type=row_type)
        .name(name)
        .uid(f"{name}-service")
        .sink_to(sink)
        .name(f"{name}-sink")
        .uid(f"{name}-sink")
    )


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
    parser = argparse.ArgumentParser(prog="python -m system.services.job", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--bootstrap", required=True, help="Kafka's HOST:PORT, as Flink sees it")
    parser.add_argument("--rest", required=True, help="the JobManager's REST HOST:PORT")
    parser.add_argument("--services", default=",".join(SERVICES), help="a comma-separated subset")
    parser.add_argument("--execution-mode", choices=("thread", "process"), default="thread")
    parser.add_argument("--parallelism", type=int, default=1)
    parser.add_argument("--connector-jars", required=True, help="comma-separated paths")
    parser.add_argument("--job-name", default="kaflinkshop")
    arguments = parser.parse_args(argv)
    arguments.services = arguments.services.split(",")
    for name in arguments.services:
        if name not in SERVICES:
            parser.error(f"no service {name!r}; there are {', '.join(SERVICES)}")
    return arguments


def main(argv: list[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    environment = remote_environment(arguments)
    for name in arguments.services:
        add_service(environment, name, arguments.bootstrap)
    job = environment.execute_async(arguments.job_name)
    print(json.dumps({"job_id": str(job.get_job_id())}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
