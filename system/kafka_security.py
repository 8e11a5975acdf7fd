"""Kafka's clients prove who they are, and know whom they trust, by TLS and SASL.

TLS and SASL, by the environment.

    KAFKA_SECURITY_PROTOCOL      PLAINTEXT (the default), SSL, SASL_PLAINTEXT or SASL_SSL
    KAFKA_SSL_CA_FILE            the authorities to trust, PEM; else those of the machine
    KAFKA_SSL_CERT_FILE          the client's own certificate, PEM, with its chain …
    KAFKA_SSL_KEY_FILE           … and its key: PKCS#8, not encrypted
    KAFKA_SASL_MECHANISM         PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512 (the default)
    KAFKA_SASL_USERNAME
    KAFKA_SASL_PASSWORD          or KAFKA_SASL_PASSWORD_FILE, a file with it

The same settings hold for each client: the gateway's and the bench's on asyncio, and Flink's in
Java. Flink's travel with the job, so its machines need no such files.
"""

import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from machine.errors import StackError
from machine.secrets import SecretError, read_secret

PREFIX = "KAFKA_"
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
LOGIN_MODULES = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}
"""A SASL mechanism leads to the class that Java's clients log in with."""
PEM_BYTES_MAX = 1024 * 1024
"""A file of certificates has at most this many bytes; those of all public authorities together are
a quarter of it."""


class KafkaSecurityError(StackError):
    """The settings don't fit together; the message names the variable and says what to do."""


@dataclass(frozen=True, slots=True)
class KafkaSecurity:
    """The settings are checked, each; secrets are not in the `repr`."""

    protocol: str = "PLAINTEXT"
    authorities: str | None = None
    """The authorities are PEM, as the two below."""
    certificate: str | None = None
    key: str | None = field(default=None, repr=False)
    mechanism: str = "SCRAM-SHA-512"
    username: str = ""
    password: str = field(default="", repr=False)
    files: tuple[str, str] | None = None
    """Certificate and key are in these files: Python reads them from files only."""

    @classmethod
    def read(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """`read` takes the settings from the environment; it raises `KafkaSecurityError`."""

        def get(name: str) -> str:
            return environment.get(PREFIX + name, "")

        protocol = get("SECURITY_PROTOCOL") or "PLAINTEXT"
        if protocol not in PROTOCOLS:
            raise KafkaSecurityError(f"{PREFIX}SECURITY_PROTOCOL is not one of {PROTOCOLS}")
        settings: dict[str, Any] = {"protocol": protocol}
        if protocol.endswith("SSL"):
            if path := get("SSL_CA_FILE"):
                settings["authorities"] = _pem("SSL_CA_FILE", path, "CERTIFICATE")
            files = get("SSL_CERT_FILE"), get("SSL_KEY_FILE")
            if any(files):
                settings["certificate"] = _pem("SSL_CERT_FILE", files[0], "CERTIFICATE")
                settings["key"] = _pem("SSL_KEY_FILE", files[1], "PRIVATE KEY")
                settings["files"] = files
        if protocol.startswith("SASL"):
            mechanism = get("SASL_MECHANISM") or "SCRAM-SHA-512"
            if mechanism not in LOGIN_MODULES:
                raise KafkaSecurityError(f"{PREFIX}SASL_MECHANISM is not one of {[*LOGIN_MODULES]}")
            try:
                password = read_secret(PREFIX + "SASL_PASSWORD", environment)
            except SecretError as cause:
                raise KafkaSecurityError(str(cause)) from None
            if not get("SASL_USERNAME") or not password:
                raise KafkaSecurityError(
                    f"{protocol} needs {PREFIX}SASL_USERNAME and {PREFIX}SASL_PASSWORD, "
                    f"or {PREFIX}SASL_PASSWORD_FILE"
                )
            settings |= {"mechanism": mechanism, "username": get("SASL_USERNAME")}
            settings["password"] = password
        return cls(**settings)

    def client_options(self) -> dict[str, Any]:
        """`client_options` returns arguments of aiokafka's clients. It raises
        `KafkaSecurityError`."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            try:
                context = ssl.create_default_context(cadata=self.authorities)
                if self.files is not None:
                    context.load_cert_chain(*self.files)
            except ssl.SSLError as cause:
                raise KafkaSecurityError(
                    f"{PREFIX}SSL_*_FILE can't be used: {cause.reason or cause}"
                ) from None
            options["ssl_context"] = context
        if self.protocol.startswith("SASL"):
            options["sasl_mechanism"] = self.mechanism
            options["sasl_plain_username"] = self.username
            options["sasl_plain_password"] = self.password
        return options

    def properties(self) -> dict[str, str]:
        """`properties` returns the same for Kafka's clients in Java; nothing for PLAINTEXT, which
        is their default."""
        if self.protocol == "PLAINTEXT":
            return {}
        properties = {"security.protocol": self.protocol}
        if self.authorities is not None:
            properties["ssl.truststore.type"] = "PEM"
            properties["ssl.truststore.certificates"] = self.authorities
        if self.certificate is not None and self.key is not None:
            properties["ssl.keystore.type"] = "PEM"
            properties["ssl.keystore.certificate.chain"] = self.certificate
            properties["ssl.keystore.key"] = self.key
        if self.protocol.startswith("SASL"):
            properties["sasl.mechanism"] = self.mechanism
            properties["sasl.jaas.config"] = (
                f"{LOGIN_MODULES[self.mechanism]} required "
                f"username={_quoted(self.username)} password={_quoted(self.password)};"
            )
        return properties


def _pem(name: str, path: str, kind: str) -> str:
    """The text of a file, which holds at least one block of this kind."""
    if not path:
        raise KafkaSecurityError(f"{PREFIX}SSL_CERT_FILE and {PREFIX}SSL_KEY_FILE go together")
    try:
        with Path(path).open("rb") as file:
            text = file.read(PEM_BYTES_MAX).decode("ascii", "replace")
    except OSError as cause:
        raise KafkaSecurityError(f"{PREFIX}{name} can't be read: {cause.strerror}") from None
    if f"-----BEGIN {kind}-----" not in text:
        raise KafkaSecurityError(f"{PREFIX}{name} has no PEM block BEGIN {kind}: see SECURITY.md")
    return text


def _quoted(text: str) -> str:
    """A string of a JAAS configuration."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
