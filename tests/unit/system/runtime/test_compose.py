"""docker-compose.yml: well formed, and with the very settings of the stack without containers."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from machine import ports
from system.routes import SERVICES
from system.runtime import jars, settings
from system.runtime.options import StackOptions
from system.runtime.stack import DRAIN_TIMEOUT_S

ROOT = Path(__file__).parents[4]
FILE = ROOT / "docker-compose.yml"
COMPOSE = yaml.safe_load(FILE.read_text())
CONTAINERS = COMPOSE["services"]
DEFAULTS = StackOptions()
UNITS = {"m": 1, "g": 1024}
JOBMANAGER_OFF_HEAP_MIB = 128
JOBMANAGER_OVERHEAD_MIB = 192
"""Flink's defaults, which settings.py leaves as they are."""


def validate(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=60)


def arguments(container):
    """A command as its option → value."""
    command = CONTAINERS[container]["command"]
    words = command.split() if isinstance(command, str) else command
    return dict(zip(words[3::2], words[4::2], strict=True))


def mib(size):
    return int(size[:-1]) * UNITS[size[-1]]


def test_the_file_is_of_the_compose_schema():
    found = validate(FILE)
    assert found.returncode == 0, found.stdout


def test_the_schema_finds_a_mistake(tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(FILE.read_text().replace("mem_limit:", "memory_limit:"))
    assert "memory_limit" in validate(broken).stdout


def test_docker_compose_takes_it_where_there_is_one():
    """Besides the schema, which is checked everywhere: the plugin is not on each machine."""
    docker = shutil.which("docker")
    if (
        docker
        and subprocess.run([docker, "compose", "version"], capture_output=True).returncode == 0
    ):
        command = [docker, "compose", "-f", str(FILE), "config", "--quiet"]
        found = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert found.returncode == 0, found.stderr


def test_kafka_has_the_same_properties():
    assert COMPOSE["configs"]["kafka"]["content"] == settings.render_properties(
        settings.kafka_properties(
            ("kafka", 9092), ("kafka", 9093), "/var/lib/kafka/data", bind_host="0.0.0.0"
        )
    )


def test_flink_has_the_same_configuration():
    assert COMPOSE["configs"]["flink"]["content"] == settings.render_yaml(
        settings.flink_configuration(
            jobmanager=("jobmanager", 6123),
            rest=("jobmanager", 8081),
            taskmanager_host=None,
            checkpoint_uri="file:///var/lib/kaflinkshop/checkpoints",
            heaps=DEFAULTS.heaps,
            bind_host="0.0.0.0",
        )
    )


def test_every_jvm_logs_the_same_way():
    assert COMPOSE["configs"]["log4j"]["content"] == settings.LOG4J
    used = {config["source"] for each in CONTAINERS.values() for config in each.get("configs", ())}
    assert used == COMPOSE["configs"].keys()


def test_kafka_is_the_same_jvm_and_version():
    kafka = CONTAINERS["kafka"]
    heap = settings.KAFKA_HEAP_MIB
    assert kafka["environment"]["KAFKA_HEAP_OPTS"] == f"-Xms{heap}m -Xmx{heap}m"
    assert kafka["environment"]["KAFKA_JVM_PERFORMANCE_OPTS"].split() == [*settings.KAFKA_JVM]
    _, _, version = jars.SETS["kafka"][0].split(":")
    assert kafka["image"] == f"apache/kafka:{version}"


def test_the_topics_are_made_by_the_same_module():
    """So their partitions and configuration are those of settings.py by construction."""
    command = CONTAINERS["topics"]["command"]
    assert command == "python -m system.runtime.topics --bootstrap kafka:9092"


def test_the_job_has_the_same_arguments():
    given = arguments("job")
    connector = [f"/opt/connector/{jar.file_name}" for jar in jars.read_lock()["connector"]]
    assert given == {
        "--bootstrap": "kafka:9092",
        "--rest": "jobmanager:8081",
        "--execution-mode": DEFAULTS.execution_mode,
        "--parallelism": str(DEFAULTS.parallelism),
        "--connector-jars": ",".join(connector),
    }
    assert DEFAULTS.services == SERVICES, "all of them is the job's default"


def test_the_gateway_has_the_same_arguments():
    given = arguments("gateway")
    assert given["--bootstrap"] == "kafka:9092"
    assert given["--port"] == str(ports.GATEWAY.port)
    assert f"127.0.0.1:{ports.GATEWAY.port}:{ports.GATEWAY.port}" in CONTAINERS["gateway"]["ports"]
    assert given["--workers"] == str(DEFAULTS.workers)
    assert given.keys() == {"--bootstrap", "--host", "--port", "--gateway-id", "--workers"}
    assert float(CONTAINERS["gateway"]["stop_grace_period"].removesuffix("s")) == DRAIN_TIMEOUT_S


def test_memory_limits_hold_what_each_process_is_configured_for():
    limits = {name: mib(each["mem_limit"]) for name, each in CONTAINERS.items()}
    assert limits["kafka"] >= 1.5 * settings.KAFKA_HEAP_MIB
    assert limits["jobmanager"] >= (
        settings.JOBMANAGER_HEAP_MIB
        + JOBMANAGER_OFF_HEAP_MIB
        + settings.METASPACE_MIB
        + JOBMANAGER_OVERHEAD_MIB
    )
    assert limits["taskmanager"] >= (
        settings.TASKMANAGER_HEAP_MIB
        + settings.DIRECT_MIB
        + settings.NETWORK_MIB
        + settings.MANAGED_MIB
        + settings.METASPACE_MIB
        + settings.OVERHEAD_MIB
    )


def test_nothing_is_published_beyond_loopback():
    published = [port for each in CONTAINERS.values() for port in each.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_container_waits_for_what_it_needs(name):
    waits = CONTAINERS[name].get("depends_on", {})
    for other, wait in waits.items():
        ends = other in ("topics", "job")
        assert wait["condition"] == (
            "service_completed_successfully" if ends else "service_healthy"
        )
        assert ends or "healthcheck" in CONTAINERS[other]


def test_the_image_is_of_the_project_s_python():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    python = re.search(r"^FROM python:(\d+\.\d+)\.\d+", dockerfile, re.MULTILINE)
    assert python
    assert f'requires-python = ">={python[1]},' in (ROOT / "pyproject.toml").read_text()
    assert f"lib/python{python[1]}/site-packages" in dockerfile
    assert "--requirement requirements.lock" in dockerfile
