"""The calibration's statistics, its turns, and how it reads what wrk and Locust print."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.calibrate import agreement, parts, truth_server
from bench.calibrate.lab import WARM_UP_S, Load, Ran, kept_and_not, paid
from bench.calibrate.parts import FOREIGN_CORES_MAX, TRIES_PER_PAIR_MAX, Kept, Plan, take_turns
from bench.calibrate.rivals import Told, parse_locust, parse_oha, parse_wrk
from bench.calibrate.table import Estimate, Section, Target, located, markdown, ratio, span
from bench.errors import BenchError
from bench.records.samples import Alternating, Footer, Reader

SECOND_NS = 1_000_000_000
QUIET = Ran(100.0, 10.0, 1.0, 0.0)
BUSY = QUIET._replace(foreign_cores=2 * FOREIGN_CORES_MAX)


def plan(pairs: int, lines: list[str] | None = None) -> Plan:
    told = lines if lines is not None else []
    return Plan(pairs, 4.0, Path(), told.append)


# ---- figures


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=12), st.floats(0.1, 10.0))
def test_a_constant_ratio_is_found_exactly(values: list[float], factor: float) -> None:
    found = ratio([value * factor for value in values], values)
    assert found.value == pytest.approx(factor)
    if len(values) >= 6:
        assert (found.low, found.high) == pytest.approx((factor, factor))
    else:
        assert (found.low, found.high) == (-math.inf, math.inf)


@given(st.lists(st.floats(0.5, 2.0), min_size=6, max_size=12))
def test_an_interval_holds_its_estimate(values: list[float]) -> None:
    found = located(values)
    assert min(values) <= found.low <= found.value <= found.high <= max(values)


def test_few_pairs_have_no_interval() -> None:
    assert str(ratio([2.0], [1.0])) == "2.000"
    assert str(Estimate(1.0, 0.9, 1.1)) == "1.000 (0.900 to 1.100)"
    assert span([3.0, 1.0, 2.0], 1) == "2.0 (1.0 to 3.0)"


@pytest.mark.parametrize(
    ("low", "high", "at_most", "at_least"),
    [
        (0.8, 0.9, "holds", "does not hold"),
        (0.8, 1.0, "holds", "can't tell"),
        (0.9, 1.1, "can't tell", "can't tell"),
        (1.0, 1.1, "can't tell", "holds"),
        (1.05, 1.1, "does not hold", "holds"),
        (-math.inf, math.inf, "can't tell", "can't tell"),
    ],
)
def test_a_target_holds_with_its_whole_interval(
    low: float, high: float, at_most: str, at_least: str
) -> None:
    found = Estimate((low + high) / 2, low, high)
    assert Target("", "", found, 1.0).verdict == at_most
    assert Target("", "", found, 1.0, at_least=True).verdict == at_least


def test_the_markdown() -> None:
    target = Target("small", "0.5", Estimate(0.5, 0.5, 0.5), 1.0)
    text = markdown([Section("One", ["line"], [target]), Section("Two", ["more"], [])])
    assert text.startswith("## One\n\nline\n\n## Two\n\nmore\n\n## Targets\n\n")
    assert text.endswith("| small | 0.5 | holds |")
    assert markdown([]) == ""


# ---- turns


def sides(ran: Callable[[str], Ran]) -> tuple[list[str], dict[str, Callable[[], Ran]]]:
    order: list[str] = []

    def side(name: str) -> Callable[[], Ran]:
        def run() -> Ran:
            order.append(name)
            return ran(name)

        return run

    return order, {name: side(name) for name in "ab"}


def test_sides_take_turns_at_being_first() -> None:
    order, both = sides(lambda _: QUIET)
    kept: Kept = {}
    take_turns(plan(3), "what", both, kept)
    assert "".join(order) == "abbaab"
    assert kept == {"a": [QUIET] * 3, "b": [QUIET] * 3}


def test_a_pair_in_which_others_used_the_machine_is_made_once_more() -> None:
    ran = iter([BUSY, QUIET, QUIET, QUIET])
    _, both = sides(lambda _: next(ran))
    kept: Kept = {}
    lines: list[str] = []
    take_turns(plan(1, lines), "what", both, kept)
    assert kept == {"a": [QUIET], "b": [QUIET]}
    assert lines[0].startswith("what, once more: others used 0.20 cores")


def test_a_machine_that_others_always_use() -> None:
    order, both = sides(lambda _: BUSY)
    with pytest.raises(BenchError, match=r"others use this machine, 0 of 10 tries were good"):
        take_turns(plan(2), "what", both, {})
    assert len(order) == 2 * 2 * TRIES_PER_PAIR_MAX


def test_an_interrupted_pair_is_not_half_kept() -> None:
    ran = iter([QUIET, QUIET, QUIET])

    def next_or_interrupt(_: str) -> Ran:
        for found in ran:
            return found
        raise KeyboardInterrupt

    _, both = sides(next_or_interrupt)
    kept: Kept = {}
    with pytest.raises(KeyboardInterrupt):
        take_turns(plan(3), "what", both, kept)
    assert kept == {"a": [QUIET], "b": [QUIET]}


@pytest.mark.parametrize(("server_cores", "judged"), [(1.0, False), (0.7, True)])
def test_a_generator_is_judged_where_the_server_is_not_the_limit(
    server_cores: float, judged: bool
) -> None:
    part = parts.Ceiling(plan(6))
    ran = Ran(30_000.0, 15.0, server_cores, 0.0, lag_p99_ms=0.1)
    part._closed["canned"] = {parts.GENERATOR: [ran] * 6, parts.WRK: [ran] * 6}
    part._open["canned"] = {parts.GENERATOR: [ran] * 6}
    section = part.section()
    assert section is not None
    assert [target.verdict for target in section.targets] == ["holds"] * 3 * judged
    assert ("- canned: the server was the limit, so nothing is judged" in section.lines) != judged
    assert any("requests/s 1.000 (1.000 to 1.000)" in line for line in section.lines)


class Stopped:
    """A part that is interrupted after something was measured."""

    def __init__(self, _: Plan) -> None:
        pass

    def measure(self) -> None:
        raise KeyboardInterrupt

    def section(self) -> Section | None:
        return Section("Kept", ["what was measured"], [])


def test_what_was_measured_is_shown_after_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "PARTS", {"stopped": Stopped})
    shown: list[Section] = []
    with pytest.raises(KeyboardInterrupt):
        parts.calibrate([], 1, 4.0, print, shown.extend)
    assert [section.lines for section in shown] == [["what was measured"]]


def test_a_section_as_json_has_no_infinite_ends() -> None:
    target = Target("lag", "1 ms", Estimate(1.0, -math.inf, math.inf), 2.0)
    (found,) = Section("Ceiling", [], [target]).to_json()["targets"]
    assert (found["value"], found["low"], found["high"]) == (1.0, None, None)
    assert (found["verdict"], found["limit"]) == ("can't tell", 2.0)


@pytest.mark.parametrize("part", parts.PARTS.values())
def test_a_part_without_figures_has_no_section(
    part: Callable[[Plan], parts.Part],
) -> None:
    assert part(plan(1)).section() is None


# ---- what a burst cost


def marks(*sent: int) -> list[dict[str, int]]:
    """One each second, of a generator that uses half of its core; every other one keeps samples."""
    return [
        {"at_ns": second * SECOND_NS, "cpu_ns": second * SECOND_NS // 2, "sent": number,
         "kept": second % 2}
        for second, number in enumerate(sent)
    ]  # fmt: skip


def test_what_each_request_cost() -> None:
    assert paid(marks(0, 9_000, 20_000)) == (10_000.0, 50.0)


def test_what_keeping_samples_cost() -> None:
    assert kept_and_not(marks(0, 10_000, 30_000, 40_000)) == (50.0, 25.0)
    assert kept_and_not([*marks(0, 10_000, 30_000), {"at_ns": 0}]) == (50.0, 25.0)


@pytest.mark.parametrize("watched", [[], marks(10), marks(10, 10)])
def test_a_burst_that_says_nothing(watched: list[dict[str, int]]) -> None:
    for figure in (paid, kept_and_not):
        with pytest.raises(BenchError, match="too short"):
            figure(watched)


def test_samples_are_kept_for_half_of_the_time(tmp_path: Path) -> None:
    writer = Alternating(tmp_path / "samples.bin")
    label = writer.label("root", "200")
    for sent in range(4):
        writer.add((label, sent, sent, sent))
        writer.sent += 1
        writer.flush()
    writer.close()
    reader = Reader(tmp_path / "samples.bin")
    assert reader.read().done_ns.tolist() == [0, 2]
    assert [(mark["sent"], mark["kept"]) for mark in reader.watched[:4]] == [
        *((1, 1), (2, 0), (3, 1), (4, 0))
    ]
    assert reader.footer == Footer(scheduled=0, sent=4)


@given(st.floats(0.1, 1.0), st.integers(1, 1000))
def test_what_is_done_to_few_costs_little(rate_ratio: float, every: int) -> None:
    found = parts.thinned(rate_ratio, every)
    assert rate_ratio - 1e-9 <= found <= 1
    assert parts.thinned(rate_ratio, 1) == pytest.approx(rate_ratio)
    assert 1 / found - 1 == pytest.approx((1 / rate_ratio - 1) / every, abs=1e-9)


def test_few_pairs_say_nothing_of_few_either() -> None:
    assert parts.thinned(-math.inf, 100) == -math.inf
    assert parts.thinned(math.inf, 100) == math.inf


def test_a_load_is_open_or_closed() -> None:
    assert Load(4.0, users=3).rate_per_s == 0


# ---- others' tables

WRK = """Running 4s test @ http://127.0.0.1:1/
  1 threads and 64 connections
{"requests": 4000, "length_us": 4000000, "broken": %s, "p50": 1500, "p90": 2000, "p99": 3000,\
 "p99.9": 4000, "max": 5000}
