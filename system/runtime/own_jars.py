"""This project's own Java is compiled into jars once, which are kept in the cache."""

import hashlib
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

from machine.cache import cache_dir

PAGE = Path(__file__).with_name("ReadOnlyPage.java")
PAGE_SERVICE = "org.apache.flink.runtime.io.network.netty.InboundChannelHandlerFactory"
JOB = Path(__file__).parents[1] / "flink_job"
COMPILER = JOB / "java_sources.py"


class OwnJar(NamedTuple):
    """`file` is named after all that it is made of, and `command` makes it."""

    file: Path
    command: list[str]

    @property
    def is_made(self) -> bool:
        return self.file.exists()


def page_jar() -> OwnJar:
    """`page_jar` has the JobManager's page read only."""
    return _own("read-only-page", [PAGE], (), "--provides", PAGE_SERVICE)


def job_jar(connector: Sequence[Path]) -> OwnJar:
    """`job_jar` has the operators of the job, compiled by the jars of the connector."""
    return _own("job", sorted(JOB.glob("*.java")), connector)


def _own(name: str, sources: Sequence[Path], others: Sequence[Path], *options: str) -> OwnJar:
    made_of = (version("apache-flink"), *map(str, others), *options)
    digest = hashlib.sha256(repr(made_of).encode())
    for source in (COMPILER, *sources):
        digest.update(source.read_bytes())
    file = cache_dir() / "jars" / f"{name}-{digest.hexdigest()[:12]}.jar"
    given = ("--with", ",".join(map(str, others))) if others else ()
    module = (sys.executable, "-m", "system.flink_job.java_sources")
    return OwnJar(file, [*module, str(file), *map(str, sources), *given, *options])
