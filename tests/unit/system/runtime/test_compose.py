"""docker-compose.yml: well formed, bounded, and with the settings of a stack of processes."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.faults.up import CLUSTER_OPTIONS
from machine import ports
from system.gateway.limits import Limits
from system.gateway.metrics import Metrics
from system.runtime import container, settings
from system.runtime.options import StackOptions
from system.runtime.waits import DRAIN_TIMEOUT_S
from system.wire import TIMEOUT_S

ROOT = Path(__file__).parents[4]
FILE = ROOT / "docker-compose.yml"
COMPOSE = yaml.safe_load(FILE.read_text())
CONTAINERS = COMPOSE["services"]
DEFAULT = {name for name, each in CONTAINERS.items() if each["profiles"] == ["default"]}
ONE_SHOT = {name for name in CONTAINERS if name.endswith("topics")}
WORKERS = {"locust-worker"}
"""Which serve nobody: their master knows whether they live."""
PROFILES = {"default", "cluster", "observe", "bench"}
UNITS = {"m": 1, "g": 1024}
JOBMANAGER_OFF_HEAP_MIB = 128
JOBMANAGER_OVERHEAD_MIB = 192
"""Flink's defaults."""


def validate(path):
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=60)


def words(name):
    """The command of a container; the variables of ports have their defaults."""
    return re.sub(r"\$\{\w+:-(\w+)\}", r"\1", CONTAINERS[name]["command"]).split()


def arguments(name):
    """A command as its option → value."""
    return dict(zip(words(name)[3::2], words(name)[4::2], strict=True))


def parts(kind):
    """Container → parsed arguments, of those that run this part."""
    module = ["python", "-m", "system.runtime.container", kind]
    return {
        name: container.parse(words(name)[3:])
        for name, each in CONTAINERS.items()
        if str(each.get("command")).split()[:4] == module
    }


def mib(size):
    return int(size[:-1]) * UNITS[size[-1]]


def test_the_file_is_of_the_compose_schema():
    found = validate(FILE)
    assert found.returncode == 0, found.stdout


def test_the_schema_finds_a_mistake(tmp_path):
    broken = tmp_path / "docker-compose.yml"
    broken.write_text(FILE.read_text().replace("mem_limit:", "memory_limit:"))
    assert "memory_limit" in validate(broken).stdout


