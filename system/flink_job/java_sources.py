"""The command ``-m system.flink_job.java_sources JAR A.java`` compiles Java sources.

``-m system.flink_job.java_sources JAR A.java``.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import to_jarray


def compile_java(sources: Iterable[Path], jar: Path, files: Mapping[str, str]) -> None:
    """`compile_java` compiles them by what Flink brings, and writes a jar of their classes; `files`
    are further ones in it, name → content."""
    jvm = get_gateway().jvm
    loader = jvm.Thread.currentThread().getContextClassLoader()
    compiler = jvm.org.codehaus.janino.Compiler()
    compiler.setIClassLoader(jvm.org.codehaus.janino.ClassLoaderIClassLoader(loader))
    compiler.setTargetVersion(8)
    with TemporaryDirectory() as folder:
        compiler.setDestinationDirectory(jvm.java.io.File(folder), False)
        compiler.compile(
            to_jarray(jvm.java.io.File, [jvm.java.io.File(str(source)) for source in sources])
        )
        with ZipFile(jar, "w") as file:
            for compiled in Path(folder).glob("*/*.class"):
                file.write(compiled, compiled.relative_to(folder))
            for name, content in files.items():
                file.writestr(name, content)


def main() -> int:
    """`main` makes a jar that Java's ServiceLoader finds one class in."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jar", type=Path)
    parser.add_argument("source", type=Path)
    parser.add_argument("--provides", required=True, help="the interface of which it is a service")
    arguments = parser.parse_args()
    service = {f"META-INF/services/{arguments.provides}": f"kaflinkshop.{arguments.source.stem}\n"}
    complete = arguments.jar.with_suffix(f".{os.getpid()}")
    compile_java([arguments.source], complete, service)
    complete.rename(arguments.jar)
    return 0


if __name__ == "__main__":
    sys.exit(main())
