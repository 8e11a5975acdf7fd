"""This module makes the commands that run Kafka's brokers in KRaft's combined mode.

A broker that was killed goes on with its folder: it repairs what was being written. What it had
acknowledged is in the system's page cache and outlives any process, but no loss of power: nothing
is flushed for each record.
"""

import base64
import shutil
from collections.abc import Sequence
from pathlib import Path

from machine import ports
from machine.errors import StackError
from machine.ports import HOST
from system.runtime import jars, jvm, settings
from system.runtime.class_archive import ClassArchive
from system.runtime.parts import KAFKA, names

FORMAT_HEAP_MIB = 64
"""The tool that formats the broker's folder has this heap; it lives for a second."""


def brokers(
    data_dir: Path, port: int, count: int, heap_mib: int, stack_id: str
) -> "dict[str, Kafka]":
    """`brokers` returns so many by name, each with a folder of that name below `data_dir`; the
    first one has the `port`, the others any free ones."""
    broker_ports = [port, *(ports.choose(0, "") for _ in range(count - 1))]
    controller_ports = [ports.choose(0, "") for _ in range(count)]
    found = {}
    for place, name in enumerate(names(KAFKA, count)):
        found[name] = Kafka(
            data_dir / name,
            broker_ports[place],
            controller_ports[place],
            heap_mib,
            stack_id,
            place + 1,
            controller_ports if count > 1 else (),
        )
    return found


class Kafka:
    """A broker's files are all below `data_dir`; `port` is its listener on loopback.

    `stack_id` are 32 hexadecimal digits, from which the cluster's id is made. Of several brokers
    this is the one with the `number`, counted from 1, and `controller_ports` has the ports of all.
    """

    def __init__(
        self,
        data_dir: Path,
        port: int,
        controller_port: int,
        heap_mib: int,
        stack_id: str,
        number: int = 1,
        controller_ports: Sequence[int] = (),
    ) -> None:
        self.bootstrap_servers = f"{HOST}:{port}"
        self.gc_log = data_dir / "gc.log"
        self._heap_mib = heap_mib
        self._cluster_id = base64.urlsafe_b64encode(bytes.fromhex(stack_id)).decode().rstrip("=")
        self.log_dir = data_dir / "log"
        self._properties = data_dir / "server.properties"
        self._log4j = data_dir / "log4j2.properties"
        self._classpath = jars.obtain("kafka")
        self._temporary = data_dir / "tmp"
        shutil.rmtree(self._temporary, ignore_errors=True)
        self._temporary.mkdir(parents=True)
        self._is_alone = not controller_ports
        self._records = number == 1
        self.archive = ClassArchive("kafka", self._classpath, scratch=data_dir)
        self._log4j.write_text(settings.LOG4J)
        self._properties.write_text(
            settings.render_properties(
                settings.kafka_properties(
                    (HOST, port),
                    (HOST, controller_port),
                    str(self.log_dir),
                    node_id=number,
                    controllers=[(HOST, each) for each in controller_ports],
                )
            )
        )

    @property
    def is_formatted(self) -> bool:
        """The folder is formatted when it has ``meta.properties``, which formatting writes last. It
        raises `StackError` where those are another cluster's."""
        try:
            found = (self.log_dir / "meta.properties").read_text().splitlines()
        except FileNotFoundError:
            return False
        if f"cluster.id={self._cluster_id}" not in found:
            raise StackError(
                f"{self.log_dir} holds the data of another Kafka: mount this stack's own disk "
                "there, or choose another --data-dir"
            )
        return True

    def format_command(self) -> list[str]:
        """This command gives the data folder its cluster id; it runs once, before the first
        start."""
        shutil.rmtree(self.log_dir, ignore_errors=True)
        return jvm.command(
            self._classpath,
            "kafka.tools.StorageTool",
            *(
                "format",
                *(("--standalone",) if self._is_alone else ()),
                f"--cluster-id={self._cluster_id}",
                "-c",
                str(self._properties),
            ),
            log4j=self._log4j,
            temporary=self._temporary,
            heap_mib=FORMAT_HEAP_MIB,
            options=(*settings.SHORT_LIVED_JVM, *self.archive.use()),
        )

    def command(self) -> list[str]:
        return jvm.command(
            self._classpath,
            "kafka.Kafka",
            str(self._properties),
            log4j=self._log4j,
            temporary=self._temporary,
            heap_mib=self._heap_mib,
            options=(
                *settings.KAFKA_JVM,
                settings.gc_log_option(self.gc_log),
                *(self.archive.use_or_record() if self._records else self.archive.use()),
            ),
        )