@pytest.mark.parametrize("command", [("docker", "compose"), ("docker-compose",)])
def test_compose_takes_it_where_there_is_one(command):
    """Besides the schema, which is checked everywhere: neither is on each machine."""
    if (
        not shutil.which(command[0])
        or subprocess.run([*command, "version"], capture_output=True).returncode
    ):
        pytest.skip(f"there is no {' '.join(command)} here")
    asked = [*command, "-f", str(FILE), "config", "--quiet"]
    found = subprocess.run(asked, capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert found.returncode == 0, found.stderr


def test_without_a_profile_it_is_the_default_one():
    lines = (ROOT / ".env").read_text().splitlines()
    assert {"COMPOSE_PROFILES=default", "COMPOSE_PROJECT_NAME=kaflinkshop"} <= {*lines}
    assert {"kafka", "topics", "jobmanager", "taskmanager", "gateway"} == DEFAULT


def test_a_broker_has_the_settings_of_the_stack_and_a_listener_for_the_machine_outside():
    one = settings.kafka_properties(
        ("kafka", 9092), ("kafka", 9093), "/var/lib/kaflinkshop/kafka/log", bind_host="0.0.0.0"
    )
    found = container.kafka_properties("kafka", ["kafka"], "127.0.0.1:9092")
    differing = {name for name in one.keys() | found.keys() if one.get(name) != found.get(name)}
    assert differing == {"listeners", "advertised.listeners", "listener.security.protocol.map"}
    for name in differing:
        assert found[name].startswith(one[name] + ",PUBLISHED:")
    assert found["advertised.listeners"].endswith(",PUBLISHED://127.0.0.1:9092")


def test_three_brokers_have_the_settings_of_three_and_know_each_other():
    names = ["kafka-1", "kafka-2", "kafka-3"]
    brokers = {name: each for name, each in parts("kafka").items() if len(each.quorum) > 1}
    assert {name: each.quorum for name, each in brokers.items()} == dict.fromkeys(names, names)
    for number, name in enumerate(names, 1):
        found = container.kafka_properties(name, names, "127.0.0.1:1")
        own = settings.KAFKA_REPLICATED | {"node.id": str(number)}
        assert {each: found[each] for each in own} == own
        assert found["controller.quorum.voters"] == "1@kafka-1:9093,2@kafka-2:9093,3@kafka-3:9093"
        assert found["log.dirs"] == f"/var/lib/kaflinkshop/{name}/log"


def test_the_cluster_s_tasks_are_spread():
    (manager,) = (each for name, each in parts("jobmanager").items() if name.startswith("cluster"))
    workers = [each for each in parts("taskmanager").values() if each.jobmanager == manager.host]
    slots = settings.task_slots(manager.parallelism, len(workers))
    assert [each.slots for each in workers] == [slots, slots]
    assert len(manager.bootstrap.split(",")) == settings.BROKERS_MAX
    partitions = dict(
        zip(words("cluster-topics")[3::2], words("cluster-topics")[4::2], strict=True)
    )
    assert partitions["--partitions"] == str(manager.parallelism)


def test_flink_has_the_configuration_of_the_stack_and_tells_its_metrics():
    one = settings.flink_configuration(
        jobmanager=("jobmanager", 6123),
        rest=("jobmanager", 8081),
        taskmanager_host=None,
        checkpoint_uri="file:///var/lib/kaflinkshop/flink/checkpoints",
        heaps=StackOptions().heaps,
        bind_host="0.0.0.0",
    )
    found = container.flink_configuration("jobmanager")
    assert {name: found[name] for name in one} == one
    added = found.keys() - one.keys() - {"python.client.executable"}
    assert all(name.startswith("metrics.reporter.prometheus.") for name in added)


def test_each_part_is_reached_under_the_name_of_its_container():
    brokers, managers = parts("kafka"), parts("jobmanager")
    for name, broker in brokers.items():
        assert broker.host == name
        assert name in broker.quorum
        assert {brokers[other].quorum == broker.quorum for other in broker.quorum} == {True}
        assert CONTAINERS[name]["ports"] == [f"{PUBLISHED_BY[name]}:{container.PUBLISHED}"], (
            "the address that it tells is the one that is published"
        )
    for name, manager in managers.items():
        assert manager.host == name
        assert {each.split(":")[0] for each in manager.bootstrap.split(",")} <= brokers.keys()
    for worker in parts("taskmanager").values():
        assert worker.jobmanager in managers


PUBLISHED_BY = {
    name: re.search(r"--published (\S+)", each["command"])[1]
    for name, each in CONTAINERS.items()
    if "--published" in str(each.get("command"))
}


def test_the_default_ports_are_those_of_the_stack_without_containers():
    published = {name: CONTAINERS[name].get("ports", []) for name in DEFAULT}
    numbers = {
        name: int(re.search(r":-(\d+)\}:\d+$", each)[1])
        for name, found in published.items()
        for each in found
    }
    assert numbers == {
        "kafka": ports.KAFKA.port,
        "jobmanager": ports.FLINK_PAGE.port,
        "gateway": ports.GATEWAY.port,
    }


def test_the_topics_are_made_by_the_same_module():
    """So their partitions and configuration are those of settings.py by construction."""
    command = CONTAINERS["topics"]["command"]
    assert command == "python -m system.runtime.topics --bootstrap kafka:9092"


def test_the_gateway_has_the_same_arguments():
    given = arguments("gateway")
    assert given["--bootstrap"] == "kafka:9092"
    assert given["--workers"] == str(StackOptions().workers)
    assert given.keys() == {"--bootstrap", "--host", "--port", "--gateway-id", "--workers"}
    assert float(CONTAINERS["gateway"]["stop_grace_period"].removesuffix("s")) == DRAIN_TIMEOUT_S


def test_the_cluster_s_gateways_promise_what_those_of_processes_do():
    (chosen,) = {
        tuple(arguments(name)[option] for option in ("--timeout-s", "--when-silent"))
        for name in CONTAINERS
        if name.startswith("gateway-")
    }
    wait_s, when_silent = chosen
    assert CLUSTER_OPTIONS[CLUSTER_OPTIONS.index("--timeout-s") + 1] == wait_s
    options = [each for each in CLUSTER_OPTIONS if each.startswith("--gateway-option")]
    assert options == [f"--gateway-option=--when-silent={when_silent}"]
    timeouts = {name: each.timeout_s for name, each in parts("jobmanager").items()}
    assert timeouts == {"cluster-jobmanager": float(wait_s), "jobmanager": TIMEOUT_S}
    balancer = (ROOT / "deploy" / "haproxy.cfg").read_text()
    for side in ("client", "server"):
        (allowed_s,) = re.findall(rf"^ *timeout {side} (\d+)s$", balancer, re.MULTILINE)
        assert int(allowed_s) > float(wait_s), "the balancer must not answer 504 before"


def test_where_no_gateway_is_ready_the_balancer_refuses_as_one_does():
    head, _, body = (ROOT / "deploy" / "503.http").read_bytes().partition(b"\r\n\r\n")
    status, *headers = head.decode().split("\r\n")
    assert " 503 " in status
    given = dict(header.split(": ") for header in headers)
    assert given["Retry-After"] == str(Limits().retry_after_s)
    assert int(given["Content-Length"]) == len(body)
    assert json.loads(body)["error"]["code"] == "unavailable"


def test_memory_limits_hold_what_each_process_is_configured_for():
    for kind, needed in {
        "kafka": 1.5 * settings.KAFKA_HEAP_MIB,
        "jobmanager": settings.JOBMANAGER_HEAP_MIB
        + JOBMANAGER_OFF_HEAP_MIB
        + settings.METASPACE_MIB
        + JOBMANAGER_OVERHEAD_MIB,
        "taskmanager": settings.TASKMANAGER_HEAP_MIB
        + settings.DIRECT_MIB
        + settings.NETWORK_MIB
        + settings.MANAGED_MIB
        + settings.METASPACE_MIB
        + settings.OVERHEAD_MIB
        + settings.KNOWN_MIB,
    }.items():
        found = parts(kind)
        assert found
        assert all(mib(CONTAINERS[name]["mem_limit"]) >= needed for name in found)


def test_nothing_is_published_beyond_loopback():
    published = [port for each in CONTAINERS.values() for port in each.get("ports", ())]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_container_is_bounded_watched_and_without_rights(name):
    each = CONTAINERS[name]
    assert {"mem_limit", "pids_limit", "restart", "logging"} <= each.keys()
    assert each["cap_drop"] == ["ALL"]
    assert each["security_opt"] == ["no-new-privileges:true"]
    assert each["restart"] == ("no" if name in ONE_SHOT else "unless-stopped")
    assert name in ONE_SHOT | WORKERS or "healthcheck" in each
    assert "build" in each or re.search(r":\d+\.\d+\.\d+\}$", each["image"]), "a version"


@pytest.mark.parametrize("name", CONTAINERS)
def test_each_container_waits_for_what_it_needs_in_its_own_profile(name):
    running = "service_started" if name == "balancer" else "service_healthy"
    for other, wait in CONTAINERS[name].get("depends_on", {}).items():
        wanted = "service_completed_successfully" if other in ONE_SHOT else running
        assert wait["condition"] == wanted
        assert {*CONTAINERS[name]["profiles"]} <= {*CONTAINERS[other]["profiles"]}


def test_what_a_stack_keeps_is_in_one_named_volume():
    assert {each["profiles"][0] for each in CONTAINERS.values()} == PROFILES
    sources = {}
    for name in (*parts("kafka"), *parts("jobmanager"), *parts("taskmanager")):
        (volume,) = CONTAINERS[name]["volumes"]
        source, target = volume.split(":")
        sources.setdefault(CONTAINERS[name]["profiles"][0], set()).add(source)
        assert target == str(container.DATA)
    (one,), (cluster,) = sources["default"], sources["cluster"]
    assert len({one, cluster} & COMPOSE["volumes"].keys()) == 2


def test_the_image_is_of_the_project_s_python_and_of_one_base():
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text()
    (python,) = re.findall(r"^ARG BASE=python:(\d+\.\d+)-", dockerfile, re.MULTILINE)
    assert f'requires-python = ">={python},' in (ROOT / "pyproject.toml").read_text()
    assert "--require-hashes --requirement requirements.lock" in dockerfile
    stages = re.findall(r"^FROM (\S+) AS (\S+)$(.*?)(?=^FROM|\Z)", dockerfile, re.M | re.S)
    assert {source for source, _, _ in stages} - {name for _, name, _ in stages} == {"$BASE"}
    for _, name, steps in stages:
        (*_, user) = re.findall(r"^USER (\S+)", steps, re.M)
        assert user != "root", name


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["kafka", "--host", "a", "--quorum", "b,c", "--published", "h:1"],
        ["kafka", "--host", "a", "--quorum", "a", "--published", "h"],
        ["jobmanager", "--host", "a", "--bootstrap", "nowhere"],
        ["kafka", "--host", "a", "--quorum", "a,b", "--published", "h:1"],
        ["taskmanager"],
    ],
)
def test_wrong_usage_is_one_line_and_exit_2(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        container.main(argv)
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_volume_of_another_kind_is_one_line_and_exit_3(tmp_path, monkeypatch, capsys):
    (tmp_path / "something").write_text("else")
    monkeypatch.setattr(container, "DATA", tmp_path)
    assert container.main(["jobmanager", "--host", "a", "--bootstrap", "b:1"]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds no stack's data" in line


# What the profile `observe` shows.

OBSERVE = ROOT / "deploy" / "observe"
DASHBOARD = json.loads((OBSERVE / "dashboards" / "kaflinkshop.json").read_text())
PROMETHEUS = yaml.safe_load((OBSERVE / "prometheus.yml").read_text())
METRIC = re.compile(r"\b(?:kaflinkshop|flink|locust)_\w+")


def queries():
    return [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def named(prefix):
    names = METRIC.findall(" ".join(queries()))
    return {name for name in names if name.startswith(prefix)}


def test_each_figure_of_a_gateway_is_one_that_a_gateway_tells():
    metrics = Metrics("g", lambda: 0)
    metrics.responses["find_user", 200] += 1
    told = {line.split("{")[0] for line in metrics.text().decode().splitlines()}
    assert named("kaflinkshop_")
    assert named("kaflinkshop_") <= told


def test_each_figure_of_locust_is_one_that_its_page_tells():
    text = (ROOT / "locustfiles" / "metrics.py").read_text()
    made = re.findall(r'(Gauge|Counter)MetricFamily\(\s*"(locust_\w+)"', text)
    told = {name + ("_total" if kind == "Counter" else "") for kind, name in made}
    assert named("locust_") == told


def test_flinks_figures_and_all_others_are_asked_for_where_they_are():
    """That Flink has them, `nox -s containers` sees: it asks every query of a Prometheus."""
    assert named("flink_")
    asked = {
        (name, target["port"])
        for job in PROMETHEUS["scrape_configs"]
        for target in job["dns_sd_configs"]
        for name in target["names"]
    }
    aliases = {
        alias: name
        for name, each in CONTAINERS.items()
        for alias in each.get("networks", {"default": {}})["default"].get("aliases", ())
    }
    assert {aliases.get(name, name) for name, _ in asked} <= CONTAINERS.keys()
    flink = parts("jobmanager") | parts("taskmanager")
    assert {(name, container.METRICS) for name in flink} <= asked
    assert {("gateway-1", 8080), ("gateway-2", 8080), ("locust-master", 8089)} <= asked
    assert aliases["one-gateway"] == "gateway"
    assert ("one-gateway", 8080) in asked


def provisioned(what, file):
    return yaml.safe_load((OBSERVE / "provisioning" / what / file).read_text())[
        {"dashboards": "providers"}.get(what, what)
    ]


def test_the_dashboard_is_provisioned_from_the_one_source():
    (source,) = provisioned("datasources", "prometheus.yml")
    (provider,) = provisioned("dashboards", "kaflinkshop.yml")
    mounted = dict(volume.split(":")[:2] for volume in CONTAINERS["grafana"]["volumes"])
    assert mounted["./deploy/observe/dashboards"] == provider["options"]["path"]
    assert source["url"] == "http://prometheus:9090"
    for panel in DASHBOARD["panels"]:
        for each in (panel, *panel["targets"]):
            assert each["datasource"] == {"type": source["type"], "uid": source["uid"]}
    places = [tuple(panel["gridPos"].values()) for panel in DASHBOARD["panels"]]
    assert len({*places}) == len(places)


def test_the_load_goes_to_whatever_is_called_gateway():
    assert "--host http://gateway:8080" in CONTAINERS["locust-master"]["command"]
    assert CONTAINERS["balancer"]["networks"] == {"default": {"aliases": ["gateway"]}}
    assert CONTAINERS["locust-worker"]["scale"] == 2
