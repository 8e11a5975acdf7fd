"""A TaskManager's tasks have no more of their state in memory than it has room for."""

import math

import pytest

from system.flink_job import pipeline
from system.runtime import container, programs, settings
from system.runtime.options import StackOptions
from tests.unit.system.runtime.test_compose import parts


@pytest.mark.parametrize(
    ("parallelism", "taskmanagers", "known_mib", "known_task_mib"),
    [(1, 1, 90, 90), (4, 1, 90, 23), (4, 2, 90, 45), (4, 1, 0, 0), (4, 1, 1, 1)],
)
def test_a_stack_s_tasks_share_it(
    parallelism: int, taskmanagers: int, known_mib: int, known_task_mib: int
) -> None:
    options = StackOptions(parallelism=parallelism, taskmanagers=taskmanagers, known_mib=known_mib)
    command = " ".join(programs.job(options, "b:1", "thread"))
    assert f"--known-task-mib {known_task_mib} " in command


def test_so_do_those_of_the_containers() -> None:
    managers = parts("jobmanager").values()
    assert len(managers) == 2
    for manager in managers:
        every = parts("taskmanager").values()
        workers = [each for each in every if each.jobmanager == manager.host]
        tasks = math.ceil(manager.parallelism / len(workers))
        assert tasks * manager.known_task_mib == settings.KNOWN_MIB


def test_a_task_of_which_nothing_is_said_has_the_share_of_one_of_four() -> None:
    default = container.parse(["jobmanager", "--host", "h", "--bootstrap", "k:9092"])
    assert settings.TASK_SLOTS * default.known_task_mib == settings.KNOWN_MIB
    job = pipeline.parse_arguments(["--bootstrap", "k:9092"], ["echo"])
    assert job.known_task_mib == default.known_task_mib
