"""A Flink JobManager and TaskManager as commands to run.

Flink is the one in the pip package; its folder is only read. Its start scripts are not used: they
need to write there, and take seconds for what `settings` says in constants.
"""

import importlib.util
import sysconfig
from pathlib import Path

from machine.ports import HOST
from system.runtime import jvm, settings
from system.runtime.class_archive import ClassArchive

PROJECT_DIR = Path(__file__).resolve().parents[2]
CLIENT_HEAP_MIB = 256
"""Heap of the client that submits the job."""
WITHOUT_BEAM = Path(__file__).with_name("without_beam")
"""A folder that hides Apache Beam, see the file in it."""


def find_shared_libpython() -> str | None:
    """The path of the shared library of this Python, which thread mode loads into the JVM."""
    from find_libpython import find_libpython

    path: str | None = find_libpython()
    return path


def flink_home() -> Path:
    """The folder of the pip package; found without importing it, which takes a second."""
    spec = importlib.util.find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("apache-flink is not installed")
    return Path(spec.origin).parent


class Flink:
    """A cluster of one JobManager and one TaskManager, all its files below `data_dir`."""

    def __init__(
        self, data_dir: Path, rpc_port: int, rest_port: int, heaps: settings.Heaps
    ) -> None:
        self.rest = f"{HOST}:{rest_port}"
        self.conf_dir = data_dir / "conf"
        self.jobmanager_gc_log = data_dir / "jobmanager-gc.log"
        self.taskmanager_gc_log = data_dir / "taskmanager-gc.log"
        self._log4j = self.conf_dir / "log4j2.properties"
        self._heaps = heaps
        home = flink_home()
        # In the order in which PyFlink's client has them, so that it can use the same archive.
        self._classpath = [*home.glob("lib/*.jar"), *home.glob("opt/flink-python-*.jar")]
        self.conf_dir.mkdir(parents=True)
        self._temporary = data_dir / "tmp"
        self._temporary.mkdir()
        self.jobmanager_archive = ClassArchive("jobmanager", self._classpath, scratch=data_dir)
        self.taskmanager_archive = ClassArchive("taskmanager", self._classpath, scratch=data_dir)
        configuration = settings.flink_configuration(
            jobmanager=(HOST, rpc_port),
            rest=(HOST, rest_port),
            taskmanager_host=HOST,
            checkpoint_uri=(data_dir / "checkpoints").as_uri(),
            heaps=heaps,
        )
        configuration["io.tmp.dirs"] = str(self._temporary)
        (self.conf_dir / "config.yaml").write_text(settings.render_yaml(configuration))
        self._log4j.write_text(settings.LOG4J)

    def jobmanager_command(self) -> list[str]:
        return self._command(
            "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint",
            self._heaps.jobmanager,
            *settings.SHORT_LIVED_JVM,
            settings.gc_log_option(self.jobmanager_gc_log),
            *self.jobmanager_archive.use_or_record(),
        )

    def taskmanager_command(self) -> list[str]:
        return self._command(
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            self._heaps.taskmanager,
            f"-XX:MaxDirectMemorySize={settings.DIRECT_MIB + settings.NETWORK_MIB}m",
            *settings.TASKMANAGER_JVM,
            settings.gc_log_option(self.taskmanager_gc_log),
            *self.taskmanager_archive.use_or_record(),
        )

    def _command(self, main_class: str, heap_mib: int, *options: str) -> list[str]:
        return jvm.command(
            self._classpath,
            main_class,
            *("--configDir", str(self.conf_dir)),
            log4j=self._log4j,
            temporary=self._temporary,
            heap_mib=heap_mib,
            options=(
                *settings.FLINK_JVM,
                f"-XX:MaxMetaspaceSize={settings.METASPACE_MIB}m",
                *options,
            ),
        )


def environment(log_dir: Path, cluster: Flink | None, execution_mode: str) -> dict[str, str]:
    """What Flink's processes and the job's client need in their environment.

    Thread mode runs Python inside the TaskManager's JVM, where no virtual environment is active:
    it finds the project and the installed packages by PYTHONPATH.
    """
    path = [str(PROJECT_DIR), sysconfig.get_path("purelib")]
    if execution_mode == "thread":
        path.insert(0, str(WITHOUT_BEAM))
    variables = {
        "JAVA_HOME": str(jvm.java_home()),
        "FLINK_HOME": str(flink_home()),
        "FLINK_LOG_DIR": str(log_dir),
        "PYTHONPATH": ":".join(path),
        "JVM_ARGS": " ".join((f"-Xmx{CLIENT_HEAP_MIB}m", *settings.SHORT_LIVED_JVM)),
    }
    if cluster is not None:
        variables["FLINK_CONF_DIR"] = str(cluster.conf_dir)
        variables["LOG4J_PROPERTIES"] = str(cluster.conf_dir / "log4j2.properties")
        variables["JVM_ARGS"] += " " + " ".join(cluster.jobmanager_archive.use())
    return variables
