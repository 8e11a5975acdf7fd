import pytest

from bench.costs.loaded_stacks import drawn
from bench.errors import BenchError
from system.runtime.registry import Entry


def entry(**pids: list[int]) -> Entry:
    return Entry("shop", 1, "http://127.0.0.1:1", [], "127.0.0.1:2", "127.0.0.1:3", "/data", pids)


def test_flame_graphs_are_of_what_takes_requests():
    assert drawn(entry(gateway=[5], flink_taskmanager=[7])) == (5, 7)
    supervised = entry(gateway=[5, 6, 8], flink_taskmanager=[7], flink_taskmanager_2=[9])
    assert drawn(supervised) == (8, 7)


def test_who_runs_on_a_flink_that_exists_has_none():
    with pytest.raises(BenchError, match=r"^shop runs no TaskManager"):
        drawn(entry(gateway=[5]))
