"""``python -m system up|status|rescale|down`` runs the reference system on this machine.

``new-service`` writes a package with a service of one's own.
"""

import argparse
import json
import os
import re
import signal
import sys
import time
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

from machine import ports
from machine.arguments import EXIT_USAGE, Parser, port_or_any, real, topic_prefix, whole
from machine.errors import EXIT_CODE, StackError
from system.runtime.settings import (
    BROKERS_MAX,
    CHECKPOINT_INTERVAL_S,
    CHECKPOINT_INTERVAL_S_MAX,
    CHECKPOINT_INTERVAL_S_MIN,
    GATEWAYS_MAX,
    KNOWN_MIB,
    KNOWN_MIB_MAX,
    PARALLELISM_MAX,
    PARTITIONS_MAX,
    TASKMANAGERS_MAX,
    TOPIC_MIB,
    TOPIC_MIB_MAX,
    TOPIC_MIB_MIN,
    Heaps,
)
from system.service import WINDOW_S, WINDOW_S_MAX, WINDOW_S_MIN
from system.wire import TIMEOUT_S, TIMEOUT_S_MAX, TIMEOUT_S_MIN

if TYPE_CHECKING:
    from system.runtime.registry import Entry

PROGRAM = "python -m system"
REPLICATION_MAX = 1024
"""A topic has at most this many copies; how many there can be, the brokers know."""
JOB_CHECK_STEPS = 20
"""The job on a Flink that exists is looked at once in so many looks at the processes."""
ENDS = (signal.SIGTERM, signal.SIGHUP)
"""These signals ask a stack to end, as Ctrl-C does."""
HEAP_MIB_MAX = 2**31 - 1
"""A larger heap is not read; whether it fits, the machine's memory says."""


class Ended(BaseException):
    """SIGTERM or SIGHUP came: an end that was asked for."""


