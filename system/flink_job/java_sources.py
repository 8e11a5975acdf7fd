"""The command ``-m system.flink_job.java_sources JAR A.java…`` compiles Java sources."""

import argparse
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import ZipFile

from pyflink.java_gateway import get_gateway
from pyflink.util.java_utils import add_jars_to_context_class_loader, to_jarray


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
    """`main` makes a jar. Java's ServiceLoader finds the class of the first source in it, where it
    is said which interface's service that is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("jar", type=Path)
    parser.add_argument("sources", type=Path, nargs="+")
    parser.add_argument("--provides", help="the interface of which the first one is a service")
    parser.add_argument("--with", dest="others", help="comma-separated jars that they need")
    arguments = parser.parse_args()
    files = {}
    if arguments.provides:
        service = f"kaflinkshop.{arguments.sources[0].stem}\n"
        files[f"META-INF/services/{arguments.provides}"] = service
    if arguments.others:
        others = arguments.others.split(",")
        add_jars_to_context_class_loader([Path(jar).resolve().as_uri() for jar in others])
    complete = arguments.jar.with_suffix(f".{os.getpid()}")
    compile_java(arguments.sources, complete, files)
    complete.rename(arguments.jar)
    return 0


if __name__ == "__main__":
    sys.exit(main())
