"""All probes are run one after the other, each judged by itself."""

import asyncio
from collections.abc import Callable, Sequence

from bench.errors import BenchError
from bench.probes.http import echo, gateway, http
from bench.probes.kafka import kafka
from bench.probes.overload import lacks as overload_lacks
from bench.probes.overload import overload
from bench.probes.probe import PROBE_S_MAX, Found, Probe, Result
from bench.probes.stray_replies import replies
from bench.probes.target import OWN_STACK, Control, Options, Target
from bench.probes.timeout import lacks as timeout_lacks
from bench.probes.timeout import timeout
from bench.records.run_record import ProbeRecord


def _nothing(_target: Target) -> None:
    return None


def _kafka(target: Target) -> str | None:
    return None if target.kafka else "it needs Kafka's address: give --kafka HOST:PORT"


PROBES = {
    "http": Probe(http, "find_user by HTTP: each is answered 200, with its own reply", _nothing),
    "gateway": Probe(gateway, "GET /: answered by the gateway, without a record", _nothing),
    "kafka": Probe(kafka, "without the gateway: a topic alone, echo through its topics", _kafka),
    "echo": Probe(echo, "echo by HTTP, without state: no reply is lost or crossed", _nothing),
    "timeout": Probe(
        timeout,
        "a service that never answers: 504 at the deadline, also under load; late replies count",
        lambda target: _kafka(target) or timeout_lacks(target),
    ),
    "replies": Probe(
        replies, "late, duplicate and unknown replies: each counted, none delivered", _kafka
    ),
    "overload": Probe(
        overload,
        "10 times the capacity: quick 503s with Retry-After, goodput kept, nothing left behind",
        lambda target: _kafka(target) or overload_lacks(target),
    ),
}


def run_probes(
    names: Sequence[str],
    url: str,
    bootstrap: str | None,
    options: Options = OWN_STACK,
    progress: Callable[[str], object] = print,
) -> list[ProbeRecord]:
    """`run_probes` returns results as the record of a run has them; without names, of all probes
    that the target allows.

    It raises `BenchError` for an unknown name, and for a probe that the target does not allow.
    """
    target = Target(url.rstrip("/"), bootstrap, options)
    results = []
    for name in choose(names, target, progress):
        result = asyncio.run(run_probe(name, target))
        progress(str(result))
        results.append(result.record())
    return results


def choose(names: Sequence[str], target: Target, progress: Callable[[str], object]) -> list[str]:
    unknown = [name for name in names if name not in PROBES]
    if unknown:
        raise BenchError(f"no probe {', '.join(unknown)}; there are {', '.join(PROBES)}")
    chosen = []
    for name in names or PROBES:
        lacks = PROBES[name].lacks(target)
        if lacks is None:
            chosen.append(name)
        elif names:
            raise BenchError(f"probe {name}: {lacks}")
        else:
            progress(f"{name:<9} left out: {lacks}")
    return chosen


async def run_probe(name: str, target: Target) -> Result:
    """`run_probe` runs a probe beside its control. What ends it early is a reason too, or a reason
    not to know."""
    found, control = Found([], []), Control()
    watching = asyncio.create_task(control.watch())
    try:
        async with asyncio.timeout(PROBE_S_MAX):
            return await PROBES[name].run(target._replace(control=control))
    except* BenchError as group:
        found.timed([str(_first(group))], control)
    except* TimeoutError:
        found.unknown.append(f"it did not end within {PROBE_S_MAX:g} s")
    finally:
        watching.cancel()
    return found.result(name, control, 0, None)


def _first(group: BaseExceptionGroup[BenchError]) -> BaseException:
    cause: BaseException = group
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return cause
