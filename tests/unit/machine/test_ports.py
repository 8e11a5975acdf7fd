"""Ports that are chosen, by several processes at once, before anything listens there."""

import socket
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pytest

from machine import ports
from machine.cache import cache_dir
from machine.errors import StackError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFLINKSHOP_CACHE", str(tmp_path))


def some(_number: int) -> list[int]:
    return [ports.choose(0, "--port") for _ in range(20)]


def test_no_two_processes_choose_one_port() -> None:
    with ProcessPoolExecutor(4, get_context("spawn")) as others:
        found = [port for chosen in others.map(some, range(4)) for port in chosen]
    assert len({*found}) == len(found) == 80
    assert all(port in ports.FREE_PORTS for port in found)


def test_a_port_is_chosen_again_when_its_server_had_its_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ports, "FREE_PORTS", range(20_000, 20_100))
    monkeypatch.setattr(ports, "is_free", lambda port: port == 20_050)
    assert ports.choose(0, "--port") == 20_050
    with pytest.raises(StackError, match="no free port"):
        ports.choose(0, "--port")
    monkeypatch.setattr(ports, "BIND_S", 0.0)
    assert ports.choose(0, "--port") == 20_050


def test_what_a_killed_process_wrote_in_part_is_nothing() -> None:
    cache_dir().mkdir(exist_ok=True)
    (cache_dir() / "ports.json").write_text('{"20000": 17')
    assert ports.choose(0, "--port") in ports.FREE_PORTS


def test_a_usual_port_is_left_to_what_asks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """`up --port 8081` gave 8081 to the gateway and to Flink's page, which was first."""
    monkeypatch.setattr(ports, "is_free", lambda port: True)
    told: list[str] = []
    usual = ports.FLINK_PAGE
    for others, found in (((None, 8080, 0), {usual.port}), ((usual.port,), {*ports.FREE_PORTS})):
        with ports.hold(None, usual, "--flink-rest-port", told.append, others) as port:
            assert port in found
    assert told == [f"port {usual.port} is taken: Flink's page is at port {port}"]


def test_a_port_that_is_asked_for_is_one_stacks() -> None:
    """Nothing listens there while a stack starts; with several workers both would listen at it."""
    port = ports.choose(0, "--port")
    told: list[str] = []
    with ports.hold(port, ports.GATEWAY, "--port", told.append) as first:
        assert first == port
        with (
            pytest.raises(StackError, match=f"port {port} is taken: choose another with --port"),
            ports.hold(port, ports.GATEWAY, "--port", told.append),
        ):
            pass
        usual = ports.Usual(port, "the gateway")
        with ports.hold(None, usual, "--port", told.append) as second:
            assert second != port
    with ports.hold(None, usual, "--port", told.append, (port,)) as other:
        assert other != port
        with ports.hold(port, ports.KAFKA, "--kafka-port", told.append) as found:
            assert found == port, "what this process asks for is left to it"
    assert told == [f"port {port} is taken: the gateway is at port {each}" for each in (
        second, other)]  # fmt: skip


def test_a_port_that_is_asked_for_is_that_or_refused() -> None:
    with socket.socket() as taken:
        taken.bind((ports.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StackError, match=f"port {port} is taken: choose another with --port"):
            ports.choose(port, "--port")
    assert ports.choose(port, "--port") == port
