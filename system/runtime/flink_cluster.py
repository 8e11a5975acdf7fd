"""This module makes the commands that run a Flink JobManager and its TaskManagers.

Flink is the one in the pip package; its folder is only read. Its start scripts are not used: they
need to write there, and take seconds for what `settings` says in constants.

It is an application cluster: the JobManager runs the program of its one job itself, each time it
starts, and goes on from the newest checkpoint. So a job can't be submitted twice, and nobody can
submit another one: such a cluster's REST interface takes no jars and no jobs.
"""

import importlib.util
import shutil
import sys
import sysconfig
from collections.abc import Callable, Sequence
from pathlib import Path

from machine.ports import HOST
from machine.whole_files import write
from system.catalog import catalog
from system.runtime import jvm, settings
from system.runtime.class_archive import ClassArchive
from system.runtime.options import Mode
from system.runtime.own_jars import job_jar, page_jar
from system.runtime.parts import numbered

PROJECT_DIR = Path(__file__).resolve().parents[2]
CLIENT_HEAP_MIB = 256
"""The client that submits the job has this heap."""


def find_shared_libpython() -> str | None:
    """`find_shared_libpython` returns the path of the shared library of this Python, which thread
    mode loads into the JVM."""
    from find_libpython import find_libpython

    path: str | None = find_libpython()
    return path


def usable_mode(mode: Mode, tell: Callable[[str], object]) -> Mode:
    """`usable_mode` returns the execution mode that this Python can have, and tells of another
    one."""
    if mode == "process" or find_shared_libpython() is not None:
        return mode
    tell(
        "warning: this Python has no shared libpython, which thread mode needs: "
        "using process mode, which is many times slower"
    )
    return "process"


def flink_home() -> Path:
    """`flink_home` returns the folder of the pip package; it is found without importing it, which
    takes a second."""
    spec = importlib.util.find_spec("pyflink")
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError("apache-flink is not installed")
    return Path(spec.origin).parent


def newest_checkpoint(checkpoints: Path) -> Path | None:
    """`newest_checkpoint` returns the newest complete checkpoint below the folder of a job, if
    there is one.

    Its ``_metadata`` is put there last, whole. Through all lives of a job they are numbered on.
    """
    for _ in range(2):  # while one is listed Flink may finish the next, and remove it
        complete = {
            int(metadata.parent.name.removeprefix("chk-")): metadata.parent
            for metadata in checkpoints.glob("chk-*/_metadata")
        }
        if complete:
            return complete[max(complete)]
    return None


