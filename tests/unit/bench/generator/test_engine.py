"""The generator on its event loop, against a server in the same process."""

import asyncio
import resource
import socket
import sys
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic_ns
from typing import Any, TypeVar

import pytest

from bench.calibrate.bare_server import Canned
from bench.generator import engine
from bench.generator.connection import Http
from bench.generator.engine import OPENING_MAX, Generator
from bench.generator.fleet import spec_of
from bench.generator.spec import Load, Phase
from bench.records.samples import Reader, Writer
from bench.workload.address import Address
from bench.workload.arrivals import Schedule, Stage
from bench.workload.draws import Draws
from bench.workload.http_file import parse
from bench.workload.scenarios import ShopCustomers, customers_of
from bench.workload.sources import Templates

REQUESTS = 400
WORKLOAD = parse({"request": [{"operation": "root", "path": "/"}]})


class Counting(Generator):
    """Remembers how many connections were being opened at a time."""

    def __init__(self, *given: Any, **options: Any) -> None:
        self.opening_at_once = 0
        super().__init__(*given, **options)

    def _open(self) -> None:
        super()._open()
        self.opening_at_once = max(self.opening_at_once, len(self._opening) - len(self._held_up))


Made = TypeVar("Made", bound=Generator)


@asynccontextmanager
async def generating(
    path: Path, in_flight_max: int, kind: type[Made] = Counting
) -> AsyncIterator[Made]:
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
    address = Address.of(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    samples = Writer(path)
    source = Templates(Draws(WORKLOAD, 1), address, samples.label)
    found = kind(Http(address), source, samples, in_flight_max=in_flight_max, timeout_s=30.0)
    try:
        yield found
    finally:
        found.close()
        samples.close()
        server.close()


async def test_few_connections_are_opened_at_a_time(tmp_path: Path, monkeypatch) -> None:
    """However many requests are due at once."""
    monkeypatch.setattr(engine, "CONNECTIONS_READY", 0)
    monkeypatch.setattr(engine, "LATE_NS_MAX", 60_000_000_000)
    async with generating(tmp_path / "samples.bin", in_flight_max=REQUESTS) as load:
        await load.run_open(monotonic_ns(), array("q", [0] * REQUESTS))
        assert load.opening_at_once == OPENING_MAX
    samples = Reader(tmp_path / "samples.bin").read()
    assert samples.count("200") == len(samples) == REQUESTS


async def test_samples_that_can_not_be_written_end_it(tmp_path: Path) -> None:
    """Its sweep ended with the first write that failed: it went on for the rest of the load, with
    nothing timed out and nothing written."""
    server = await asyncio.get_running_loop().create_server(Canned, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    (tmp_path / "w.toml").write_text('[[request]]\noperation = "root"\npath = "/"\n')
    load = Load(str(tmp_path / "w.toml"), 0.0, 1, REQUESTS, 0)
    phase = Phase("open", 0, 0.0, 300.0, Schedule((Stage(500.0, 500.0, 300.0),)))
    spec = spec_of(url, load, phase, 1, tmp_path)
    (tmp_path / "spec.json").write_bytes(spec.to_json())
    (tmp_path / "go-open").write_text(str(monotonic_ns()))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.generator.process", str(tmp_path / "spec.json")),
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000)),
    )
    try:
        async with asyncio.timeout(60):
            _, told = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
        server.close()
    assert process.returncode == 1
    (line,) = told.decode().splitlines()
    assert line == "error: what was measured can't be written: File too large"


class HeldUp(Generator):
    """The first connections are as those of a full listen queue: they are never made."""

    held_up = 0

    async def _connect(self) -> None:
        if self.held_up < OPENING_MAX:
            self.held_up += 1
            await asyncio.Event().wait()
        await super()._connect()


async def test_connections_that_a_server_holds_up_hold_up_no_others(
    tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(engine, "LATE_NS_MAX", 60_000_000_000)
    async with generating(tmp_path / "samples.bin", REQUESTS, HeldUp) as load:
        await load.run_open(monotonic_ns(), array("q", [0] * REQUESTS))
        assert load.held_up == OPENING_MAX
    found = Reader(tmp_path / "samples.bin").read()
    assert found.count("200") == len(found) == REQUESTS


class Slow(Generator):
    """Each connection takes its time, as by a server whose listen queue is full."""

    connecting_s = 1.0

    async def _connect(self) -> None:
        await asyncio.sleep(self.connecting_s)
        await super()._connect()


@pytest.mark.parametrize("opening_max", [REQUESTS, 1])
async def test_a_wait_for_the_server_is_no_lateness_of_the_generators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, opening_max: int
) -> None:
    """A request that waits while a connection is opened for it was sent in time; one that waits
    because the generator opens no connection for it was not."""
    monkeypatch.setattr(engine, "CONNECTIONS_READY", 0)
    monkeypatch.setattr(engine, "LATE_NS_MAX", 10**12)
    monkeypatch.setattr(engine, "OPENING_MAX", opening_max)
    monkeypatch.setattr(engine, "HELD_UP_S", 60.0)
    async with generating(tmp_path / "samples.bin", REQUESTS, Slow) as load:
        await load.run_open(monotonic_ns(), array("q", [0] * 20))
    found = Reader(tmp_path / "samples.bin").read()
    assert (found.response_ns >= 1_000_000_000).all()
    late = found.schedule_lag_ns >= 1_000_000_000
    assert late.sum() == (0 if opening_max == REQUESTS else len(found) - 1)


async def test_no_more_connections_than_may_be_under_way(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(engine, "CONNECTIONS_READY", 0)
    async with generating(tmp_path / "samples.bin", in_flight_max=3) as load:
        await load.prepare()
        await load.run_closed(monotonic_ns(), users=3, duration_s=0.1)
        assert load.opening_at_once == 3
    samples = Reader(tmp_path / "samples.bin").read()
    assert samples.count("200") == len(samples) > 3


async def test_what_waits_for_a_connection_is_given_up_at_its_deadline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server whose listen queue is full: no connection is refused, and none is made."""
    monkeypatch.setattr(engine, "LATE_NS_MAX", 10**12)  # a busy machine sends late, and drops none
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = Address.of(f"http://127.0.0.1:{full.getsockname()[1]}")
        samples = Writer(tmp_path / "samples.bin")
        source = Templates(Draws(WORKLOAD, 1), address, samples.label)
        load = Generator(Http(address), source, samples, in_flight_max=REQUESTS, timeout_s=0.2)
        every_ms = array("q", range(0, REQUESTS * 1_000_000, 1_000_000))
        await load.run_open(monotonic_ns(), every_ms)
        load.close()
        samples.close()
    reader = Reader(tmp_path / "samples.bin")
    found = reader.read()
    assert found.outcomes == ["timeout"]
    assert len(found) == REQUESTS
    assert reader.footer == (REQUESTS, REQUESTS)
    assert (found.response_ns >= 200_000_000).all()


@pytest.mark.parametrize(
    ("rate_per_s", "customers"), [(1, 16), (160, 16), (161, 17), (640, 64), (9000, 64)]
)
def test_a_slow_load_prepares_few_customers(rate_per_s: float, customers: int) -> None:
    assert customers_of(rate_per_s) == customers
    journeys = ShopCustomers(1, customers).prepare()
    assert len(list(journeys)) == 2 * customers
