"""All probes on the real system, and what they say of one that is not there."""

from collections.abc import Callable, Iterator

import pytest
from support.faulty import gateway

from bench.errors import BenchError
from bench.probes.registry import PROBES, run_probes
from bench.probes.target import Options
from bench.records.run_record import ProbeRecord
from system.runtime.stack import Stack

UNTIMED = Options(timeout_s=5.0, duration_s=2.0, late_504_ms_max=5_000, refusal_share_max=50.0)
"""How quick it is depends on the machine, and is for the run to say, not for a test."""
TIGHT = UNTIMED._replace(in_flight_max=64)
"""Ten times its capacity is little, and a tenth of it some answers."""
ATTEMPTS_MAX = 5
"""Runs of a probe until the machine let it tell something."""


def told(
    names: list[str], url: str, kafka: str | None, options: Options, tell: Callable[[str], object]
) -> list[ProbeRecord]:
    """The results of the first run in which none is unknown, or of the last."""
    for _ in range(ATTEMPTS_MAX):
        lines: list[str] = []
        results = run_probes(names, url, kafka, options, lines.append)
        if all(result.state != "unknown" for result in results):
            break
    for line in lines:
        tell(line)
    return results


@pytest.fixture(scope="module")
def roomy(stack: Stack) -> Iterator[str]:
    with gateway(stack.bootstrap_servers, UNTIMED) as url:
        yield url


@pytest.fixture(scope="module")
def tight(stack: Stack) -> Iterator[str]:
    with gateway(stack.bootstrap_servers, TIGHT) as url:
        yield url


@pytest.mark.parametrize("name", [name for name in PROBES if name != "overload"])
def test_a_probe_passes(stack: Stack, roomy: str, name: str) -> None:
    lines: list[str] = []
    (result,) = told([name], roomy, stack.bootstrap_servers, UNTIMED, lines.append)
    assert result.reasons == []
    assert result.state == "holds"
    assert result.name == name
    assert result.requests > 100
    assert result.latency_ms
    (line,) = lines
    assert line.startswith(f"{name} ")
    assert " passed: " in line


def test_the_probe_of_overload_passes(stack: Stack, tight: str) -> None:
    (result,) = told(["overload"], tight, stack.bootstrap_servers, TIGHT, print)
    assert result.reasons == []
    figures = result.figures
    assert figures["refused"] > figures["capacity_per_s"]
    assert figures["goodput_share"] >= 0.9


def test_without_kafkas_address(roomy: str) -> None:
    lines: list[str] = []
    results = told([], roomy, None, UNTIMED._replace(duration_s=1.0), lines.append)
    assert [result.name for result in results] == ["http", "gateway", "echo"]
    assert all(result.state == "holds" for result in results), results
    left_out = [
        line for line in lines if " left out: it needs Kafka's address: give --kafka" in line
    ]
    assert len(left_out) == len(PROBES) - 3
    with pytest.raises(BenchError, match="probe replies: it needs Kafka's address: give --kafka"):
        run_probes(["replies"], roomy, None, UNTIMED, lines.append)


@pytest.mark.parametrize("name", PROBES)
def test_a_target_that_is_not_there(name: str) -> None:
    nowhere = ("http://127.0.0.1:9", "127.0.0.1:9")
    (result,) = run_probes([name], *nowhere, TIGHT, lambda line: None)
    assert result.state != "holds"
    reason, *_ = result.reasons
    assert "127.0.0.1:9" in reason
    assert "\n" not in reason
