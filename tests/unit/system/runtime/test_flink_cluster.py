"""Python inside Flink finds what the process finds that starts the stack, in its order."""

import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from support.packages import install, points

from system.catalog import read
from system.runtime import flink_cluster, settings
from system.runtime.flink_cluster import PROJECT_DIR, Flink, environment

ROOT = Path(__file__).parents[4]


def path_of(tmp_path: Path) -> list[str]:
    return environment(tmp_path, None)["PYTHONPATH"].split(":")


def test_it_is_what_this_process_finds_in_its_order(tmp_path, monkeypatch):
    first, last = tmp_path / "first", tmp_path / "last"
    for folder in (first, last):
        folder.mkdir()
    (tmp_path / "file").touch()
    packages = sysconfig.get_path("purelib")
    gone = [str(tmp_path / "none"), str(tmp_path / "file"), sysconfig.get_path("stdlib")]
    monkeypatch.setattr(sys, "path", [str(first), *gone, packages, str(first), str(last)])
    assert path_of(tmp_path) == [str(first), packages, str(last), str(PROJECT_DIR)]


def test_an_editable_package_is_found_that_no_path_leads_to(tmp_path, monkeypatch):
    install(tmp_path, "my-greeting")
    monkeypatch.setattr(sys, "modules", sys.modules.copy())
    with monkeypatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        catalog = read(points(tmp_path))
    monkeypatch.setattr(flink_cluster, "catalog", lambda: catalog)
    assert str(tmp_path) not in sys.path
    assert path_of(tmp_path)[-1] == str(tmp_path)


def test_processes_have_the_slots_of_when_they_start_and_nothing_is_written(tmp_path):
    cluster = Flink(tmp_path, 1, 2, settings.Heaps(), "0" * 32, ())

    def told(command: list[str]) -> set[str]:
        return {each for each in command if each.startswith("taskmanager.")}

    def slots(count: int) -> set[str]:
        return {f"taskmanager.numberOfTaskSlots={count}", f"taskmanager.cpu.cores={count}"}

    before = {each: each.read_bytes() for each in cluster.conf_dir.iterdir()}
    assert told(cluster.taskmanager_command()) == slots(settings.TASK_SLOTS)
    cluster.scale(("a", "b"), 2)
    assert told(cluster.taskmanager_command(2)) == slots(2)
    assert told(cluster.jobmanager_command()) == slots(2)
    assert cluster.jobmanager_command()[-2:] == ["a", "b"]
    assert {each: each.read_bytes() for each in cluster.conf_dir.iterdir()} == before
    for name in ("config.yaml", "log4j2.properties"):
        assert before[cluster.conf_dir / name]


@pytest.mark.parametrize(
    "command",
    [
        "system up --port 0 --kafka-port 0 --flink-rest-port 0 --name broken",
        "system.gateway --bootstrap 127.0.0.1:1",
        "system.runtime.topics --bootstrap 127.0.0.1:1",
        "system.flink_job.pipeline --bootstrap 127.0.0.1:1 --connector-jars none.jar",
        "bench run --quick",
    ],
)
def test_a_package_that_can_not_be_hosted_ends_a_start_in_one_line(tmp_path, command):
    install(tmp_path, "my-greeting", source="1 / 0")
    done = subprocess.run(
        [sys.executable, "-m", *command.split()],
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert "the service greeting of the package my-greeting: my_greeting can't be imported" in line
    assert line.endswith("ZeroDivisionError: division by zero); mend it, or uninstall my-greeting")