class Flink:
    """A cluster has one JobManager, TaskManagers, and all its files below `data_dir`.

    `job_id` are 32 hexadecimal digits, the same as long as the folder lives. `program` are the
    arguments of ``python`` that make the job. The processes have the jars of the `connector`, where
    they are given, and with them this project's own Java, on their classpath: the job brings none.
    A TaskManager that has a job's jars would take that job of no other JobManager.
    """

    def __init__(
        self,
        data_dir: Path,
        rpc_port: int,
        rest_port: int,
        heaps: settings.Heaps,
        job_id: str,
        program: Sequence[str],
        connector: Sequence[Path] = (),
    ) -> None:
        self.rest = f"{HOST}:{rest_port}"
        self.conf_dir = data_dir / "conf"
        self.jobmanager_gc_log = data_dir / "jobmanager-gc.log"
        self._data_dir = data_dir
        self._log4j = self.conf_dir / "log4j2.properties"
        self._heaps = heaps
        self._job_id = job_id
        home = flink_home()
        self._classpath = [*home.glob("lib/*.jar"), *home.glob("opt/flink-python-*.jar")]
        if connector:
            self._classpath += [*connector, job_jar(connector).file]
        self.conf_dir.mkdir(parents=True, exist_ok=True)
        self._temporary = data_dir / "tmp"
        checkpoints = data_dir / "checkpoints"
        self.checkpoints = checkpoints / job_id
        self._jobmanager_classpath = [*self._classpath, page_jar().file]
        self.jobmanager_archive = ClassArchive(
            "application", self._jobmanager_classpath, scratch=data_dir
        )
        self.taskmanager_archive = ClassArchive("taskmanager", self._classpath, scratch=data_dir)
        self._configuration = settings.flink_configuration(
            jobmanager=(HOST, rpc_port),
            rest=(HOST, rest_port),
            taskmanager_host=HOST,
            checkpoint_uri=settings.file_uri(checkpoints),
            heaps=heaps,
        )
        self._configuration["python.client.executable"] = sys.executable
        self._log4j.write_text(settings.LOG4J)
        yaml = settings.render_yaml(self._configuration)
        write(self.conf_dir / "config.yaml", yaml.encode())
        self.scale(program, settings.TASK_SLOTS)

    def scale(self, program: Sequence[str], slots: int) -> None:
        """`scale` has the processes that are started from now on run this program, on so many slots
        each."""
        self._program, self._slots = program, slots

    def newest_checkpoint(self) -> Path | None:
        """`newest_checkpoint` returns that of the job, complete, if there is one."""
        return newest_checkpoint(self.checkpoints)

    def taskmanager_gc_log(self, number: int) -> Path:
        """`taskmanager_gc_log` returns the log of pauses of the TaskManager with this number."""
        return self._data_dir / f"{numbered('taskmanager', number)}-gc.log"

    def jobmanager_command(self) -> list[str]:
        """The JobManager goes on from the newest complete checkpoint; where there is none, from the
        beginning.

        Only for when no JobManager runs: older ones, and what was left unfinished, are removed.
        """
        newest = self.newest_checkpoint()
        for checkpoint in self.checkpoints.glob("chk-*"):
            if checkpoint != newest:
                shutil.rmtree(checkpoint)
        # Claimed: Flink removes it when newer ones have replaced it, as if it were its own.
        begin = ("--fromSavepoint", settings.file_uri(newest)) if newest else ()
        restored = (*begin, "--claimMode", "claim") if begin else ()
        return self._command(
            "jobmanager",
            self._jobmanager_classpath,
            "org.apache.flink.container.entrypoint.StandaloneApplicationClusterEntryPoint",
            self._heaps.jobmanager,
            (
                *settings.SHORT_LIVED_JVM,
                settings.gc_log_option(self.jobmanager_gc_log),
                *self.jobmanager_archive.use_or_record(),
            ),
            *("--job-classname", "org.apache.flink.client.python.PythonDriver"),
            *("--job-id", self._job_id),
            *restored,
            *self._program,
        )

    def taskmanager_command(self, number: int = 1) -> list[str]:
        """Each TaskManager is a process with this command; they count from 1."""
        archive = self.taskmanager_archive
        return self._command(
            numbered("taskmanager", number),
            self._classpath,
            "org.apache.flink.runtime.taskexecutor.TaskManagerRunner",
            self._heaps.taskmanager,
            (
                f"-XX:MaxDirectMemorySize={settings.DIRECT_MIB + settings.NETWORK_MIB}m",
                *settings.TASKMANAGER_JVM,
                settings.gc_log_option(self.taskmanager_gc_log(number)),
                *(archive.use_or_record() if number == 1 else archive.use()),
            ),
        )

    def _command(
        self,
        part: str,
        classpath: Sequence[Path],
        main_class: str,
        heap_mib: int,
        options: Sequence[str],
        *arguments: str,
    ) -> list[str]:
        # What a killed one left, its working state above all, is of no use to the next.
        temporary = self._temporary / part
        shutil.rmtree(temporary, ignore_errors=True)
        temporary.mkdir(parents=True)
        return jvm.command(
            classpath,
            main_class,
            *("--configDir", str(self.conf_dir), "-D", f"io.tmp.dirs={temporary}"),
            # They change while the stack is up, and a file can't be written to a full disk.
            *("-D", f"taskmanager.numberOfTaskSlots={self._slots}"),
            *("-D", f"taskmanager.cpu.cores={self._slots}"),
            *arguments,
            log4j=self._log4j,
            temporary=temporary,
            heap_mib=heap_mib,
            options=(
                *settings.FLINK_JVM,
                f"-XX:MaxMetaspaceSize={settings.METASPACE_MIB}m",
                *options,
            ),
        )


def environment(log_dir: Path, cluster: Flink | None) -> dict[str, str]:
    """Flink's processes and the job's client need this in their environment.

    Thread mode runs Python inside the TaskManager's JVM, where no virtual environment is active:
    by PYTHONPATH it finds what this process does.
    """
    places = [*map(Path, sys.path), PROJECT_DIR, *catalog().folders()]
    standard = sysconfig.get_path("stdlib")
    path = dict.fromkeys(str(each.absolute()) for each in places if each.is_dir())
    path.pop(standard, None)
    variables = {
        "JAVA_HOME": str(jvm.java_home()),
        "FLINK_HOME": str(flink_home()),
        "FLINK_OPT_DIR": str(flink_home() / "opt"),
        "FLINK_LOG_DIR": str(log_dir),
        "PYTHONPATH": ":".join(path),
        "JVM_ARGS": " ".join((f"-Xmx{CLIENT_HEAP_MIB}m", *settings.SHORT_LIVED_JVM)),
        "MALLOC_ARENA_MAX": str(settings.MALLOC_ARENAS),
        "LC_ALL": "C.UTF-8",  # else a JVM may find no file whose name has other letters
    }
    if cluster is not None:
        variables["FLINK_CONF_DIR"] = str(cluster.conf_dir)
    return variables
