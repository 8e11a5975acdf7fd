"""A Kafka broker with a second listener, which asks for TLS and a password (SASL_SSL, SCRAM)."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from machine.ports import HOST, choose
from support import certificates
from system.runtime.kafka_broker import Kafka

HEAP_MIB = 192
FORMAT_S = 60
USER, PASSWORD = "shop", "s3cret of the shop"


class SecureBroker(NamedTuple):
    plain: str
    """``host:port`` without TLS, for whoever plays the other side."""
    secure: str
    environment: dict[str, str]
    """What a client of `secure` needs."""


@contextmanager
def secure_broker(folder: Path) -> Iterator[SecureBroker]:
    """It may still be starting."""
    made = certificates.make(folder)
    controller = choose(0, "")
    kafka = Kafka(folder / "kafka", choose(0, ""), controller, HEAP_MIB, stack_id=uuid4().hex)
    secure = f"{HOST}:{choose(0, '')}"
    listeners = f"PLAINTEXT://{kafka.bootstrap_servers},SASL_SSL://{secure}"
    listener = "listener.name.sasl_ssl."
    changed = {
        "listeners": f"{listeners},CONTROLLER://{HOST}:{controller}",
        "advertised.listeners": f"{listeners},CONTROLLER://{HOST}:{controller}",
        "listener.security.protocol.map": (
            "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_SSL:SASL_SSL"
        ),
        listener + "ssl.keystore.type": "PEM",
        listener + "ssl.keystore.location": str(made.both),
        listener + "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        listener + "scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
    with (folder / "kafka" / "server.properties").open("a") as properties:
        # Of a key that stands there twice, the last one holds.
        properties.writelines(f"{key}={value}\n" for key, value in changed.items())
    user = f'SCRAM-SHA-512=[name="{USER}",password="{PASSWORD}"]'
    subprocess.run(
        [*kafka.format_command(), "--add-scram", user],
        check=True,
        capture_output=True,
        timeout=FORMAT_S,
    )
    environment = {
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SSL_CA_FILE": str(made.authority),
        "KAFKA_SASL_USERNAME": USER,
        "KAFKA_SASL_PASSWORD": PASSWORD,
    }
    with (folder / "broker.log").open("ab") as log:
        process = subprocess.Popen(kafka.command(), stdout=log, stderr=log)
    try:
        yield SecureBroker(kafka.bootstrap_servers, secure, environment)
    finally:
        process.kill()
        process.wait()
