"""Schemas of Kubernetes' custom resources, from the operators' own published artifacts.

Flink's operator has them in its API's jar; Strimzi's are made by its generator. Both are pinned,
and fetched once like all jars of the project.
"""

import subprocess
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import yaml

from system.runtime import jars, jvm

FLINK = jars.Jar(
    "org.apache.flink:flink-kubernetes-operator-api:1.10.0",
    "b1f44814e17514fa8395c61b329a3ee9087123a5bda5b21fe1a495d5182c30b6",
)
STRIMZI = (
    jars.Jar(
        "io.strimzi:crd-generator:1.2.0",
        "76bb2430e702a1e6a24c071d26c865d5e9572cbc630d176d3b912033ae23ed00",
    ),
    jars.Jar(
        "io.strimzi:api:1.2.0",
        "566961ae5e5646a001ae91312beda5cba3a5d467e740e205e1b761754335fe4e",
    ),
)
IN_FLINK = "META-INF/fabric8/flinkdeployments.flink.apache.org-v1.yml"
MODEL = "io.strimzi.api.kafka.model"
CLASSES = {
    "Kafka": f"{MODEL}.kafka.Kafka",
    "KafkaNodePool": f"{MODEL}.nodepool.KafkaNodePool",
    "KafkaTopic": f"{MODEL}.topic.KafkaTopic",
}
GENERATOR_S = 120.0
"""Strimzi's generator ends within this time; it takes seconds."""

Schema = dict[str, Any]


def schemas(folder: Path) -> dict[tuple[str, str], Schema]:
    """`schemas` returns those of each (apiVersion, kind); `folder` is for the generator's files."""
    (jar,) = jars.obtain("flink-operator", (FLINK,))
    definitions = [yaml.safe_load(ZipFile(jar).read(IN_FLINK))]
    classpath = jars.obtain("strimzi", STRIMZI)
    made = [f"{name}={folder / kind}.yml" for kind, name in CLASSES.items()]
    command = [str(jvm.java()), "-cp", ":".join(map(str, classpath))]
    command += ["io.strimzi.crdgenerator.CrdGenerator", "--yaml", *made]
    subprocess.run(command, check=True, capture_output=True, timeout=GENERATOR_S)
    definitions += [yaml.safe_load((folder / f"{kind}.yml").read_text()) for kind in CLASSES]
    return {
        (f"{each['spec']['group']}/{version['name']}", each["spec"]["names"]["kind"]): strict(
            of_object(version["schema"]["openAPIV3Schema"])
        )
        for each in definitions
        for version in each["spec"]["versions"]
    }


def of_object(schema: Schema) -> Schema:
    """What every object has, a definition need not name."""
    common = {"apiVersion": {"type": "string"}, "kind": {"type": "string"}}
    return schema | {
        "properties": {**common, "metadata": {"type": "object"}, **schema["properties"]}
    }


def strict(schema: Schema) -> Schema:
    """`strict` returns JSON Schema as a server with strict validation takes it: what it does not
    know it refuses, instead of leaving it out."""
    found: Schema = {name: value for name, value in schema.items() if not name.startswith("x-")}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields", False)
    if "properties" in schema:
        found["properties"] = {name: strict(each) for name, each in schema["properties"].items()}
        if not is_open and "additionalProperties" not in schema:
            found["additionalProperties"] = False
    if isinstance(schema.get("additionalProperties"), dict):
        found["additionalProperties"] = strict(schema["additionalProperties"])
    if "items" in schema:
        found["items"] = strict(schema["items"])
    if schema.get("x-kubernetes-int-or-string"):
        found["type"] = ["integer", "string"]
        found.pop("anyOf", None)
    return found