"""
LOCUST = """Type,Name,Request Count,Failure Count,Requests/s,50%,90%,99%,99.9%,100%
GET,/,10,1,2.5,400,410,1200,1900,2000
,Aggregated,10,1,2.5,400,410,1200,1900,2000
"""


def test_wrks_figures() -> None:
    latency_ms = {"p50": 1.5, "p90": 2.0, "p99": 3.0, "p99.9": 4.0, "max": 5.0}
    assert parse_wrk(WRK % 0) == Told(4000, 1000.0, latency_ms)


@pytest.mark.parametrize("printed", ["", "unable to connect", "{}", "[]", WRK % 1])
def test_wrk_that_failed(printed: str) -> None:
    with pytest.raises(BenchError, match="wrk"):
        parse_wrk(printed)


def test_locusts_table() -> None:
    latency_ms = {"p50": 400.0, "p90": 410.0, "p99": 1200.0, "p99.9": 1900.0, "max": 2000.0}
    assert parse_locust(LOCUST) == Told(10, 2.5, latency_ms)


@pytest.mark.parametrize("table", ["", "a,b\n1,2\n", LOCUST.replace("1200", "N/A")])
def test_a_table_that_is_none(table: str) -> None:
    with pytest.raises(BenchError, match="Locust's table"):
        parse_locust(table)


def test_locust_that_sent_nothing_says_so() -> None:
    head, *_ = LOCUST.splitlines()
    row = ",Aggregated,0,0,0.0" + ",N/A" * 5
    with pytest.raises(BenchError, match="Locust sent nothing"):
        parse_locust(f"{head}\n{row}\n")


# ---- agreement


def test_the_truth_of_what_is_measured() -> None:
    told = agreement.truth(None)
    assert told.requests == (agreement.DURATION_S - WARM_UP_S) * agreement.RATE_PER_S
    assert told.latency_ms["p50"] == pytest.approx(400, abs=1)
    assert told.latency_ms["max"] == pytest.approx(2000, abs=1)
    stalled = agreement.truth(agreement.STALL_AT_S)
    assert stalled.latency_ms["p90"] > told.latency_ms["p90"] * 1.5


def test_a_closed_loop_of_so_many_users_has_the_rate() -> None:
    mean_s = sum(truth_server.LATENCIES_MS) / len(truth_server.LATENCIES_MS) / 1e3
    assert agreement.closed_users() / mean_s == pytest.approx(agreement.RATE_PER_S, rel=0.01)


def test_oha_printed_something_else() -> None:
    printed = (Path(__file__).parents[1] / "imports" / "files" / "oha.json").read_text()
    with pytest.raises(BenchError, match="oha printed"):
        parse_oha(printed)  # without --stats-success-breakdown
    told = json.loads(printed)
    told["latencyPercentilesSuccessful"] = told["latencyPercentiles"]
    with pytest.raises(BenchError, match=r"oha: \{'timeout': 3\} broken"):
        parse_oha(json.dumps(told))
    told["errorDistribution"] = {"aborted due to deadline": 3}
    found = parse_oha(json.dumps(told))
    assert found.requests == 120
    assert found.latency_ms["max"] == pytest.approx(59.83, abs=0.01)
    for broken in ("", "[]", "{", '{"summary": 1}'):
        with pytest.raises(BenchError, match="oha printed"):
            parse_oha(broken)
