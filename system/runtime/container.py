"""The command ``-m system.runtime.container PART`` becomes one part of the stack in a container.

It writes the part's configuration from `settings`, with the containers' names as addresses, and
executes the part's program in its own place. All parts of a stack share one volume: topics and
state belong together. ``prepare`` makes, while the image is built, what a start would make or
download otherwise.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from machine.arguments import Parser, addresses, real, whole
from machine.errors import EXIT_CODE, StackError
from machine.secrets import named_files
from system.runtime import flink_cluster, jars, settings
from system.runtime.class_archive import base_archive
from system.runtime.data_folder import data_folder
from system.runtime.flink_cluster import Flink
from system.runtime.kafka_broker import Kafka
from system.runtime.options import StackOptions
from system.runtime.own_jars import job_jar, page_jar
from system.wire import TIMEOUT_S, TIMEOUT_S_MAX, TIMEOUT_S_MIN

DATA = Path("/var/lib/kaflinkshop")
"""The stack's volume, which survives its containers."""
SCRATCH = Path("/var/tmp/kaflinkshop")
"""A container's own place: what is lost with it is no loss."""

BROKER, CONTROLLER, PUBLISHED = 9092, 9093, 9094
"""Kafka's listeners: for the other containers, for the quorum, and for the machine outside."""
RPC, REST = 6123, 8081
METRICS = 9249
"""Each Flink process tells Prometheus its metrics at this port."""

REPORTER: dict[str, str | int] = {
    "metrics.reporter.prometheus.factory.class": (
        "org.apache.flink.metrics.prometheus.PrometheusReporterFactory"
    ),
    "metrics.reporter.prometheus.port": METRICS,
}
"""Flink has this beside `settings.FLINK`: it costs nothing until somebody asks."""


def kafka_properties(host: str, quorum: Sequence[str], published: str) -> dict[str, str]:
    """`kafka_properties` returns the ``server.properties`` of the broker `host`; `quorum` are the
    hosts of all, `published` is the ``HOST:PORT`` under which the machine outside reaches it."""
    properties = settings.kafka_properties(
        (host, BROKER),
        (host, CONTROLLER),
        str(_kafka_folder(host) / "log"),
        bind_host="0.0.0.0",
        node_id=quorum.index(host) + 1,
        controllers=[(each, CONTROLLER) for each in quorum] if len(quorum) > 1 else (),
    )
    properties["listeners"] += f",PUBLISHED://0.0.0.0:{PUBLISHED}"
    properties["advertised.listeners"] += f",PUBLISHED://{published}"
    properties["listener.security.protocol.map"] += ",PUBLISHED:PLAINTEXT"
    return properties


def flink_configuration(jobmanager: str) -> dict[str, str | int]:
    """`flink_configuration` returns ``config.yaml`` of all Flink's containers; `jobmanager` is the
    host of one of them."""
    configuration = settings.flink_configuration(
        jobmanager=(jobmanager, RPC),
        rest=(jobmanager, REST),
        taskmanager_host=None,
        checkpoint_uri=settings.file_uri(DATA / "flink" / "checkpoints"),
        heaps=settings.Heaps(),
        bind_host="0.0.0.0",
    )
    return configuration | REPORTER | {"python.client.executable": sys.executable}


def kafka(arguments: argparse.Namespace) -> NoReturn:
    """`kafka` becomes a broker, whose folder is formatted at its first start."""
    folder = _kafka_folder(arguments.host)
    quorum = arguments.quorum
    broker = Kafka(
        folder,
        port=BROKER,
        controller_port=CONTROLLER,
        heap_mib=settings.Heaps().kafka,
        stack_id=_stack_id(len(quorum)),
        number=quorum.index(arguments.host) + 1,
        controller_ports=[CONTROLLER for _ in quorum] if len(quorum) > 1 else (),
    )
    properties = kafka_properties(arguments.host, quorum, arguments.published)
    (folder / "server.properties").write_text(settings.render_properties(properties))
    if not broker.is_formatted:
        subprocess.run(broker.format_command(), check=True)
    _become(broker.command(), os.environ)


def jobmanager(arguments: argparse.Namespace) -> NoReturn:
    """`jobmanager` becomes the JobManager, which runs the job, on from the newest checkpoint."""
    stack_id = _stack_id(len(arguments.bootstrap.split(",")))
    program = (
        *("-pym", "system.flink_job.pipeline", "--bootstrap", arguments.bootstrap),
        *("--parallelism", str(arguments.parallelism)),
        *("--known-task-mib", str(arguments.known_task_mib)),
        *("--timeout-s", str(arguments.timeout_s)),
    )
    configuration = flink_configuration(arguments.host)
    cluster = _flink(DATA / "flink", configuration, stack_id, program)
    _become_flink(cluster, cluster.jobmanager_command())


