import re
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from system.kafka_security import KafkaSecurity, KafkaSecurityError

SASL = {
    "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
    "KAFKA_SASL_USERNAME": "shop",
    "KAFKA_SASL_PASSWORD": "s3cret",
}


@pytest.fixture(scope="module")
def pem(tmp_path_factory):
    """A certificate of its own authority, and its key."""
    folder = tmp_path_factory.mktemp("pem")
    cert, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-subj", "/CN=shop", "-keyout", key, "-out", cert),
        ],
        check=True,
        capture_output=True,
    )
    return str(cert), str(key)


def test_nothing_set_is_plaintext():
    security = KafkaSecurity.read({})
    assert security == KafkaSecurity()
    assert security.properties() == {}
    assert security.client_options() == {"security_protocol": "PLAINTEXT"}


def test_tls_for_both_kinds_of_clients(pem):
    cert, key = pem
    security = KafkaSecurity.read(
        {
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "KAFKA_SSL_CA_FILE": cert,
            "KAFKA_SSL_CERT_FILE": cert,
            "KAFKA_SSL_KEY_FILE": key,
        }
    )
    options = security.client_options()
    assert options["security_protocol"] == "SSL"
    assert [each["subject"] for each in options["ssl_context"].get_ca_certs()] == [
        ((("commonName", "shop"),),)
    ]
    properties = security.properties()
    with open(cert) as cert_file, open(key) as key_file:
        certificate, private = cert_file.read(), key_file.read()
    assert properties == {
        "security.protocol": "SSL",
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": certificate,
        "ssl.keystore.type": "PEM",
        "ssl.keystore.certificate.chain": certificate,
        "ssl.keystore.key": private,
    }
    assert private not in repr(security)


def test_tls_trusts_the_machines_authorities_where_none_is_named():
    security = KafkaSecurity.read({"KAFKA_SECURITY_PROTOCOL": "SSL"})
    assert security.properties() == {"security.protocol": "SSL"}
    assert security.client_options()["ssl_context"].check_hostname


@pytest.mark.parametrize(
    ("mechanism", "module"),
    [
        ("PLAIN", "org.apache.kafka.common.security.plain.PlainLoginModule"),
        ("SCRAM-SHA-256", "org.apache.kafka.common.security.scram.ScramLoginModule"),
        ("SCRAM-SHA-512", "org.apache.kafka.common.security.scram.ScramLoginModule"),
    ],
)
def test_sasl_for_both_kinds_of_clients(mechanism, module):
    security = KafkaSecurity.read(SASL | {"KAFKA_SASL_MECHANISM": mechanism})
    assert security.client_options() == {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "shop",
        "sasl_plain_password": "s3cret",
    }
    assert security.properties() == {
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": mechanism,
        "sasl.jaas.config": f'{module} required username="shop" password="s3cret";',
    }
    assert "s3cret" not in repr(security)


def test_the_strongest_mechanism_is_the_default(tmp_path):
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    environment = SASL | {"KAFKA_SASL_PASSWORD": "", "KAFKA_SASL_PASSWORD_FILE": str(file)}
    assert KafkaSecurity.read(environment) == KafkaSecurity(
        "SASL_PLAINTEXT", mechanism="SCRAM-SHA-512", username="shop", password="s3cret"
    )


@given(st.text(min_size=1, max_size=20))
def test_no_password_leaves_its_quotes(password):
    security = KafkaSecurity("SASL_PLAINTEXT", username="u", password=password)
    (quoted,) = re.findall(
        r' password="((?:[^"\\]|\\.)*)";\Z', security.properties()["sasl.jaas.config"], re.DOTALL
    )
    assert re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL) == password


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL is not one of"),
        ({"KAFKA_SASL_MECHANISM": "GSSAPI"}, "KAFKA_SASL_MECHANISM is not one of"),
        ({"KAFKA_SASL_USERNAME": ""}, "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ({"KAFKA_SASL_PASSWORD": ""}, "needs KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD"),
        ({"KAFKA_SASL_PASSWORD_FILE": "x"}, "are both set"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL", "KAFKA_SSL_CA_FILE": "/no/file"},
            "KAFKA_SSL_CA_FILE can't be read: No such file",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": pytest.__file__},
            "KAFKA_SSL_CA_FILE has no PEM block BEGIN CERTIFICATE",
        ),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_KEY_FILE": "/no/file"},
            "KAFKA_SSL_CERT_FILE and KAFKA_SSL_KEY_FILE go together",
        ),
    ],
)
def test_what_does_not_fit_is_said(changed, why):
    with pytest.raises(KafkaSecurityError, match=why) as cause:
        KafkaSecurity.read(SASL | changed)
    assert "s3cret" not in str(cause.value)


def test_a_certificate_that_is_none(tmp_path):
    file = tmp_path / "ca.pem"
    file.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    security = KafkaSecurity.read(
        {"KAFKA_SECURITY_PROTOCOL": "SSL", "KAFKA_SSL_CA_FILE": str(file)}
    )
    with pytest.raises(KafkaSecurityError, match="can't be used"):
        security.client_options()
