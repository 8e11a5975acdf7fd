"""What a Python program can call: the same limits and lines as the command, and a typed run."""

import subprocess
import sys
from pathlib import Path

import pytest

import bench
from bench.generator.fleet import spec_of
from bench.generator.spec import Load, Phase

WORKLOAD = """
[[request]]
operation = "look"
path = "/"
"""


@pytest.fixture
def workload(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(WORKLOAD)
    return path


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({}, "a rate or users: one of them"),
        ({"rate": 1, "users": [1]}, "a rate or users: one of them"),
        ({"users": 64}, "users: a sequence of numbers"),
        ({"users": "64"}, "users: a sequence of numbers"),
        ({"rate": 1, "agents": ["nowhere"]}, "--agents"),
        ({"rate": 1, "agents": "10.0.0.7:7070"}, "agents: a sequence of addresses"),
        ({"rate": 1, "agents": [("10.0.0.7", 7070)]}, "--agents"),
        ({"rate": 1, "agents": ["10.0.0..7:7070"]}, "--agents"),
        ({"rate": 1, "target": "http://10.0.0..2"}, "no name of a host"),
        ({"rate": 0}, "--rate"),
        ({"rate": 1, "duration_s": 601}, "--duration: '601': above 0, at most 600"),
        ({"rate": "10@3600"}, "--rate '10@3600': 3600 s, at most 600 are allowed"),
        ({"rate": "10@300,10@301"}, "601 s, at most 600"),
        ({"rate": 1, "generators": 65}, "--generators"),
        ({"rate": 1, "seed": -1}, "--seed"),
        ({"users": [1, 1]}, "each number of users once"),
        ({"rate": 1, "target": None}, "--workload needs the --target"),
        ({"rate": 1, "target": "ftp://x"}, "--target"),
        ({"rate": 1, "target": "http://127.0.0.1:1"}, "nothing listens at 127.0.0.1 port 1"),
        ({"rate": 1, "insecure": True}, "--ca and --insecure are for a --target of https"),
        ({"rate": 1, "max_failed_percent": 101}, "--max-failed"),
        ({"rate": 1, "workload": "no-such-file.toml"}, "no-such-file.toml"),
    ],
)
def test_what_can_not_be_measured_is_one_line(workload, tmp_path, options, told):
    asked = {"workload": workload, "target": "http://127.0.0.1:1", "results": tmp_path, **options}
    with pytest.raises(bench.BenchError) as failed:
        bench.measure(**asked)
    assert told in str(failed.value)
    assert "\n" not in str(failed.value)


def test_the_import_loads_nothing_and_offers_what_it_names():
    loaded = "import sys, bench; print(sorted(m for m in sys.modules if m.startswith('bench')))"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "['bench']"
    assert all(getattr(bench, name) is not None for name in bench.__all__)
    with pytest.raises(AttributeError, match="'bench' has no attribute 'run_all'"):
        bench.run_all  # noqa: B018


def test_a_generator_finds_a_workload_wherever_it_is_started(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    phase = Phase("open", 1, 0.0, 1.0)
    load = Load("mine.toml", 0.0, 1, 1, 0)
    assert spec_of("http://x", load, phase, 1, tmp_path).workload == str(tmp_path / "mine.toml")
    assert (
        spec_of("http://x", load._replace(workload="shop"), phase, 1, tmp_path).workload == "shop"
    )