def taskmanager(arguments: argparse.Namespace) -> NoReturn:
    """`taskmanager` becomes a TaskManager; what it works on it keeps to itself."""
    cluster = _flink(SCRATCH, flink_configuration(arguments.jobmanager), "", ())
    cluster.scale((), arguments.slots)
    _become_flink(cluster, cluster.taskmanager_command())


def prepare(arguments: argparse.Namespace) -> None:
    """`prepare` fills the cache of an image."""
    for name in jars.SETS:
        jars.obtain(name)
    base_archive()
    environment = os.environ | flink_cluster.environment(Path("/tmp"), None)
    for jar in (page_jar(), job_jar(jars.obtain("connector"))):
        subprocess.run(jar.command, check=True, env=environment)


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    try:
        arguments.part(arguments)
    except StackError as cause:
        print(f"error: {cause}", file=sys.stderr)
    except subprocess.CalledProcessError as cause:
        print(f"error: {Path(cause.cmd[0]).name} ended with {cause.returncode}", file=sys.stderr)
    except OSError as cause:  # a volume that can't be written to, or is full
        print(f"error: {cause.filename or 'this container'}: {cause.strerror}", file=sys.stderr)
    else:
        return 0
    return EXIT_CODE


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog="python -m system.runtime.container", description=__doc__)
    parts = parser.add_subparsers(required=True, metavar="PART")

    def part(run: object, name: str) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = parts.add_parser(name)
        sub.set_defaults(part=run)
        return sub

    broker = part(kafka, "kafka")
    broker.add_argument("--host", required=True, help="of this broker, one of the quorum")
    broker.add_argument("--quorum", required=True, type=lambda text: text.split(","))
    broker.add_argument("--published", required=True, type=addresses, metavar="HOST:PORT")
    manager = part(jobmanager, "jobmanager")
    manager.add_argument("--host", required=True, help="under which TaskManagers reach it")
    manager.add_argument("--bootstrap", required=True, type=addresses, metavar="HOST:PORT,...",
                         help="of every broker")  # fmt: skip
    parallelism = whole("parallelism", settings.PARALLELISM_MAX)
    manager.add_argument("--parallelism", type=parallelism, default=StackOptions().parallelism,
                         help="of the job (default: %(default)s)")  # fmt: skip
    known_mib = whole("MiB", settings.KNOWN_MIB_MAX, 0)
    manager.add_argument("--known-task-mib", type=known_mib, default=settings.KNOWN_TASK_MIB,
                         help="of the state, in each task's memory (default: %(default)s)"
                         )  # fmt: skip
    manager.add_argument("--timeout-s", type=real(TIMEOUT_S_MAX, TIMEOUT_S_MIN), default=TIMEOUT_S,
                         help="of the gateways (default: %(default)s)")  # fmt: skip
    worker = part(taskmanager, "taskmanager")
    worker.add_argument("--jobmanager", required=True, metavar="HOST")
    slots = whole("slots", settings.TASK_SLOTS)
    worker.add_argument("--slots", type=slots, default=settings.TASK_SLOTS,
                        help="for the job's tasks (default: %(default)s)")  # fmt: skip
    part(prepare, "prepare")
    arguments = parser.parse_args(argv)
    if arguments.part is kafka and arguments.host not in arguments.quorum:
        parser.error(f"{arguments.host} is none of the quorum {','.join(arguments.quorum)}")
    if arguments.part is kafka and len(arguments.quorum) not in (1, settings.BROKERS_MAX):
        parser.error(f"a quorum is of 1 or {settings.BROKERS_MAX}")
    return arguments


def _kafka_folder(host: str) -> Path:
    return DATA / host


def _stack_id(brokers: int) -> str:
    """What the volume's first user chose; raises `StackError` where its data is of another kind."""
    made_with = StackOptions(brokers=brokers).made_with(None, None)
    with data_folder(DATA, None, made_with) as folder:
        return folder.stack_id


def _flink(
    folder: Path, configuration: dict[str, str | int], job_id: str, program: Sequence[str]
) -> Flink:
    connector = jars.obtain("connector")
    cluster = Flink(folder, RPC, REST, settings.Heaps(), job_id, program, connector)
    (cluster.conf_dir / "config.yaml").write_text(settings.render_yaml(configuration))
    return cluster


def _become_flink(cluster: Flink, command: Sequence[str]) -> NoReturn:
    environment = flink_cluster.environment(SCRATCH, cluster)
    environment["FLINK_PLUGINS_DIR"] = str(flink_cluster.flink_home() / "plugins")
    _become(command, os.environ | named_files() | environment)


def _become(command: Sequence[str], environment: Mapping[str, str]) -> NoReturn:
    # A container is not the place to record classes: nobody would keep the recording.
    kept = [word for word in command if not word.startswith("-XX:ArchiveClassesAtExit=")]
    os.execve(kept[0], kept, environment)


if __name__ == "__main__":
    sys.exit(main())
