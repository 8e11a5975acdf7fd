"""deploy/kubernetes/: against the operators' own schemas, and with the settings of the stack."""

import copy
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml
from support import crds

from bench.faults.up import CLUSTER_OPTIONS
from system.routes import SERVICES
from system.runtime import container, jars, settings
from system.wire import dead_topic, input_topic

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = [
    each for file in sorted(FOLDER.glob("*.yaml")) for each in yaml.safe_load_all(file.read_text())
]
CORE = {"PersistentVolumeClaim", "StatefulSet", "Service", "PodDisruptionBudget"}
"""These are Kubernetes' own kinds."""
VERSIONS = "1.30", "1.37"
"""The oldest and the newest Kubernetes that the manifests are for."""
LEFT_OUT = (
    *("listeners", "advertised.", "broker.", "listener.", "host.name", "port"),
    *("inter.broker.listener.name", "sasl.", "ssl.", "security.", "password.", "log.dir"),
    *("authorizer.", "super.user", "cruise.control.metrics."),
    *("node.id", "process.roles", "controller.", "metadata.log.dir"),
)
"""Strimzi takes no settings that begin so (its KafkaClusterSpec); no schema tells them."""
NEWER = ("spec", "flinkVersion")
"""The pinned API of Flink's operator knows versions up to 1.20; all else is checked as it is."""


def of_kind(kind):
    return [each for each in MANIFESTS if each["kind"] == kind]


@pytest.fixture(scope="module")
def schemas(tmp_path_factory):
    return crds.schemas(tmp_path_factory.mktemp("crds"))


def faults(schema, manifest):
    found = jsonschema.Draft202012Validator(schema).iter_errors(manifest)
    return [(tuple(each.absolute_path), each.message) for each in found]


def own_faults(manifest):
    found = []
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except kubernetes_validate.ValidationError as fault:
            found.append((tuple(fault.absolute_path), fault.message))
    return found


@pytest.fixture
def checked(schemas):
    def checked(manifest):
        if manifest["kind"] in CORE:
            return own_faults(manifest)
        schema = schemas[manifest["apiVersion"], manifest["kind"]]
        found = faults(schema, manifest)
        if manifest["kind"] == "FlinkDeployment":
            (version,) = [each for each in found if each[0] == NEWER]
            assert "'v2_2' is not one of" in version[1]
            found.remove(version)
        return found

    return checked


def test_every_resource_is_of_its_schema(checked):
    assert {each["kind"] for each in MANIFESTS} == {"FlinkDeployment", *crds.CLASSES, *CORE}
    assert [(each["metadata"]["name"], checked(each)) for each in MANIFESTS if checked(each)] == []


BROKEN: list[tuple[str, list[str], Any]] = [
    ("FlinkDeployment", ["spec", "job", "upgradeMode"], "laststate"),
    ("FlinkDeployment", ["spec", "job", "paralellism"], 2),
    ("FlinkDeployment", ["spec", "taskManager", "replicas"], "two"),
    ("FlinkDeployment", ["spec", "podTemplate", "spec", "volumes", "0", "emtyDir"], {}),
    ("FlinkDeployment", ["spec", "flinkConfiguration"], ["a"]),
    ("Kafka", ["spec", "kafka", "listeners", "0", "type"], "inside"),
    ("Kafka", ["spec", "kafka", "replicas"], 3),
    ("KafkaNodePool", ["spec", "roles", "0"], "leader"),
    ("KafkaNodePool", ["spec", "storage", "size"], 20),
    ("KafkaTopic", ["spec", "partitions"], 0),
    ("KafkaTopic", ["spec", "topic"], "user_in"),
    ("StatefulSet", ["spec", "template", "spec", "containers", "0", "readynessProbe"], {}),
    ("StatefulSet", ["spec", "replicas"], "2"),
    ("Service", ["spec", "ports", "0", "port"], "http"),
    ("PodDisruptionBudget", ["spec", "maxUnavailible"], 1),
    ("PersistentVolumeClaim", ["spec", "accessModes"], "ReadWriteMany"),
]


@pytest.mark.parametrize(("kind", "path", "value"), BROKEN, ids=lambda each: str(each)[:60])
def test_a_mistake_is_found(checked, kind, path, value):
    broken = copy.deepcopy(of_kind(kind)[0])
    place = broken
    for step in path[:-1]:
        place = place[int(step)] if isinstance(place, list) else place[step]
    if isinstance(place, list):
        place[int(path[-1])] = value
    else:
        place[path[-1]] = value
    assert checked(broken)


def test_kafka_has_no_setting_that_strimzi_leaves_out():
    config = of_kind("Kafka")[0]["spec"]["kafka"]["config"]
    assert [name for name in config if name.startswith(LEFT_OUT)] == []


def test_a_missing_field_is_found(checked):
    broken = copy.deepcopy(of_kind("KafkaNodePool")[0])
    del broken["spec"]["storage"]
    assert checked(broken)


def test_kafka_has_the_settings_of_three_brokers():
    expected = container.kafka_properties("a", ["a", "b", "c"], "h:1")
    given = of_kind("Kafka")[0]["spec"]["kafka"]["config"]
    names = settings.KAFKA.keys() | settings.KAFKA_REPLICATED.keys()
    own = {name: value for name, value in expected.items() if name in names}
    # Strimzi has these in hand itself.
    for name in ("process.roles", "node.id", "controller.listener.names"):
        del own[name]
    for name in ("inter.broker.listener.name", "listener.security.protocol.map"):
        del own[name]
    for name in ("broker.heartbeat.interval.ms", "broker.session.timeout.ms"):
        del own[name]
    assert {name: given.get(name) for name in own} == own
    heap = f"{settings.KAFKA_HEAP_MIB}m"
    assert of_kind("KafkaNodePool")[0]["spec"]["jvmOptions"] == {"-Xms": heap, "-Xmx": heap}


