"""A stack has a wall clock of its own, which can be set.

Linux's time namespaces shift other clocks only. So libfaketime is loaded into each process of the
stack (https://github.com/wolfcw/libfaketime): it answers what they ask the C library for.
"""

import asyncio
import json
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from bench.errors import BenchError
from bench.kafka.link import KafkaLink, Record
from machine.http import HttpError, call
from machine.whole_files import write
from system.credentials import metrics_headers
from system.wire import input_topic

READ_EACH_S = 1
"""Each process looks whether its clock has been set after more than so many whole seconds."""
WITHIN_S = 3.0
"""A clock that is so near to where it was set is there: what tells it is some time old."""
ANSWER_TIMEOUT_S = 6.0
"""Gateway and broker tell their clocks within this time, or don't."""
POLL_S = 0.2
"""This time passes between looks whether the clocks have been set."""


class Clock:
    """A clock is right until it is set; `path` is the file that says what it is set to."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.set(0)

    def set(self, ahead_s: int) -> None:
        """`set` has the clock go so much ahead of the right time, two seconds later at most."""
        write(self._path, f"{ahead_s:+d}\n".encode())

    def environment(self) -> Sequence[str]:
        """`environment` returns variables, as NAME=VALUE: a process that has them has this clock,
        and its children. It raises `BenchError` where the library is missing."""
        package = find_spec("libfaketime")
        folder = None if package is None else package.origin
        library = Path(folder or "").parent / "vendor/libfaketime/src/libfaketime.so.1"
        if not library.exists():
            raise BenchError("libfaketime is missing: python -m pip install libfaketime==3.0.1")
        return (
            f"LD_PRELOAD={library}",
            f"FAKETIME_TIMESTAMP_FILE={self._path}",
            f"FAKETIME_CACHE_DURATION={READ_EACH_S}",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            # Else a JVM's waits are translated to another clock, and take ten times as long.
            "FAKETIME_FORCE_MONOTONIC_FIX=0",
        )


def until_ahead(ahead_s: int, url: str, bootstrap: str, timeout_s: float) -> str:
    """`until_ahead` returns what shows that the clocks of gateway, services and broker are so much
    ahead; "" where they are not within `timeout_s`."""
    until_s = time.monotonic() + timeout_s
    while time.monotonic() < until_s:
        traced_s, broker_s = _traced_s(url), _broker_s(bootstrap)
        if traced_s and broker_s is not None:
            found_s = {**traced_s, "the broker's": broker_s}
            if all(abs(each_s - ahead_s) <= WITHIN_S for each_s in found_s.values()):
                return ", ".join(f"{whose} {each_s:+,.0f} s" for whose, each_s in found_s.items())
        time.sleep(POLL_S)
    return ""


def _traced_s(url: str) -> dict[str, float]:
    """How far gateway and services are ahead, by the stamps of a traced echo."""
    headers = {**metrics_headers(), "X-Trace": "1"}
    with suppress(HttpError, ValueError, KeyError, TypeError):
        traced = json.loads(call("GET", f"{url}/echo/clock", ANSWER_TIMEOUT_S, headers=headers))
        at_ns = {name: first for name, first, *_ in traced["trace"]}
        return {
            "the gateway's clock": at_ns["gateway_in"] / 1e9 - time.time(),
            "the services'": at_ns["echo"] / 1e9 - time.time(),
        }
    return {}


def _broker_s(bootstrap: str) -> float | None:
    """How far it is ahead by the next record of the load."""

    async def look() -> float:
        came: asyncio.Future[float] = asyncio.get_running_loop().create_future()

        def take(record: Record) -> None:
            if not came.done():
                came.set_result(record.logged_ms / 1e3 - time.time())

        async with KafkaLink(bootstrap) as kafka, kafka.following(input_topic("user"), take):
            return await asyncio.wait_for(came, ANSWER_TIMEOUT_S)

    with suppress(BenchError, TimeoutError):
        return asyncio.run(look())
    return None
