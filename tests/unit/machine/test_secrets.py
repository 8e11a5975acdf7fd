import pytest

from machine.secrets import SECRET_BYTES_MAX, SecretError, named_files, read_secret


def test_from_the_environment_or_a_file(tmp_path):
    file = tmp_path / "secret"
    file.write_text("s3cret\n")
    assert read_secret("A", {}) is None
    assert read_secret("A", {"A": ""}) is None
    assert read_secret("A", {"A": "x"}) == "x"
    assert read_secret("A", {"A_FILE": str(file)}) == "s3cret"


def test_a_secret_may_be_as_long_as_the_limit(tmp_path):
    file = tmp_path / "secret"
    for size, fits in ((SECRET_BYTES_MAX, True), (SECRET_BYTES_MAX + 1, False)):
        file.write_bytes(b"x" * size)
        for environment in ({"A": "x" * size}, {"A_FILE": str(file)}):
            if fits:
                assert read_secret("A", environment) == "x" * size
            else:
                with pytest.raises(SecretError, match="longer than"):
                    read_secret("A", environment)


@pytest.mark.parametrize(
    ("content", "why"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff", "no text in UTF-8")]
)
def test_a_file_without_a_secret(tmp_path, content, why):
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(SecretError, match=why):
        read_secret("A", {"A_FILE": str(file)})


def test_what_is_wrong_is_said_without_the_secret(tmp_path):
    with pytest.raises(SecretError, match="A and A_FILE are both set") as both:
        read_secret("A", {"A": "hidden", "A_FILE": "/there"})
    assert "hidden" not in str(both.value)
    with pytest.raises(SecretError, match="A_FILE can't be read: No such file"):
        read_secret("A", {"A_FILE": str(tmp_path / "none")})


def test_files_are_named_by_their_whole_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    named = {"KAFLINKSHOP_TOKEN_FILE": "token", "KAFKA_SSL_CA_FILE": "/etc/ca.pem"}
    others = {"KAFKA_SASL_PASSWORD_FILE": "", "KAFLINKSHOP_TOKEN": "token", "SSL_CERT_FILE": "ca"}
    expected = {**named, "KAFLINKSHOP_TOKEN_FILE": str(tmp_path / "token")}
    assert named_files({**named, **others}) == expected
