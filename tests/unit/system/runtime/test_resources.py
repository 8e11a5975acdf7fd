"""A start is refused where this machine lacks what the stack may need."""

import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from machine.errors import StackError
from system.routes import SERVICES
from system.runtime import resources
from system.runtime.options import RescaleError, StackOptions
from system.runtime.settings import Heaps

OF_TWO = StackOptions(parallelism=2, taskmanagers=2, heaps=Heaps(200, 200, 300), known_mib=50)


class TestResources:
    def test_enough(self, tmp_path):
        resources.check_disk(tmp_path, 0)
        resources.check_memory(StackOptions(), available=2**40)

    def test_too_little_disk(self, tmp_path):
        with pytest.raises(StackError, match=r"MiB free, a stack needs 1099511628544 MiB: make"):
            resources.check_disk(tmp_path, 2**40)

    def test_what_the_topics_grow_to_must_be_there(self, tmp_path, monkeypatch):
        topics_mib = StackOptions(topic_mib=16, services=("user", "echo"), brokers=3).topics_mib
        log_mib = 3 * len(SERVICES) * (16 + 2)
        assert topics_mib == math.ceil(log_mib * (1 + 20 / 256)), "the others have topics too"
        free = (topics_mib + resources.DISK_BESIDE_MIB) * 2**20
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        resources.check_disk(tmp_path, topics_mib)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free - 1))
        with pytest.raises(StackError, match="smaller --topic-mib"):
            resources.check_disk(tmp_path, topics_mib)

    def test_what_topics_take_already_is_there(self, tmp_path, monkeypatch):
        for place in (
            "kafka/log/user_in-0",
            "kafka_2/log/p.user_in-0",
            "kafka/log_2/user_in-0",
            "kafka/log/gateway_out_gw-0",
        ):
            (tmp_path / place).mkdir(parents=True)
            (tmp_path / place / "0.log").write_bytes(b"x" * 2**20)
        free = (100 - 2 + resources.DISK_BESIDE_MIB) * 2**20
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        resources.check_disk(tmp_path, 100)
        with pytest.raises(StackError, match="make room"):
            resources.check_disk(tmp_path, 101)
        free = resources.DISK_BESIDE_MIB * 2**20
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
        resources.check_disk(tmp_path, 1)

    def test_each_process_more_takes_its_part(self):
        options = replace(OF_TWO, brokers=3)
        needed = (600 + 200 + 600 + 1536 + 3 * 512 + 2 * 50) * 2**20
        resources.check_memory(options, available=needed)
        with pytest.raises(StackError):
            resources.check_memory(options, available=needed - 1)

    def test_further_taskmanagers_need_theirs(self):
        needed = 2 * (300 + 512 + 50) * 2**20
        resources.check_further(OF_TWO, 2, available=needed)
        resources.check_further(OF_TWO, 0, available=0)
        resources.check_further(OF_TWO, -1, available=0)
        with pytest.raises(RescaleError, match=r"1723 MiB of .* TaskManagers need 1724 MiB: end"):
            resources.check_further(OF_TWO, 2, available=needed - 1)

    def test_too_little_memory(self):
        with pytest.raises(StackError, match=r"^100 MiB of memory are available, a stack needs 39"):
            resources.check_memory(StackOptions(), available=100 * 2**20)
