"""A generator process is ``python -m bench.generator.process SPEC.json``.

It prepares, then waits for the file `go`, which holds the time at which all generators of a phase
begin together. SIGTERM ends the sending; what is under way may end, and all is recorded.
"""

import asyncio
import gc
import signal
import sys
from array import array
from contextlib import suppress
from pathlib import Path

import uvloop

from bench.errors import BenchError
from bench.generator.connection import Http
from bench.generator.engine import Generator
from bench.generator.preflight import (
    LOOPBACK,
    check_limits,
    check_port_reuse,
    check_server,
    raise_files_limit,
)
from bench.generator.spec import BACKSTOP_S, SCENARIOS, Spec
from bench.generator.transport import Transport
from bench.kafka.requests import Requests
from bench.kafka.slots import Slots
from bench.records import request_log
from bench.records.samples import Alternating, Writer
from bench.workload.address import Address
from bench.workload.draws import Draws
from bench.workload.flows import Flows
from bench.workload.http_file import read_workload
from bench.workload.scenarios import (
    CUSTOMERS_MAX,
    MIXES,
    SaleCustomers,
    ShopCustomers,
    customers_of,
)
from bench.workload.sources import Journeys, ShopRequests, Source, Templates

GO_POLL_S = 0.02
"""The process looks for the word to begin this often."""
GO_TIMEOUT_S = 120.0
"""A generator that nobody lets begin ends then."""


def source_of(spec: Spec, address: Address, samples: Writer, slots: Slots | None = None) -> Source:
    """`source_of` returns what to send: over HTTP, or into the topics that `slots` lead to."""
    seed = spec.seed + spec.index
    if spec.workload not in SCENARIOS:
        workload = read_workload(Path(spec.workload))
        draws = Draws(workload, spec.seed, spec.index, spec.count)
        kind = Templates if workload.is_plain else Flows
        return kind(draws, address, samples.label, samples.first_answer)
    count = customers_for(spec)
    mix = MIXES.get(spec.workload)
    customers = (
        SaleCustomers(seed, spec.zipf, count, spec.basket)
        if mix is None
        else ShopCustomers(seed, count, mix)
    )
    record, traces = request_log.Writer(Path(spec.history)), Path(spec.traces)
    to_kafka = None if slots is None else Requests(slots.sink, spec.record_bytes)
    encode = (to_kafka or ShopRequests(address)).encode
    return Journeys(customers, encode, samples, record, traces, spec.trace_every)


def customers_for(spec: Spec) -> int:
    """`customers_for` returns how many are prepared: by the highest rate of an open loop; all of
    them for a closed one."""
    rates = [rate / spec.count for stage in spec.stages for rate in stage[:2]]
    return customers_of(max(rates)) if rates else CUSTOMERS_MAX


async def generate(spec: Spec) -> None:
    samples = (Alternating if spec.alternating else Writer)(Path(spec.samples))
    address = Address.of(spec.url)
    slots = None if spec.kafka is None else Slots(spec.kafka)
    source = source_of(spec, address, samples, slots)
    transport: Transport = slots or Http(
        address,
        spec.trust.context() if address.tls else None,
        keep_alive=spec.keep_alive,
        others=[Address.of(url) for url in spec.others],
    )
    times = spec.intended_ns() if spec.stages else array("q")
    raise_files_limit()
    if slots is None:
        check_here(spec, address)
    generator = Generator(
        *(transport, source, samples),
        in_flight_max=spec.in_flight_max,
        timeout_s=spec.timeout_s,
    )
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    gc.freeze()
    try:
        await generator.prepare()
        samples.ready()
        begin_ns = await _go(Path(spec.go), stop)
        if begin_ns is not None:
            working = asyncio.create_task(_load(generator, spec, begin_ns, times))
            stopping = asyncio.create_task(stop.wait())
            with suppress(TimeoutError):  # whoever started this process ends it, or hangs
                async with asyncio.timeout(spec.duration_s + spec.timeout_s + BACKSTOP_S):
                    ends = (working, stopping, generator.lost)
                    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
                    if generator.lost.done():
                        generator.lost.result()
                    generator.stop()
                    await working
                    await stopping
    finally:
        generator.close()
        if slots is not None:
            samples.replies(slots.replies)
        try:
            source.close()
            samples.close()
        finally:  # on a full disk too: what was made elsewhere is removed
            await transport.close()


def check_here(spec: Spec, address: Address) -> None:
    """`check_here` raises `BenchError` where this machine, an agent's as it may be, has too little
    for one generator, what several have in common is not known here; or where an agent's can't
    reach a server."""
    check_limits(spec.in_flight_max, 1)
    for url in (spec.url, *spec.others) if spec.is_elsewhere else ():
        check_server(Address.of(url), spec.trust)
    if not spec.keep_alive and spec.stages:
        fastest_per_s = max(max(stage[:2]) for stage in spec.stages)
        check_port_reuse(fastest_per_s / spec.count, address.host in LOOPBACK)


async def _load(generator: Generator, spec: Spec, begin_ns: int, times: "array[int]") -> None:
    if spec.users:
        await generator.run_closed(begin_ns, spec.users, spec.duration_s)
    else:
        await generator.run_open(begin_ns, times)


async def _go(path: Path, stop: asyncio.Event) -> int | None:
    """When to begin; None when nobody said so in time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GO_TIMEOUT_S):
            while not stop.is_set():
                if path.exists():  # noqa: ASYNC240 (nothing else is to be done meanwhile)
                    return int(path.read_text())  # noqa: ASYNC240
                await asyncio.sleep(GO_POLL_S)
    return None


if __name__ == "__main__":
    try:
        uvloop.run(generate(Spec.of_json(Path(sys.argv[1]).read_bytes())))
    except BenchError as cause:
        sys.exit(f"error: {cause}")
    except OSError as cause:
        sys.exit(f"error: what was measured can't be written: {cause.strerror or cause}")
