"""Every client of Kafka by TLS and a password: the topics' maker, the gateway, and Flink's job."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from support.secure_broker import PASSWORD, secure_broker

from machine import ports
from machine.http import call
from system.runtime.options import StackOptions
from system.runtime.stack import Stack
from system.wire import METRICS_TOKEN

TOKEN = "s3cret-of-who-operates"
SECRETS = (PASSWORD, TOKEN)
"""By plain variables: each process of the stack has them in its environment."""
WAIT_S = 300
"""Bounds every wait of this test; none of them is expected to come near it."""


def told_of_by(stack: Stack) -> str:
    """What others on this machine can see of it: its processes' arguments, and Flink's page."""
    pids = [pid for pids in stack.pids().values() for pid in pids]
    job = f"jobs/{stack.job_id}"
    pages = job, f"{job}/config", f"{job}/plan", "jobmanager/config", "jobmanager/environment"
    return "\n".join(
        [
            *(" ".join(psutil.Process(pid).cmdline()) for pid in pids),
            *(call("GET", f"http://{stack.flink_rest}/{page}", WAIT_S).decode() for page in pages),
        ]
    )


def test_requests_are_answered_and_the_password_is_nowhere(
    tmp_path: Path, until: Callable[[Callable[[], object]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broker").mkdir()
    with secure_broker(tmp_path / "broker") as broker:
        given = broker.environment | {
            "KAFKA_BOOTSTRAP_SERVERS": broker.secure,
            METRICS_TOKEN: TOKEN,
        }
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        until(lambda: not ports.is_free(int(broker.secure.rpartition(":")[2])))
        progress: list[str] = []
        with Stack(StackOptions(data_dir=tmp_path / "data"), progress.append) as stack:
            assert stack.bootstrap_servers == broker.secure
            assert b'"user_id"' in call("POST", f"{stack.url}/users/create", WAIT_S)
            told = told_of_by(stack)
            assert f"--bootstrap {broker.secure}" in told
            assert not any(secret in told for secret in SECRETS)
        assert not any(secret in "\n".join(progress) for secret in SECRETS)
        files = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
        assert any(broker.secure.encode() in path.read_bytes() for path in files)
        for secret in SECRETS:
            assert [path for path in files if secret.encode() in path.read_bytes()] == []

        wrong = {"KAFKA_SASL_PASSWORD": "another"}
        refused = subprocess.run(
            [
                *(sys.executable, "-m", "system.gateway", "--port", "0"),
                *("--bootstrap", broker.secure, "--kafka-wait-s", "3"),
            ],
            env=os.environ | wrong,
            capture_output=True,
            text=True,
            timeout=WAIT_S,
        )
        assert refused.returncode == 3, refused.stderr
        output = refused.stdout + refused.stderr
        assert "refuses this client: see KAFKA_SECURITY_PROTOCOL after 3 s" in output
        assert "another" not in output
        assert PASSWORD not in output
