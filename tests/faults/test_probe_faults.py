"""Each probe says so when its fault is put in: by a proxy in front of a real gateway, mostly."""

import re
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count

import pytest
from support.faulty import (
    Fault,
    delays,
    delivers,
    drops,
    gateway,
    loses_header,
    miscounts,
    repeats,
    reroutes,
    spoiled,
    swaps,
)

from bench.kafka.link import KafkaLink
from bench.probes import kafka
from bench.probes.registry import run_probe
from bench.probes.target import Options, Target
from system.runtime.stack import Stack

ROOMY = Options(timeout_s=5.0, duration_s=2.5)
"""No stall of a busy machine fills its table, or is a timeout."""
PUT_IN = 500
"""The fault comes with this request: a probe has sent as many, however many it must drop."""
TIGHT = ROOMY._replace(in_flight_max=32, duration_s=2.0)
"""Ten times its capacity is little."""
ATTEMPTS_MAX = 5
"""Runs of a probe until the machine let it tell something."""


@pytest.fixture(scope="module")
def roomy(stack: Stack) -> Iterator[Target]:
    with gateway(stack.bootstrap_servers, ROOMY) as url:
        yield Target(url, stack.bootstrap_servers, ROOMY)


@pytest.fixture(scope="module")
def tight(stack: Stack) -> Iterator[Target]:
    with gateway(stack.bootstrap_servers, TIGHT) as url:
        yield Target(url, stack.bootstrap_servers, TIGHT)


async def reasons(probe: str, target: Target, make_fault: Callable[[], Fault]) -> str:
    """Each run has a fault of its own: one that goes on counting hits the next run at another
    request, and once more."""
    for _ in range(ATTEMPTS_MAX):
        async with spoiled(target.url, make_fault()) as url:
            result = await run_probe(probe, target._replace(url=url))
        if result.state != "unknown":
            break
    assert result.state != "holds"
    return "; ".join([*result.reasons, *result.unknown])


def ms(told: str) -> float:
    return float(told.replace(",", ""))


@pytest.mark.parametrize(("probe", "every"), [("echo", PUT_IN), ("http", 100)])
async def test_a_wrong_reply(roomy: Target, probe: str, every: int) -> None:
    found = await reasons(probe, roomy, partial(swaps, every))
    assert re.search(r"\b[24] of [\d,]+ requests got another request's answer: asked for ", found)


async def test_one_reply_of_all_is_dropped(roomy: Target) -> None:
    found = await reasons("echo", roomy, partial(drops, PUT_IN))
    assert re.search(r"\b1 of [\d,]+ requests ended with 504 timeout, not 200", found)


async def test_a_missing_row(roomy: Target) -> None:
    found = await reasons("echo", roomy, partial(repeats, PUT_IN))
    assert re.search(r"responses of the gateway: \d+ in all, 1 unaccounted for", found)


async def test_a_late_timeout(roomy: Target) -> None:
    found = await reasons("timeout", roomy, partial(delays, 504, delay_s=1.0))
    for when in ("504s", "504s under load"):
        late = re.search(rf"{when} came ([\d,]+\.\d) ms after their deadline at p99 of \d+", found)
        assert late
        assert ms(late[1]) >= 1000


async def test_late_replies_that_are_not_counted_as_such(roomy: Target) -> None:
    found = await reasons("timeout", roomy, partial(miscounts, "late", "unknown"))
    assert re.search(r"late replies: \d+ were sent, 0 counted", found)
    assert re.search(r"unknown replies: 0 were sent, \d+ counted", found)


async def test_replies_that_are_counted_under_other_names(roomy: Target) -> None:
    found = await reasons("replies", roomy, partial(miscounts, "duplicate", "unknown"))
    assert "duplicate replies: 13 were sent, 11 counted" in found
    assert "unknown replies: 11 were sent, 13 counted" in found


async def test_a_stray_reply_that_is_delivered(roomy: Target) -> None:
    found = await reasons("replies", roomy, partial(delivers, 20))
    assert re.search(r"\b1 of [\d,]+ requests got another request's answer", found)
    assert re.search(r"\b1 of \d+ requests ended with 200 no error code, not 504", found)


async def test_a_route_that_sends_a_record(roomy: Target) -> None:
    found = await reasons("gateway", roomy, partial(reroutes, "/", "/echo/index"))
    assert re.search(r"the gateway sent \d+ records to Kafka", found)
    assert re.search(r"\d+ of \d+ answers name no version", found)


async def test_a_service_without_a_gateway_that_drops_requests(
    roomy: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = count(1)

    class Dropping(KafkaLink):
        """Each tenth request goes to the method that never answers."""

        async def produce(self, topic: str, value: bytes, key: str | None = None) -> None:
            if topic == "echo_in" and next(numbers) % 10 == 0:
                value = value.replace(b'"method":"echo"', b'"method":"silence"')
            await super().produce(topic, value, key)

    monkeypatch.setattr(kafka, "KafkaLink", Dropping)
    result = await run_probe("kafka", roomy)
    (reason,) = result.reasons
    assert re.fullmatch(rf"(\d+) of \1\d requests had no reply in {kafka.REPLY_WAIT_S:g} s", reason)


async def test_slow_refusals(tight: Target) -> None:
    """For longer than 20 % of any answer may take."""
    found = await reasons("overload", tight, partial(delays, 503, delay_s=1.0))
    slow = re.search(r"a refusal took ([\d,]+\.\d) ms at p99, more than 20%", found)
    assert slow
    assert ms(slow[1]) >= 1000


async def test_refusals_without_retry_after(tight: Target) -> None:
    found = await reasons("overload", tight, partial(loses_header, "Retry-After"))
    assert re.search(r"([\d,]+) of \1 refusals have no Retry-After", found)


async def test_a_table_without_a_limit(roomy: Target) -> None:
    """The gateway takes whatever comes, and most of it waits until it is a 504."""
    for _ in range(ATTEMPTS_MAX):  # a busy machine may not offer ten times the capacity
        result = await run_probe("overload", roomy._replace(options=TIGHT))
        if any(reason.startswith("nothing was refused") for reason in result.reasons):
            break
    found = "; ".join([*result.reasons, *result.unknown])
    assert "nothing was refused at 10 times the capacity" in found
    assert re.search(r"[\d,]+ of [\d,]+ requests ended with 504 timeout, not 200 or 503", found)