def main(argv: list[str] | None = None) -> int:
    arguments = parse(argv)
    try:
        code: int = arguments.command(arguments)
    except StackError as cause:
        print(f"error: {cause}", file=sys.stderr)
        return EXIT_CODE
    except OSError as cause:  # a folder that can't be written to, or a full disk
        print(f"error: {cause.filename or 'this machine'}: {cause.strerror}", file=sys.stderr)
        return EXIT_CODE
    except KeyboardInterrupt:
        return 130
    except Ended:
        return 0
    return code


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = Parser(prog=PROGRAM, description=__doc__, epilog=f"example: {PROGRAM} up --workers 2")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name: str, help: str, example: str) -> argparse.ArgumentParser:
        sub: argparse.ArgumentParser = commands.add_parser(
            name, help=help, epilog=f"example: {PROGRAM} {name} {example}"
        )
        sub.add_argument("--name", type=stack_name, default="default",
                         help="which stack (default: %(default)s)")  # fmt: skip
        return sub

    up_parser = command("up", "bring the stack up, and keep it up until Ctrl-C", "--workers 2")
    up_parser.set_defaults(command=up)
    add = up_parser.add_argument
    add("--port", type=port_or_any, metavar="PORT", help=ports.GATEWAY.help)
    add("--kafka-port", type=port_or_any, metavar="PORT", help=ports.KAFKA.help)
    add("--flink-rest-port", type=port_or_any, metavar="PORT", help=ports.FLINK_PAGE.help)
    add("--services", type=services, metavar="NAME,NAME,...",
        help="which ones to host (default: all, installed packages' too)")  # fmt: skip
    add("--gateways", type=whole("gateways", GATEWAYS_MAX), default=1, metavar="N",
        help="each at a port of its own, the first at --port (default: %(default)s)")  # fmt: skip
    add("--workers", type=whole("workers", ports.WORKERS_MAX), default=1, metavar="N",
        help="processes of each gateway, which share its port (default: %(default)s)")  # fmt: skip
    add("--gateway-option", action="append", default=[], metavar="OPTION",
        help="of python -m system.gateway, as --gateway-option=--in-flight-max=100")  # fmt: skip
    add("--brokers", type=int, choices=(1, BROKERS_MAX), default=1,
        help=f"{BROKERS_MAX} have copies of each topic (default: %(default)s)")  # fmt: skip
    add("--partitions", type=whole("partitions", PARTITIONS_MAX), metavar="N",
        help="of each input topic, for good (default: those it has, or --parallelism)")  # fmt: skip
    add("--topic-mib", type=whole("MiB", TOPIC_MIB_MAX, TOPIC_MIB_MIN), default=TOPIC_MIB,
        metavar="MIB", help="a new input topic keeps so much, which an outage of Flink must not "
                            "exceed (default: %(default)s)")  # fmt: skip
    add("--parallelism", type=whole("parallelism", PARALLELISM_MAX), default=1, metavar="N",
        help="of the Flink job (default: %(default)s)")  # fmt: skip
    add("--taskmanagers", type=whole("taskmanagers", TASKMANAGERS_MAX), default=1, metavar="N",
        help="processes with a Python of their own, which share the job's tasks "
             "(default: %(default)s)")  # fmt: skip
    add("--execution-mode", choices=("thread", "process"), default="thread",
        help="of PyFlink (default: %(default)s)")  # fmt: skip
    add("--known-mib", type=whole("MiB", KNOWN_MIB_MAX, 0), default=KNOWN_MIB, metavar="MIB",
        help="of the state are packed in each TaskManager's memory too; other keys cost a read of "
             "Flink's state (default: %(default)s; a Flink that exists has it once)")  # fmt: skip
    interval_s = real(CHECKPOINT_INTERVAL_S_MAX, CHECKPOINT_INTERVAL_S_MIN)
    add("--checkpoint-interval-s", type=interval_s, default=CHECKPOINT_INTERVAL_S, metavar="S",
        help="after a crash at most so much is handled again; longer costs less latency "
             "(default: %(default)s)")  # fmt: skip
    add("--window-s", type=whole("seconds", WINDOW_S_MAX, WINDOW_S_MIN), default=WINDOW_S,
        metavar="S",
        help="how long a request may be sent again (default: %(default)s)")  # fmt: skip
    add("--timeout-s", type=real(TIMEOUT_S_MAX, TIMEOUT_S_MIN), default=TIMEOUT_S, metavar="S",
        help="gateways wait so long for a reply (default: %(default)s)")  # fmt: skip
    add("--state-backend", choices=("rocksdb", "hashmap"),
        help="hashmap is the Java heap, which must hold all state, and each checkpoint copies it "
             "whole (default: rocksdb; on a Flink that exists, its own)")  # fmt: skip
    for part, heap_mib in Heaps()._asdict().items():
        add(f"--{part}-heap-mib", type=whole("MiB", HEAP_MIB_MAX), default=heap_mib, metavar="MIB",
            help="Java heap of each (default: %(default)s)")  # fmt: skip
    add("--data-dir", type=Path, metavar="FOLDER",
        help="a new one, or an earlier stack's to go on with (default: temporary)")  # fmt: skip
    add("--savepoint", metavar="URI", help="on a Flink that exists: what the job begins from")
    add("--topic-prefix", type=topic_prefix, default="", metavar="PREFIX",
        help="of all topics, for stacks that share a Kafka (default: none)")  # fmt: skip
    add("--replication", type=whole("copies", REPLICATION_MAX), default=-1, metavar="N",
        help="copies of each topic (default: the brokers' own)")  # fmt: skip

    new_parser = commands.add_parser(
        "new-service", help="write a package with a service of your own: docs/tutorial.md",
        epilog=f"example: {PROGRAM} new-service greeting --in greeting")  # fmt: skip
    new_parser.set_defaults(command=new_service)
    new_parser.add_argument("service", metavar="NAME", type=service_name, help="of the service")
    new_parser.add_argument("--in", dest="folder", type=Path, metavar="FOLDER",
                            help="a new or empty one (default: one of this name)")  # fmt: skip
    rescale_parser = command(
        "rescale", "have the job go on with other tasks, from a checkpoint",
        "--parallelism 2 --taskmanagers 2",
    )  # fmt: skip
    rescale_parser.set_defaults(command=rescale)
    add = rescale_parser.add_argument
    add("--parallelism", type=whole("parallelism", PARALLELISM_MAX), required=True, metavar="N",
        help="of the Flink job")  # fmt: skip
    add("--taskmanagers", type=whole("taskmanagers", TASKMANAGERS_MAX), metavar="N",
        help="(default: as many as there are, and no more than tasks)")  # fmt: skip

    for name, run, help in (
        ("status", status, "where the stack is; exit code 1 when it is not up"),
        ("down", down, "end the stack, up or starting, and wait until it has ended"),
    ):
        sub = command(name, help, "--json")
        sub.set_defaults(command=run)
        sub.add_argument("--json", action="store_true", help="print JSON")
    return parser.parse_args(argv)


