"""One Kafka broker in KRaft's combined mode, as commands to run."""

import base64
import uuid
from pathlib import Path

from machine.ports import HOST
from system.runtime import jars, jvm, settings
from system.runtime.class_archive import ClassArchive

FORMAT_HEAP_MIB = 64
"""Heap of the tool that formats the broker's folder; it lives for a second."""


class Kafka:
    """A broker's files are all below `data_dir`; `port` is its listener on loopback."""

    def __init__(self, data_dir: Path, port: int, controller_port: int, heap_mib: int) -> None:
        self.bootstrap_servers = f"{HOST}:{port}"
        self.gc_log = data_dir / "gc.log"
        self._heap_mib = heap_mib
        self._properties = data_dir / "server.properties"
        self._log4j = data_dir / "log4j2.properties"
        self._classpath = jars.obtain("kafka")
        self._temporary = data_dir / "tmp"
        self._temporary.mkdir(parents=True)
        self.archive = ClassArchive("kafka", self._classpath, scratch=data_dir)
        self._log4j.write_text(settings.LOG4J)
        self._properties.write_text(
            settings.render_properties(
                settings.kafka_properties(
                    (HOST, port), (HOST, controller_port), str(data_dir / "log")
                )
            )
        )

    def format_command(self) -> list[str]:
        """Gives the data folder its cluster id; once, before the first start."""
        cluster_id = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        return jvm.command(
            self._classpath,
            "kafka.tools.StorageTool",
            *("format", "--standalone", f"--cluster-id={cluster_id}", "-c", str(self._properties)),
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
                *self.archive.use_or_record(),
            ),
        )