def test_the_topics_are_those_of_the_stack():
    given = {
        each["spec"]["topicName"]: (each["spec"]["partitions"], each["spec"]["config"])
        for each in of_kind("KafkaTopic")
    }
    inputs = list(map(input_topic, SERVICES))
    (partitions,) = {given[name][0] for name in inputs}
    config = settings.topic_config(settings.TOPIC_MIB, partitions)
    assert partitions >= of_kind("FlinkDeployment")[0]["spec"]["job"]["parallelism"]
    assert given == {
        **dict.fromkeys(inputs, (partitions, config)),
        **{dead_topic(name): (1, settings.DEAD_TOPIC) for name in inputs},
    }


def test_flink_has_the_settings_of_the_stack():
    spec = of_kind("FlinkDeployment")[0]["spec"]
    given = spec["flinkConfiguration"]
    assert spec["logConfiguration"] == {"log4j-console.properties": settings.LOG4J}, "no secrets"
    # The operator works out the processors; a slot each has the tasks spread.
    own = {name: str(value) for name, value in settings.FLINK.items() if "cpu.cores" not in name}
    own = {name: value for name, value in own.items() if "overhead" not in name}
    own["taskmanager.numberOfTaskSlots"] = "1"
    own |= {name: str(value) for name, value in container.REPORTER.items()}
    own["env.java.opts.all"] = " ".join(settings.FLINK_JVM)
    own["env.java.opts.taskmanager"] = " ".join(settings.TASKMANAGER_JVM)
    assert {name: given.get(name) for name in own} == own


def test_the_taskmanagers_memory_is_the_sum_of_its_parts():
    """Flink does not start where it is not."""
    spec = of_kind("FlinkDeployment")[0]["spec"]
    parts = [
        int(value.removesuffix("m"))
        for name, value in spec["flinkConfiguration"].items()
        if name.startswith("taskmanager.memory.") and not name.endswith(".min")
    ]
    assert f"{sum(parts)}m" == spec["taskManager"]["resource"]["memory"]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["taskmanager"]
    assert spec["taskManager"]["resource"]["memory"] == compose["mem_limit"], "with its reserve"


def test_the_image_bounds_mallocs_arenas_as_processes_are():
    """Flink's own image has jemalloc for that; this one's entry point is another."""
    text = (ROOT / "deploy" / "Dockerfile").read_text()
    stage = text.partition(" AS kubernetes\n")[2].partition("\nFROM ")[0]
    assert f"    MALLOC_ARENA_MAX={settings.MALLOC_ARENAS} \\\n" in stage


def test_the_job_has_the_arguments_of_the_stack():
    job = of_kind("FlinkDeployment")[0]["spec"]["job"]
    given = dict(zip(job["args"][::2], job["args"][1::2], strict=True))
    connector = [f"/opt/connector/{jar.file_name}" for jar in jars.read_lock()["connector"]]
    cluster = of_kind("Kafka")[0]["metadata"]["name"]
    assert given == {
        "-pyclientexec": "/opt/venv/bin/python",
        "-pym": "system.flink_job.pipeline",
        "--bootstrap": f"{cluster}-kafka-bootstrap:9092",
        "--parallelism": str(job["parallelism"]),
        "--known-task-mib": str(settings.KNOWN_MIB),  # of one task a TaskManager
        "--timeout-s": wanted(CLUSTER_OPTIONS, "--timeout-s"),
        "--connector-jars": ",".join(connector),
    }


def wanted(words, option):
    return words[words.index(option) + 1]


def test_the_gateways_have_the_arguments_of_the_cluster_s():
    (container_,) = of_kind("StatefulSet")[0]["spec"]["template"]["spec"]["containers"]
    given = dict(zip(container_["args"][::2], container_["args"][1::2], strict=True))
    port = container_["ports"][0]["containerPort"]
    cluster = of_kind("Kafka")[0]["metadata"]["name"]
    assert container_["command"] == ["python", "-m", "system.gateway"]
    assert given == {
        "--bootstrap": f"{cluster}-kafka-bootstrap:9092",
        "--host": "0.0.0.0",
        "--port": str(port),
        "--gateway-id": "$(POD_NAME)",
        "--timeout-s": wanted(CLUSTER_OPTIONS, "--timeout-s"),
        "--when-silent": "refuse",
    }
    assert "--gateway-option=--when-silent=refuse" in CLUSTER_OPTIONS
    grace_s = of_kind("StatefulSet")[0]["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert grace_s > float(given["--timeout-s"])


def test_service_and_budget_are_of_the_gateways():
    (gateway,), (service,), (budget,) = map(
        of_kind, ("StatefulSet", "Service", "PodDisruptionBudget")
    )
    labels = gateway["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
    assert gateway["spec"]["selector"]["matchLabels"] == labels
    assert gateway["spec"]["serviceName"] == service["metadata"]["name"]
    assert gateway["spec"]["replicas"] > budget["spec"]["maxUnavailable"]
