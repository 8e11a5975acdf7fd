"""The probe of timeouts asks a service that never answers, and sends its replies too late."""

import asyncio
from collections.abc import Sequence

from bench.kafka.link import KafkaLink
from bench.probes.echo_requests import (
    ECHO_TOPIC,
    Seen,
    echo_id_of,
    echoes,
    miscounted,
    reply,
    silences,
)
from bench.probes.probe import PLANNED_S_MAX, Found, Result, crossed, latencies, unlike
from bench.probes.sender import Answer, Sender, paths
from bench.probes.target import Target
from bench.stats.quantiles import percentile_ms

TIMEOUT_S_MAX = 5.0
"""A gateway's timeout is at most this; with a longer one the probe takes too long."""
SILENCE_PER_S_MAX = 100.0
"""So many requests a second are sent that nobody answers."""
SILENT_SHARE_MAX = 0.5
"""These requests take at most this share of the gateway's table of requests in flight."""
SILENT_MAX = 256
"""So many requests wait at a time."""
BESIDE_PER_S = 200.0
"""So many requests a second go to a service that answers, for the part under load."""
SPARE_S = 3.0
"""The probe spares this time for all that is neither sending nor waiting for timeouts."""
REFUSED_SHARE_MAX = 0.5
"""So many of the requests of a kind may be refused as too many at a time: where Kafka or its disk
halts for some tenths of a second a small table is full, and a gateway that says so keeps its
word."""
EARLY_MS_MAX = 50.0
"""A 504 may come so long before its deadline: the gateway's clock ticks in ms, more when busy."""


async def timeout(target: Target) -> Result:
    """`timeout` runs once on an idle system, once with load beside it until the last deadline is
    over."""
    assert target.kafka is not None
    options = target.options
    rate_per_s, phase_s = _rate_per_s(target), _phase_s(target)
    seen, spoken = Seen(), echoes()
    async with (
        Sender(target) as sender,
        KafkaLink(target.kafka) as link,
        link.following(ECHO_TOPIC, seen.take),
    ):
        idle = await sender.pace(silences(), rate_per_s, phase_s)
        loaded, beside = await asyncio.gather(
            sender.pace(silences(), rate_per_s, phase_s),
            sender.pace(spoken, BESIDE_PER_S, phase_s + options.timeout_s),
        )
        too_many = [line for answers in (idle, loaded, beside) for line in refused(answers)]
        idle, loaded, beside = accepted(idle), accepted(loaded), accepted(beside)
        silent = idle + loaded
        missing = await seen.missing(map(echo_id_of, paths(silent)))
        late = seen.of(paths(silent))
        for request in late:
            await link.produce(request.sink, reply(request.request_id, "late"))
        beside.append(await sender.ask(next(spoken)))  # its reply comes after all the late ones
        await sender.counted(len(late) + len(beside))
        risen = await sender.settled()
    found = Found(
        [
            *too_many,
            *untimely(idle, options.timeout_s),
            *untimely(loaded, options.timeout_s, " under load"),
            *unlike([answer.row for answer in silent], 504),
            *crossed(sender.rows),
            *missing,
            *misnamed(silent, seen),
            *miscounted(risen, {"matched": len(beside), "late": len(late)}),
            *sender.faults(risen),
        ],
        sender.unsent,
    )
    for answers, when in ((idle, ""), (loaded, " under load")):
        lines, late_ms = belated(answers, options.timeout_s, options.late_504_ms_max, when)
        found.timed(lines, target.control, late_ms)
    found.timed(unlike([answer.row for answer in beside], 200), target.control)
    figures = {
        f"late_{name}_p{percent}_ms": percentile_ms(late_ns, percent)
        for name, answers in (("idle", idle), ("loaded", loaded))
        if (late_ns := _late_ns(answers, options.timeout_s))
        for percent in (50, 99)
    }
    timed = latencies(("200", answer.service_ns) for answer in silent if answer.status == 504)
    return found.result("timeout", target.control, len(sender.rows), timed, figures)


def accepted(answers: Sequence[Answer]) -> list[Answer]:
    """`accepted` returns the answers to requests that were not refused as too many."""
    return [answer for answer in answers if answer.row.code != "overloaded"]


def refused(answers: Sequence[Answer]) -> list[str]:
    """`refused` returns a reason where more are refused than a gateway may, at this load."""
    number = len(answers) - len(accepted(answers))
    if number <= REFUSED_SHARE_MAX * len(answers):
        return []
    return [f"{number:,} of {len(answers):,} requests were refused as too many"]


def untimely(answers: Sequence[Answer], timeout_s: float, when: str = "") -> list[str]:
    """`untimely` returns reasons: 504s that do not come, or before their deadline, which no busy
    machine causes."""
    late_ns = _late_ns(answers, timeout_s)
    if not late_ns:
        return [f"there was no 504{when}"]
    early = sum(late < -EARLY_MS_MAX * 1e6 for late in late_ns)
    if not early:
        return []
    return [f"{early:,} of {len(late_ns):,} 504s{when} came before their deadline"]


def belated(
    answers: Sequence[Answer], timeout_s: float, late_ms_max: float, when: str = ""
) -> tuple[list[str], float]:
    """`belated` returns a reason where 504s come too late, and how late they are at p99."""
    late_ns = _late_ns(answers, timeout_s)
    late_ms = percentile_ms(late_ns, 99) if late_ns else 0.0
    if late_ms <= late_ms_max:
        return [], late_ms
    line = (
        f"504s{when} came {late_ms:,.1f} ms after their deadline at p99 of {len(late_ns):,}, "
        f"at most {late_ms_max:g} ms are allowed"
    )
    return [line], late_ms


def misnamed(answers: Sequence[Answer], seen: Seen) -> list[str]:
    """`misnamed` returns reasons: 504s whose request_id is another request's, so that to send it
    again is wrong."""
    wrong = sum(
        answer.row.body.get("request_id") != request.request_id
        for answer in answers
        for request in seen.of([answer.row.path])
        if answer.status == 504
    )
    return [f"{wrong:,} of {len(answers):,} 504s name another request"] if wrong else []


def _late_ns(answers: Sequence[Answer], timeout_s: float) -> list[int]:
    """After the deadline, as the client sees it."""
    return [
        answer.service_ns - round(timeout_s * 1e9) for answer in answers if answer.status == 504
    ]


def _rate_per_s(target: Target) -> float:
    """As many as may wait at a time."""
    options = target.options
    waiting_max = min(SILENT_MAX, SILENT_SHARE_MAX * options.in_flight_max)
    return min(SILENCE_PER_S_MAX, waiting_max / options.timeout_s)


def _phase_s(target: Target) -> float:
    options = target.options
    left_s = PLANNED_S_MAX - SPARE_S - 2 * options.timeout_s
    return min(options.duration_s, left_s) / 2


def lacks(target: Target) -> str | None:
    if target.options.timeout_s > TIMEOUT_S_MAX:
        return f"it needs a gateway with a timeout of at most {TIMEOUT_S_MAX:g} s"
    return None
