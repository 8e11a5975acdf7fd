"""Limits of the generator's own machine, seen before a load."""

import resource
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.generator import preflight
from bench.generator.preflight import FILES_SPARE, check_limits, check_port_reuse, check_server
from bench.generator.tls import Trust
from bench.workload.address import Address


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine with 1000 ports, on which a process may have 500 files."""
    (tmp_path / "ports").write_text("2001\t3000\n")
    monkeypatch.setattr(preflight, "PORTS", tmp_path / "ports")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (10, 500))


@pytest.mark.usefixtures("machine")
def test_as_many_connections_as_files_and_ports() -> None:
    check_limits(500 - FILES_SPARE, 2)
    with pytest.raises(BenchError, match=r"500 files .* too few for 437 .* at most 436 requests"):
        check_limits(501 - FILES_SPARE, 1)
    check_limits(250, 4)
    with pytest.raises(BenchError, match=r"251 connections of each of 4 .* 1000 ports"):
        check_limits(251, 4)


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize(
    ("mode", "is_loopback", "most"),
    [("0", True, 16), ("1", False, 1000), ("2", True, 1000), ("2", False, 16), (None, True, 16)],
)
def test_a_connection_for_each_request(
    mode: str | None, is_loopback: bool, most: int, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(preflight, "REUSE", tmp_path / "reuse")
    if mode is not None:
        (tmp_path / "reuse").write_text(f"{mode}\n")
    check_port_reuse(most, is_loopback)
    with pytest.raises(BenchError, match=f"at most {most}/s, or keep_alive = true"):
        check_port_reuse(most + 1, is_loopback)


def test_a_host_that_is_none() -> None:
    with pytest.raises(BenchError, match=r"^no-such-host\.invalid: ") as raised:
        check_server(Address.of("http://no-such-host.invalid"), Trust())
    assert "\n" not in str(raised.value)
