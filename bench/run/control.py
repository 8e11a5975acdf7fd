"""The control workload is a fixed piece of work that no change of the system can touch.

Where it takes longer than it did for the other run of a pair, the machine moved, and the pair is
void (`bench.compare.run_pairs.Pair`). It is what the system does too: Python that computes, and
bytes that go over loopback. Of many short turns the lower quartile counts: what a stack does now
and then while nobody loads it is not the machine's doing.
"""

import socket
import time
from collections.abc import Callable, Sequence
from statistics import quantiles

import orjson

from bench.records.run_record import CONTROL, ProbeRecord

TURNS = 150
"""Each kind has so many turns, in turn; all take a third of a second."""
ROUND_TRIPS = 40
"""A turn over loopback has so many round trips."""
MESSAGE = b"x" * 256
DOCUMENT = {"request_id": "kf_0123456789abcdef", "items": [{"id": n, "count": 1} for n in range(8)]}
DOCUMENTS = 300
"""A turn encodes and decodes so many documents."""
TIMEOUT_S = 5.0
"""A round trip over loopback may take this long in the control workload; it takes microseconds."""


def control() -> ProbeRecord:
    """`control` returns figures: µs of a turn of Python, and of a round trip over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        client = socket.create_connection(server.getsockname(), TIMEOUT_S)
        peer, _ = server.accept()
    with client, peer:
        for end in (client, peer):
            end.settimeout(TIMEOUT_S)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        turns = [(_taken_us(_work), _taken_us(_round_trips, client, peer)) for _ in range(TURNS)]
    work_us, trips_us = (_quick(taken) for taken in zip(*turns, strict=True))
    return ProbeRecord(
        name=CONTROL,
        state="holds",
        reasons=[],
        requests=0,
        latency_ms=None,
        figures={"python_us": round(work_us, 1), "round_trip_us": round(trips_us / ROUND_TRIPS, 3)},
    )


def _taken_us(turn: Callable[..., object], *arguments: object) -> float:
    begin_ns = time.perf_counter_ns()
    turn(*arguments)
    return (time.perf_counter_ns() - begin_ns) / 1e3


def _quick(taken_us: Sequence[float]) -> float:
    """The lower quartile."""
    return quantiles(taken_us, n=4)[0]


def _work() -> int:
    total = 0
    for number in range(DOCUMENTS):
        decoded = orjson.loads(orjson.dumps({**DOCUMENT, "number": number}))
        total += sum(item["count"] * number for item in decoded["items"])
    return total


def _round_trips(client: socket.socket, peer: socket.socket) -> None:
    """In one thread: no scheduler takes part."""
    for _ in range(ROUND_TRIPS):
        client.sendall(MESSAGE)
        peer.sendall(peer.recv(len(MESSAGE)))
        client.recv(len(MESSAGE))
