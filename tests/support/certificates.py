"""An authority made for one test, and a certificate of it for this machine's loopback."""

import subprocess
from pathlib import Path
from typing import NamedTuple


class Certificates(NamedTuple):
    """PEM files; the key is PKCS#8, and `both` has key and certificate together."""

    authority: Path
    certificate: Path
    key: Path
    both: Path


def make(folder: Path) -> Certificates:
    made = Certificates(*(folder / f"{name}.pem" for name in ("ca", "cert", "key", "both")))
    authority_key, request = folder / "ca-key.pem", folder / "request.pem"
    extensions = folder / "extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost\n")
    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    commands: list[list[str | Path]] = [
        ["req", "-x509", *new, "-subj", "/CN=authority", "-addext",
         "keyUsage=critical,keyCertSign", "-keyout", authority_key, "-out", made.authority],
        ["req", *new, "-subj", "/CN=127.0.0.1", "-keyout", made.key, "-out", request],
        ["x509", "-req", "-in", request, "-CA", made.authority, "-CAkey", authority_key,
         "-CAcreateserial", "-extfile", extensions, "-out", made.certificate],
    ]  # fmt: skip
    for command in commands:
        subprocess.run(["openssl", *command], check=True, capture_output=True)
    made.both.write_text(made.key.read_text() + made.certificate.read_text())
    return made
