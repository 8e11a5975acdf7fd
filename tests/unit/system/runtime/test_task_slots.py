"""How many task slots each TaskManager has: as many as the job's tasks need, and none to spare."""

import pytest

from machine.errors import StackError
from system.runtime import settings
from system.runtime.options import RescaleError, StackOptions


def test_tasks_need_slots() -> None:
    StackOptions(parallelism=8, taskmanagers=2).check_slots()
    with pytest.raises(StackError, match="parallelism 9 is more than 4 task slots of each T"):
        StackOptions(parallelism=9, taskmanagers=2).check_slots()


def test_several_taskmanagers_have_no_slot_to_spare() -> None:
    """So that none of them can take the work of another one."""
    slots = [settings.task_slots(*each) for each in ((1, 1), (4, 1), (2, 2), (5, 2), (8, 8))]
    assert slots == [4, 4, 1, 3, 1]
    for taskmanagers in range(2, settings.TASKMANAGERS_MAX + 1):
        for parallelism in range(taskmanagers, settings.PARALLELISM_MAX + 1):
            least = settings.task_slots(parallelism, taskmanagers) * (taskmanagers - 1)
            if least < parallelism:
                StackOptions(parallelism=parallelism, taskmanagers=taskmanagers)
            else:
                with pytest.raises(ValueError, match="and none for more: choose --task"):
                    StackOptions(parallelism=parallelism, taskmanagers=taskmanagers)


def test_fewer_tasks_need_fewer_taskmanagers() -> None:
    options = StackOptions(parallelism=4, taskmanagers=4)
    assert options.rescaled(2, None) == StackOptions(parallelism=2, taskmanagers=2)
    assert options.rescaled(8, None) == StackOptions(parallelism=8, taskmanagers=4)
    for wanted in ((5, 1), (65, 16), (1, 2)):
        with pytest.raises(RescaleError):
            options.rescaled(*wanted)