def up(arguments: argparse.Namespace) -> int:
    from machine.restarts import STEP_INTERVAL_S
    from system.catalog import catalog
    from system.gateway.arguments import parse as parse_gateway
    from system.gateway.errors import StartError
    from system.gateway.tokens import Tokens
    from system.kafka_security import KafkaSecurity
    from system.runtime import programs, registry, rescaling
    from system.runtime.options import StackOptions
    from system.runtime.stack import Stack

    try:
        options = StackOptions(
            services=arguments.services or catalog().services,
            port=arguments.port,
            kafka_port=arguments.kafka_port,
            flink_rest_port=arguments.flink_rest_port,
            brokers=arguments.brokers,
            gateways=arguments.gateways,
            workers=arguments.workers,
            gateway_options=tuple(arguments.gateway_option),
            execution_mode=arguments.execution_mode,
            known_mib=arguments.known_mib,
            partitions=arguments.partitions,
            topic_mib=arguments.topic_mib,
            parallelism=arguments.parallelism,
            taskmanagers=arguments.taskmanagers,
            checkpoint_interval_s=arguments.checkpoint_interval_s,
            window_s=arguments.window_s,
            timeout_s=arguments.timeout_s,
            state_backend=arguments.state_backend,
            heaps=Heaps(
                arguments.kafka_heap_mib,
                arguments.jobmanager_heap_mib,
                arguments.taskmanager_heap_mib,
            ),
            data_dir=arguments.data_dir,
            savepoint=arguments.savepoint,
            topic_prefix=arguments.topic_prefix,
            replication=arguments.replication,
            name=arguments.name,
        )
    except ValueError as cause:
        print(f"error: {cause}", file=sys.stderr)
        return EXIT_USAGE
    parse_gateway(programs.gateway(options, "kafka:9092", "http://gateway:0", 1)[3:])
    try:  # before Kafka and Flink are up, and a gateway ends for it
        Tokens.read(os.environ)
    except StartError as cause:
        raise StackError(str(cause)) from None
    KafkaSecurity.read().client_options()
    for number in ENDS:
        if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # by nohup
            signal.signal(number, end)
    with registry.reserve(arguments.name) as file, Stack(options, progress) as stack:

        def entry() -> registry.Entry:
            return registry.Entry(
                name=arguments.name,
                pid=os.getpid(),
                url=stack.url,
                urls=list(stack.urls),
                bootstrap_servers=stack.bootstrap_servers,
                flink_rest=stack.flink_rest,
                data_dir=str(stack.data_dir),
                pids=stack.pids(),
            )

        registry.write(file, entry())
        progress(describe(entry()))
        if arguments.data_dir is None:
            progress("The data goes when the stack is ended; --data-dir names a folder to keep it.")
        progress("Ctrl-C ends it.")
        is_told = True
        for step in count():
            if rescaling.serve(arguments.name, stack.rescale) or stack.restarts.step():
                is_told = False
            if not is_told:
                with suppress(OSError):  # a full disk ends no stack: it is told once there is room
                    registry.write(file, entry())
                    is_told = True
            if step % JOB_CHECK_STEPS == 0:
                stack.check_job()
            time.sleep(STEP_INTERVAL_S)
    return 0


def status(arguments: argparse.Namespace) -> int:
    from system.runtime import registry

    entry = registry.find(arguments.name)
    if entry is None:
        return not_up(arguments)
    ready = registry.is_ready(entry)
    if arguments.json:
        print(json.dumps({"up": True, "ready": ready, **vars(entry)}))
    else:
        print(describe(entry))
        print(f"ready      {'yes' if ready else 'no'}")
    return 0


def rescale(arguments: argparse.Namespace) -> int:
    from system.runtime import registry, rescaling

    entry = registry.find(arguments.name)
    if entry is None:
        print(f"no stack named {arguments.name} is up", file=sys.stderr)
        return 1
    paused_s = rescaling.ask(entry.name, arguments.parallelism, arguments.taskmanagers)
    print(f"the stack {entry.name} is rescaled, after a pause of {paused_s:.1f} s")
    return 0


def down(arguments: argparse.Namespace) -> int:
    from system.runtime import registry

    name = arguments.name
    pid = registry.starting(name)
    if pid is None:
        entry = registry.find(name)
        if entry is None:
            return not_up(arguments)
        pid = entry.pid
    registry.end(name, pid)
    print(json.dumps({"up": False}) if arguments.json else f"the stack {name} has ended")
    return 0


def new_service(arguments: argparse.Namespace) -> int:
    from system.new_service import write

    folder = arguments.folder or Path(arguments.service)
    for path in write(arguments.service, folder):
        progress(str(path))
    return 0


def not_up(arguments: argparse.Namespace) -> int:
    from system.runtime import registry

    told = f"no stack named {arguments.name} is up"
    if registry.starting(arguments.name) is not None:
        told = f"the stack {arguments.name} is starting, and not up yet"
    print(
        json.dumps({"up": False}) if arguments.json else told,
        file=sys.stdout if arguments.json else sys.stderr,
    )
    return 1


def describe(entry: "Entry") -> str:
    rows = [
        ("gateway", ", ".join(entry.urls)),
        ("Kafka", entry.bootstrap_servers),
        ("Flink", f"http://{entry.flink_rest}"),
        ("data", entry.data_dir),
        ("processes", ", ".join(f"{part} {ids[0]}" for part, ids in entry.pids.items() if ids)),
    ]
    return "\n".join(f"{label:10} {value}" for label, value in rows)


def progress(line: str) -> None:
    with suppress(OSError):  # nobody need hear it, as on a full disk
        print(line, flush=True)


def end(number: int, frame: FrameType | None) -> NoReturn:
    # Ending has its own limits; a second signal must not cut it short.
    for ignored in ENDS:
        signal.signal(ignored, signal.SIG_IGN)
    raise Ended


def stack_name(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,48}", text):
        raise argparse.ArgumentTypeError("a name is 1 to 48 characters of [A-Za-z0-9_-]")
    return text


def service_name(text: str) -> str:
    from system.catalog import NAME_RULE, is_name

    if not is_name(text):
        raise argparse.ArgumentTypeError(f"{text!r}: a name is {NAME_RULE}")
    return text


def services(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


if __name__ == "__main__":
    sys.exit(main())
